"""Every statement about an organization's rules finds its rows by an index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.database import Role
from tests.explaining import (
    Reads,
    check_plan,
    check_plan_for_any_parameters,
    statement_called,
)
from tests.grown import COMPANY, ROW, grown_database

ITS_OWN: Final = {"organization_id": COMPANY}
THE_RULES: Final = {"automation_rules_pkey"}

RULES: Final[dict[str, Reads]] = {
    "rules._LOAD": Reads(ITS_OWN, THE_RULES),
    "rules._LOAD (by people)": Reads(ITS_OWN, THE_RULES, Role.APP),
    "rules._CLEAR": Reads(ITS_OWN, THE_RULES, Role.APP),
    "rules._ZONE_OF": Reads(
        {**ITS_OWN, "client_id": ROW}, {"clients_organization_id_id_key|clients_pkey"}, Role.APP
    ),
    "rules._SENT_TO": Reads(
        {**ITS_OWN, "client_id": ROW, "since": datetime.now(UTC) - timedelta(days=1)},
        {"messages_recipient_idx"},
        Role.APP,
        bounds={"(sending_at >"},
    ),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(RULES))
async def test_the_statements(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), RULES[name])


@pytest.mark.parametrize("name", list(RULES))
async def test_the_statements_whatever_their_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    """A prepared statement is planned once for all after a few calls."""
    await check_plan_for_any_parameters(grown, statement_called(name), RULES[name])
