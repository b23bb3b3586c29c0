"""Every statement of the gate before whatever acts finds its rows by an index."""

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

EXECUTION: Final = {"execution_id": ROW, "organization_id": COMPANY}
MESSAGE: Final = {"id": ROW, "organization_id": COMPANY}
NOW: Final = datetime.now(UTC)
RUN: Final = {"automation_execution_logs_pkey", "automation_workflow_versions_pkey"}
CLIENT: Final = "clients_organization_id_id_key|clients_pkey"
THE_TRUTH: Final = RUN | {
    "messages_pkey",
    CLIENT,
    "client_opt_outs_once_key",
    "suppressions_pkey",
    "clients_email_idx",
    "clients_phone_idx",
    "profiles_organization_id_id_key",
}

OF_A_CLIENT: Final = {
    "organization_id": COMPANY,
    "client_id": ROW,
    "channel": "sms",
    "message_class": None,
    "at": None,
}
ADDRESS: Final = {
    "organization_id": COMPANY,
    "channel": "sms",
    "address": "+12125550123",
    "source": None,
    "at": None,
}

GATE: Final[dict[str, Reads]] = {
    "permission._LOOK": Reads({**EXECUTION, "channel": "webhook"}, RUN),
    "consent.opt_outs._OPT_IN": Reads(OF_A_CLIENT, {"client_opt_outs_once_key"}),
    "consent.opt_outs._ALLOW_CHANNEL": Reads(OF_A_CLIENT, {CLIENT}, Role.APP),
    "consent.opt_outs._OPT_OUTS": Reads(
        OF_A_CLIENT, {"client_opt_outs_once_key", CLIENT}, Role.APP
    ),
    "consent.suppressions._RELEASE": Reads(ADDRESS, {"suppressions_pkey"}),
    "consent.suppressions._SUPPRESSIONS": Reads(
        {"organization_id": COMPANY, "channels": ["sms"], "address": None, "limit": 100},
        {"suppressions_pkey"},
        Role.APP,
    ),
    "owners._FIND": Reads({"organization_id": COMPANY}, {"profiles_organization_id_id_key"}),
    "messages.entering._ENTER": Reads(
        {"rows": "[]", "execution_id": ROW, "step_ids": ["text"]},
        {"automation_execution_logs_pkey", "messages_execution_id_step_id_key"},
    ),
    "messages.entering._FIND_ENTERED": Reads(
        {"execution_id": ROW, "step_ids": ["text"]}, {"messages_execution_id_step_id_key"}
    ),
    "messages.claims.CLAIM": Reads(
        {**MESSAGE, "now": NOW, "weighed": False},
        THE_TRUTH,
        whole={"automation_rules", "automation_rules_pkey"},
    ),
    "messages.claims.LOOK": Reads(MESSAGE, THE_TRUTH),
    "messages.gate._SENT": Reads(
        {"organization_id": COMPANY, "client": ROW, "since": NOW - timedelta(days=1)},
        {"messages_recipient_idx"},
        bounds={"sending_at >"},
    ),
    "messages.ledger._STANDING": Reads(MESSAGE, {"messages_pkey"}),
    "messages.ledger._SETTLE": Reads(
        {
            **MESSAGE,
            "status": "sent",
            "reason": None,
            "error_code": None,
            "provider": "twilio",
            "provider_id": "SM1",
            "segments": 1,
            "held_until": None,
            "from_statuses": ["sending"],
        },
        {"messages_pkey"},
    ),
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
