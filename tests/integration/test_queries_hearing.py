"""Every statement of who hears an event, and of what led to it, finds its rows by an index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import psycopg
import pytest

from devstack.postgres import EmbeddedPostgres
from tests.explaining import (
    Reads,
    check_plan,
    check_plan_for_any_parameters,
    statement_called,
)
from tests.grown import AUTOMATION, COMPANY, ROW, grown_database

HEARING: Final[dict[str, Reads]] = {
    "chains._CARRY": Reads({"id": ROW}, {"automation_execution_logs_pkey"}),
    "chains._NAMES": Reads(
        {"organizations": [COMPANY], "ids": [AUTOMATION]},
        {"automation_workflows_organization_id_id_key|automation_workflows_pkey"},
    ),
    "signals._RECORD": Reads(
        {
            "ids": list(range(100)),
            "organizations": [COMPANY] * 100,
            "types": ["job"] * 100,
            "subjects": [f"J-{n}" for n in range(100)],
            "causes": [None] * 100,
        },
        {
            "automation_execution_logs_subject_idx",
            "automation_execution_logs_client_idx",
            "automation_workflow_versions_pkey",
        },
        bounds={"(subject_id = ", "(client_id = "},
    ),
    "signals._LEFT_BEHIND": Reads(
        {"batch": 100, "settled": timedelta(seconds=2)},
        {"automation_signals_undelivered_idx", "automation_execution_logs_pkey"},
    ),
    "signals._MARK_DELIVERED": Reads(
        {"executions": [ROW], "events": [16]}, {"automation_signals_pkey"}
    ),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(HEARING))
async def test_the_statements(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), HEARING[name])


@pytest.mark.parametrize("name", list(HEARING))
async def test_the_statements_whatever_their_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    """A prepared statement is planned once for all after a few calls."""
    await check_plan_for_any_parameters(grown, statement_called(name), HEARING[name])
