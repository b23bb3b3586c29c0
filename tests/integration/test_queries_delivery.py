"""Every statement about what became of messages finds its rows by an index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import psycopg
import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.database import Role
from tests.explaining import Reads, check_plan, check_plan_for_any_parameters, statement_called
from tests.grown import COMPANY, ROW, grown_database

MESSAGE: Final = {"id": ROW, "organization_id": COMPANY}
ITS: Final = {"messages_pkey"}
ANSWER: Final[dict[str, Any]] = {
    **MESSAGE,
    "status": "delivered",
    "reason": None,
    "error_code": None,
    "provider": "twilio",
    "provider_id": "SM1",
    "sender": None,
    "segments": 1,
    "price": None,
    "price_currency": None,
    "news_to": ["sending", "unknown", "sent"],
}
WANTED: Final = {
    "organization_id": COMPANY,
    "status": "unknown",
    "channel": None,
    "address": None,
    "since": None,
    "limit": 21,
}
WHOSE: Final = {
    "automation_execution_logs_pkey",
    "automation_workflows_pkey|automation_workflows_organization_id_id_key",
}

DELIVERY: Final[dict[str, Reads]] = {
    "messages.ledger._ACCEPT": Reads(ANSWER, ITS),
    "messages.reports._RECORD": Reads(
        {**ANSWER, "status": "failed"}, ITS | {"message_transitions_message_id_id_idx"}
    ),
    "messages.reports._COMPLETE": Reads(ANSWER, ITS),
    "messages.reports._FIND": Reads(ANSWER, {"messages_provider_idx"}),
    "messages.doubts._FIND": Reads(
        {**MESSAGE, "clocks": timedelta(minutes=5)},
        ITS | {"message_transitions_message_id_id_idx", "messages_address_idx"},
    ),
    "messages.reading._LIST": Reads(
        {**WANTED, "status": None},
        WHOSE | {"messages_organization_id_created_at_idx"},
        Role.APP,
    ),
    "messages.reading._LIST_OPEN": Reads(WANTED, WHOSE | {"messages_open_idx"}, Role.APP),
    "messages.reading._FIND": Reads(
        {"organization_id": COMPANY, "first": ROW, "last": ROW, "limit": 6}, WHOSE | ITS, Role.APP
    ),
    "messages.reading._TRANSITIONS": Reads(
        MESSAGE, {"message_transitions_message_id_id_idx"}, Role.APP
    ),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(DELIVERY))
async def test_the_statements(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), DELIVERY[name])


@pytest.mark.parametrize("name", list(DELIVERY))
async def test_the_statements_whatever_their_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    """A prepared statement is planned once for all after a few calls."""
    await check_plan_for_any_parameters(grown, statement_called(name), DELIVERY[name])
