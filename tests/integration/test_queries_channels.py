"""Every statement about channels finds its rows by an index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.database import Role
from tests.explaining import Reads, check_plan, check_plan_for_any_parameters, statement_called
from tests.grown import grown_database

SMS: Final = {"channel": "sms"}
PAUSED: Final = {**SMS, "paused": "the sms channel is paused"}
OPEN_RUNS: Final = {"automation_execution_logs_open_idx"}
OPEN_MESSAGES: Final = {"messages_open_idx"}
AGED: Final = {**PAUSED, "older_than": timedelta(hours=24)}

CHANNELS: Final[dict[str, Reads]] = {
    "channels._SETTINGS": Reads(),
    "channels._SETTINGS (by people)": Reads(role=Role.APP),
    "channels._PAUSE": Reads({**SMS, "reason": None}),
    "channels._LIFT": Reads(SMS),
    "channels._SET_RATE": Reads({**SMS, "per_second": 20.0}),
    "channels._SET_ORGANIZATION_RATE": Reads({**SMS, "per_second": 2.0}),
    "channels._WAKE": Reads(PAUSED, OPEN_MESSAGES | OPEN_RUNS),
    "channels._FREED": Reads(AGED, OPEN_MESSAGES),
    "channels._CANCEL": Reads(
        {**AGED, "stopped_at": datetime(2026, 11, 22, tzinfo=UTC)}, OPEN_MESSAGES
    ),
    "channels._WAITING": Reads(indexes=OPEN_MESSAGES),
    "channels._SENT": Reads(indexes={"messages_sent_idx"}),
    "channels._CALLS": Reads(
        {"paused": "the webhook channel is paused"},
        OPEN_RUNS | {"automation_execution_logs_completed_at_idx", "automation_actions_pkey"},
    ),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(CHANNELS))
async def test_the_statements(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), CHANNELS[name])


@pytest.mark.parametrize("name", list(CHANNELS))
async def test_the_statements_whatever_their_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    """A prepared statement is planned once for all after a few calls."""
    await check_plan_for_any_parameters(grown, statement_called(name), CHANNELS[name])
