"""The intake, which every organization shares, belongs to none of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from fixlify.domain.intake import CustomEvent
from fixlify.storage.database import Database, Role
from starter.intake import Intake
from tests.engine import eventually
from tests.office import Office


@pytest.fixture
async def two_connections(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, Role.ENGINE, pool_size=2)
    yield database
    await database.close()


async def test_requests_that_wait_for_a_lock_of_their_own_company_hold_up_no_other(
    office: Office, two_connections: Database
) -> None:
    """A company may send a long file, and the same events again; its neighbours' come in."""
    intake = Intake(two_connections)
    events = {"": CustomEvent.model_validate({"name": "a", "id": "x"})}

    async def waits() -> Any:
        return await office.query(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"
        )

    async with (
        await Office.open(office.url, "Southwind") as other,
        await psycopg.AsyncConnection.connect(office.url) as long_file,
    ):
        await long_file.execute(
            "INSERT INTO automation_events "
            "(organization_id, event_type, subject_type, subject_id, source_key, data) "
            "VALUES (%(id)s, 'custom', 'organization', %(id)s, 'x', '{}')",
            {"id": office.organization_id},
        )
        held = [
            asyncio.create_task(intake.accept(office.organization_id, events)) for _ in range(4)
        ]
        await eventually(waits)
        async with asyncio.timeout(10):
            assert (await intake.accept(other.organization_id, events)).accepted == 1
        assert not any(request.done() for request in held)
        await long_file.commit()
        assert [receipt.duplicates for receipt in await asyncio.gather(*held)] == [1] * 4
