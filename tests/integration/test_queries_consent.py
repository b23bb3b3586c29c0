"""Every statement of the gate before whatever acts finds its rows by an index."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
from tests.grown import COMPANY, ROW, grown_database

EXECUTION: Final = {"execution_id": ROW, "organization_id": COMPANY}
RUN: Final = {"automation_execution_logs_pkey", "automation_workflow_versions_pkey"}

GATE: Final[dict[str, Reads]] = {
    "permission._LOOK": Reads(EXECUTION, RUN),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(GATE))
async def test_the_statements(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), GATE[name])


@pytest.mark.parametrize("name", list(GATE))
async def test_the_statements_whatever_their_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    """A prepared statement is planned once for all after a few calls."""
    await check_plan_for_any_parameters(grown, statement_called(name), GATE[name])
