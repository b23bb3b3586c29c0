"""Every statement behind a timeline, and behind a rehearsal, finds its rows by an index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

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
from tests.grown import COMPANY, JOB, ROW, grown_database

ITS_OWN: Final = {"organization_id": COMPANY}
SUBJECTS: Final = {
    **ITS_OWN,
    "types": ["job", "client"] * 10,
    "ids": [JOB, str(ROW)] * 10,
    "since": timedelta(days=30),
    "limit": 200,
}
RUNS: Final = {"runs": [ROW] * 20}
SOME_OF_RUNS: Final = {**RUNS, "limit": 200}
CLIENT: Final = "clients_organization_id_id_key|clients_pkey"
OF_A_COMPANY: Final = "clients_organization_id_id_key|clients_email_idx|clients_phone_idx"


def read_by_people(parameters: dict[str, Any], *indexes: str, **options: Any) -> Reads:
    return Reads(parameters, set(indexes), Role.APP, **options)


TIMELINE: Final[dict[str, Reads]] = {
    "timeline.records._CLIENT_BY_ID": read_by_people({**ITS_OWN, "id": ROW}, CLIENT),
    "timeline.records._CLIENTS_BY_EMAIL": read_by_people(
        {**ITS_OWN, "email": "50@Example.com", "limit": 5}, OF_A_COMPANY
    ),
    "timeline.records._CLIENTS_BY_PHONE": read_by_people(
        {**ITS_OWN, "digits": "125550123", "limit": 5}, OF_A_COMPANY
    ),
    "timeline.records._JOB_IS_THERE": read_by_people({**ITS_OWN, "id": JOB}, "jobs_pkey"),
    "timeline.records._RECORDS_OF_CLIENT": read_by_people(
        {**ITS_OWN, "client_id": ROW},
        "jobs_organization_id_client_id_idx",
        "invoices_organization_id_client_id_idx",
        "invoices_organization_id_job_id_idx",
        "estimates_organization_id_client_id_idx",
        "estimates_organization_id_job_id_idx",
        "payments_organization_id_client_id_idx",
        "tasks_organization_id_client_id_idx",
        "tasks_organization_id_job_id_idx",
        "inbound_messages_organization_id_client_id_idx",
    ),
    "timeline.records._RECORDS_OF_JOB": read_by_people(
        {**ITS_OWN, "job_id": JOB},
        "invoices_organization_id_job_id_idx",
        "payments_organization_id_invoice_id_idx",
        "estimates_organization_id_job_id_idx",
        "tasks_organization_id_job_id_idx",
    ),
    "timeline.reading._EVENTS": read_by_people(SUBJECTS, "automation_events_subject_idx"),
    "timeline.reading._EVENTS_BY_ID": read_by_people(
        {**ITS_OWN, "ids": [50]}, "automation_events_pkey|automation_events_organization_id_id_idx"
    ),
    "timeline.reading._RUNS": read_by_people(SUBJECTS, "automation_execution_logs_about_idx"),
    "timeline.reading._RUN_BY_ID": read_by_people(
        {**ITS_OWN, "id": ROW}, "automation_execution_logs_pkey"
    ),
    "timeline.reading._STEPS": read_by_people(RUNS, "automation_step_logs_pkey"),
    "timeline.reading._MESSAGES": read_by_people(RUNS, "messages_execution_id_step_id_key"),
    "timeline.reading._DECISIONS": read_by_people(
        SOME_OF_RUNS, "automation_decisions_execution_id_id_idx|automation_decisions_pkey"
    ),
    "timeline.reading._ACTIONS": read_by_people(RUNS, "automation_actions_pkey"),
    "timeline.reading._SIGNALS": read_by_people(SOME_OF_RUNS, "automation_signals_pkey"),
    "timeline.reading._CONSENT": read_by_people(
        {**ITS_OWN, "client_id": ROW, "email": "50@example.com", "phone": "+12125550123"},
        "client_opt_outs_once_key",
        "suppressions_pkey",
    ),
    "timeline.reading._LISTENERS": read_by_people({**ITS_OWN}, "automation_workflow_versions_pkey"),
    "rehearsal._REFUSALS": Reads(
        {
            **ITS_OWN,
            "clients": [ROW] * 20,
            "kinds": ["client"] * 20,
            "channels": ["sms", "email"] * 10,
            "classes": ["transactional"] * 20,
            "recipients": ["+12125550123", "50@example.com"] * 10,
        },
        {
            CLIENT,
            "clients_email_idx",
            "clients_phone_idx",
            "client_opt_outs_once_key",
            "suppressions_pkey",
        },
    ),
    "rehearsal._SENT_TO": Reads(
        {**ITS_OWN, "client_id": ROW, "since": datetime(2020, 1, 1, tzinfo=UTC)},
        {"messages_recipient_idx"},
    ),
    "rehearsal._NEXT_EVENT": Reads(
        {**ITS_OWN, "id": 50, "last": 30_000}, {"automation_events_organization_id_id_idx"}
    ),
    "rehearsal._LAST_EVENT": Reads(ITS_OWN, {"automation_events_organization_id_id_idx"}),
    "rehearsal._PAGE": Reads(
        {
            **ITS_OWN,
            "after": 0,
            "last": 30_000,
            "event_type": "client_updated",
            "automation_id": None,
            "limit": 500,
        },
        {"automation_events_organization_id_id_idx|automation_events_subject_idx"},
    ),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(TIMELINE))
async def test_what_a_timeline_is_read_by(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), TIMELINE[name])


@pytest.mark.parametrize("name", list(TIMELINE))
async def test_what_a_timeline_is_read_by_whatever_the_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    """A prepared statement is planned once for all after a few calls."""
    await check_plan_for_any_parameters(grown, statement_called(name), TIMELINE[name])
