"""Every statement behind versions and pauses finds its rows by an index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import psycopg
import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.endings import PAUSED
from fixlify.storage.database import Role
from tests.explaining import Reads, check_plan, check_plan_for_any_parameters, statement_called
from tests.grown import AUTOMATION, COMPANY, grown_database

OF_ONE: Final = {"organization_id": COMPANY, "automation_id": AUTOMATION}
# The open runs, of one company or of all.
BEGUN: Final = (
    "automation_execution_logs_open_idx|automation_execution_logs_subject_idx"
    "|automation_execution_logs_client_idx|automation_execution_logs_due_idx"
)

VERSIONS: Final[dict[str, Reads]] = {
    "versions._VERSIONS": Reads(
        OF_ONE,
        {
            "automation_workflow_versions_pkey",
            "automation_execution_logs_pending_idx",
            BEGUN,
        },
        Role.APP,
    ),
    "pausing._BEGUN": Reads(OF_ONE, {BEGUN}, Role.APP),
    "pausing._PENDING": Reads(OF_ONE, {"automation_execution_logs_pending_idx"}, Role.APP),
    "pausing._WAKE": Reads({**OF_ONE, "paused": PAUSED}, {BEGUN}),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(VERSIONS))
async def test_the_statements(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), VERSIONS[name])


@pytest.mark.parametrize("name", list(VERSIONS))
async def test_the_statements_whatever_their_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    await check_plan_for_any_parameters(grown, statement_called(name), VERSIONS[name])
