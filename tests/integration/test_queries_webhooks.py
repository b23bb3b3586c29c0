"""Every statement about webhooks finds its rows by an index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.database import Role
from tests.explaining import Reads, check_plan, check_plan_for_any_parameters, statement_called
from tests.grown import COMPANY, ROW, grown_database

DELIVERY: Final = {"id": ROW, "organization_id": COMPANY}
STEP: Final = {"execution_id": ROW, "step_id": "text"}
OF_COMPANY: Final = {"organization_id": COMPANY}

WEBHOOKS: Final[dict[str, Reads]] = {
    "webhooks._SECRET": Reads(OF_COMPANY),
    "webhooks._FIND": Reads(OF_COMPANY, role=Role.APP),
    "webhooks._CLEAR_FAILURE_URL": Reads(OF_COMPANY, role=Role.APP),
    "webhooks._ENABLE": Reads(OF_COMPANY, role=Role.APP),
    "webhook_calls._WAS_TAKEN": Reads(STEP, {"automation_actions_pkey"}),
    "webhook_calls._NOTE": Reads(
        {**STEP, "status": "failed", "reason": None, "host": "x", "code": None},
        {"automation_actions_pkey"},
    ),
    "webhook_deliveries._LAUNCHABLE": Reads(
        {"batch": 100, "relaunch_after": timedelta(hours=1)}, {"webhook_deliveries_pending_idx"}
    ),
    "webhook_deliveries._MARK_LAUNCHED": Reads({"ids": [ROW]}, {"webhook_deliveries_pkey"}),
    "webhook_deliveries._LOSE": Reads(
        {"ids": [ROW]}, {"webhook_deliveries_pkey|webhook_deliveries_pending_idx"}
    ),
    "webhook_deliveries._BEGIN": Reads(
        DELIVERY,
        {
            "webhook_deliveries_pkey",
            "automation_execution_logs_pkey",
            "automation_step_logs_pkey",
        },
    ),
    "webhook_deliveries._STANDING": Reads(DELIVERY, {"webhook_deliveries_pkey"}),
    "webhook_deliveries._DELIVERED": Reads(DELIVERY, {"webhook_deliveries_pkey"}),
    "webhook_deliveries._CANCEL": Reads(
        {**DELIVERY, "reason": "disabled"}, {"webhook_deliveries_pkey"}
    ),
    "webhook_deliveries._NOT_TAKEN": Reads(
        {
            **DELIVERY,
            "reason": "500",
            "now": datetime(2026, 11, 22, tzinfo=UTC),
            "failure_url": "https://hooks.example.com/",
            "gone": False,
            "given_up": False,
            "disabled_after": timedelta(days=5),
            "failed_attempts": 6,
        },
        {"webhook_deliveries_pkey"},
    ),
    "webhook_deliveries._LIST": Reads(
        {**OF_COMPANY, "limit": 20},
        {"webhook_deliveries_organization_id_created_at_idx", "automation_execution_logs_pkey"},
        role=Role.APP,
    ),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(WEBHOOKS))
async def test_the_statements(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), WEBHOOKS[name])


@pytest.mark.parametrize("name", list(WEBHOOKS))
async def test_the_statements_whatever_their_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    """A prepared statement is planned once for all after a few calls."""
    await check_plan_for_any_parameters(grown, statement_called(name), WEBHOOKS[name])
