"""Every statement about what comes in, and about its evidence, finds its rows by an index."""

from __future__ import annotations

from collections.abc import AsyncIterator
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

NUMBER: Final = "+12125550123"

INBOUND: Final[dict[str, Reads]] = {
    "inbound._OF_NUMBER": Reads({"number": NUMBER}),
    "inbound._WROTE_TO": Reads({"address": NUMBER}, {"messages_address_idx"}),
    "inbound._FIRST_TWO": Reads(),
    "inbound._CLIENT_OF_PHONE": Reads(
        {"organization_id": COMPANY, "digits": NUMBER[1:]},
        {"clients_phone_idx", "messages_recipient_idx"},
    ),
    "inbound._RECEIVE": Reads(
        {
            "organization_id": COMPANY,
            "client_id": ROW,
            "from_number": NUMBER,
            "to_number": NUMBER,
            "body": "Yes",
            "provider_id": "SM1",
            "sharing": [COMPANY],
        },
        {"inbound_messages_provider_idx"},
    ),
    "inbound._INBOUND_TEXTS": Reads(
        {"ids": [ROW]},
        {"inbound_messages_pkey", "consent_records_organization_id_address_id_idx"},
    ),
    "inbound._COMPANY": Reads({"organization_id": COMPANY}),
    "consent.records._RECORD": Reads(
        {
            "organization_id": COMPANY,
            "client_id": ROW,
            "channel": "sms",
            "message_class": None,
            "address": NUMBER,
            "wants": False,
            "source": "sms",
            "evidence": "{}",
            "said_at": "2026-11-26T12:00:00Z",
        }
    ),
    "consent.records._LIST": Reads(
        {
            "organization_id": COMPANY,
            "client_id": ROW,
            "addresses": ["ada@example.com", NUMBER],
            "limit": 100,
        },
        {
            "consent_records_organization_id_client_id_id_idx",
            "consent_records_organization_id_address_id_idx",
        },
        Role.APP,
    ),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(INBOUND))
async def test_the_statements(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), INBOUND[name])


@pytest.mark.parametrize("name", list(INBOUND))
async def test_the_statements_whatever_their_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    """A prepared statement is planned once for all after a few calls."""
    await check_plan_for_any_parameters(grown, statement_called(name), INBOUND[name])
