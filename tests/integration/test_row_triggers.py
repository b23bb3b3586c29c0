"""What is recorded commits with the write, wakes the relay, and never holds anybody up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.events import CHANNEL
from tests.clones import new_database
from tests.conftest import TEMPLATE
from tests.office import Office
from tests.recorded import changes

COMPLETE = "UPDATE public.jobs SET status = 'completed' WHERE organization_id = %s"
START = "UPDATE public.jobs SET status = 'started' WHERE organization_id = %s"


async def update(office: Office, assignment: str) -> None:
    """Write all of the company's jobs at once."""
    await office.query(
        f"UPDATE jobs SET {assignment} WHERE organization_id = %s", office.organization_id
    )


@pytest.fixture(scope="module")
async def url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """One database for most of these tests; each founds its own company in it."""
    async with new_database(postgres, TEMPLATE) as clone:
        yield clone


@pytest.fixture
async def office(url: str) -> AsyncIterator[Office]:
    """A company that only this test writes."""
    async with await Office.open(url) as company:
        yield company


class TestTogetherWithTheWrite:
    """Business write and event commit together, or not at all."""

    async def test_a_rollback_leaves_none(self, office: Office) -> None:
        job = await office.add_job(client_id=None)
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute(COMPLETE, [office.organization_id])
            await connection.rollback()
        assert await changes(office) == []
        await office.write_status(job, "cancelled")
        assert await changes(office) == [("scheduled", "cancelled")]

    async def test_a_savepoint_takes_back_only_its_own(self, office: Office) -> None:
        await office.add_job(client_id=None)
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute(START, [office.organization_id])
            async with connection.transaction() as savepoint:
                await connection.execute(COMPLETE, [office.organization_id])
                raise psycopg.Rollback(savepoint)
        assert await changes(office) == [("scheduled", "started")]

    async def test_nobody_sees_the_event_before_the_commit(self, office: Office) -> None:
        await office.add_job(client_id=None)
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute(COMPLETE, [office.organization_id])
            assert await changes(office) == []
            await connection.commit()
        assert await changes(office) == [("scheduled", "completed")]


class TestNotification:
    """The relay is woken by what may set something off, once it is committed."""

    @pytest.fixture
    async def listener(self, office: Office) -> Any:
        connection = await psycopg.AsyncConnection.connect(office.url, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}".encode())
            yield connection

    @staticmethod
    async def heard(listener: psycopg.AsyncConnection) -> int:
        """Return how many notifications came before one of our own."""
        await listener.execute(f"NOTIFY {CHANNEL}, 'the end'".encode())
        count = 0
        async for notification in listener.notifies():
            if notification.payload == "the end":
                break
            count += 1
        return count

    async def test_a_committed_change(self, office: Office, listener: Any) -> None:
        await office.add_job(client_id=None)
        assert await self.heard(listener) == 1
        await update(office, "status = 'completed'")
        assert await self.heard(listener) == 1

    async def test_a_change_from_and_to_nothing(self, office: Office, listener: Any) -> None:
        job = await office.add_job(client_id=None, status=None)
        await self.heard(listener)
        await office.write_status(job, "x")
        assert await self.heard(listener) == 1
        await office.write_status(job, None)
        assert await self.heard(listener) == 1

    async def test_a_thousand_changes_are_one_notification(
        self, office: Office, listener: Any
    ) -> None:
        await office.query(
            "INSERT INTO jobs (organization_id, id) SELECT %s, n FROM generate_series(1, 1000) n",
            office.organization_id,
        )
        assert await self.heard(listener) == 1

    async def test_a_rewrite_wakes_nobody(self, office: Office, listener: Any) -> None:
        job = await office.add_job(client_id=None)
        await self.heard(listener)
        await office.write_status(job, "scheduled")
        assert await self.heard(listener) == 0
        assert await changes(office) == [("scheduled", "scheduled")]

    async def test_a_rollback_wakes_nobody(self, office: Office, listener: Any) -> None:
        await office.add_job(client_id=None)
        await self.heard(listener)
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute(COMPLETE, [office.organization_id])
            await connection.rollback()
        assert await self.heard(listener) == 0
