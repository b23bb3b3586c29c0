"""Every statement about whom an email went to finds its rows by an index."""

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

CLIENT: Final = "clients_organization_id_id_key|clients_pkey"
MESSAGE: Final = {"message_id": ROW}

UNSUBSCRIBE: Final[dict[str, Reads]] = {
    "addressees._FIND": Reads(MESSAGE, {"messages_pkey", CLIENT}),
    "addressees._LOCK": Reads(MESSAGE, {"messages_pkey"}),
    "addressees._CLIENTS": Reads(
        {"organization_id": COMPANY, "address": "50@example.com", "client_id": ROW},
        {"clients_email_idx", CLIENT},
    ),
    "addressees._SAID": Reads(
        {
            "organization_id": COMPANY,
            "address": "50@example.com",
            "source": "complaint",
            "message_id": ROW,
        },
        {"consent_records_organization_id_address_id_idx"},
    ),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(UNSUBSCRIBE))
async def test_the_statements(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), UNSUBSCRIBE[name])


@pytest.mark.parametrize("name", list(UNSUBSCRIBE))
async def test_the_statements_whatever_their_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    """A prepared statement is planned once for all after a few calls."""
    await check_plan_for_any_parameters(grown, statement_called(name), UNSUBSCRIBE[name])
