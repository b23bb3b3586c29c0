"""Every statement of sweeps, schedules and the analytics finds its rows by an index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import text

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.conditions import Check
from fixlify.domain.sweeps import SweepKind
from fixlify.domain.triggers import Trigger
from fixlify.domain.triggers.due import (
    AppointmentReminder,
    InvoiceOverdue,
    MaintenanceDue,
    StaleJob,
)
from fixlify.domain.triggers.scheduled import Audience, Scheduled
from fixlify.storage.database import Database, Role
from fixlify.storage.schedule_runs import LONGEST_RUN
from fixlify.storage.sweeps.audiences import AudienceSearch
from fixlify.storage.sweeps.listeners import Listener
from fixlify.storage.sweeps.pages import PAGE_SIZE, RowSearch
from fixlify.storage.sweeps.sweeping import _search
from tests.explaining import Reads, check_plan, check_plan_for_any_parameters, statement_called
from tests.grown import AUTOMATION, COMPANY, DATABASE, JOB, ROW, grown_database
from tests.sweeping import run_of

NOW: Final = datetime.now(UTC)
OVERDUE: Final = InvoiceOverdue.model_validate({"days": [3, 7, 14]})
MAINTENANCE: Final = MaintenanceDue.model_validate({"months": 3, "job_types": ["repair"]})
STALE: Final = StaleJob.model_validate({"status": "on_hold", "days": 3})
DAILY: Final = Scheduled.model_validate({"frequency": "daily", "hour": 9})
NOBODY: Final = Check.model_validate(
    {"field": "client.email", "operator": "equals", "value": "nobody@example.com"}
)
REMINDER: Final = AppointmentReminder.model_validate({"before": "24h"})


def listener(trigger: Trigger) -> Listener:
    """Return an automation that has listened for a year."""
    return Listener(
        id=AUTOMATION,
        organization_id=COMPANY,
        trigger=trigger,
        conditions=NOBODY,
        time_zone="America/New_York",
        listening_since=NOW - timedelta(days=365),
    )


def after(trigger: Trigger, at: object, row_id: object) -> dict[str, Any]:
    """Return what the page after this row is read with, in a sweep of every minute."""
    search = _search(listener(trigger), RUN_OF_A_SWEEP, NOW, NOW - timedelta(minutes=1))
    assert isinstance(search, RowSearch)
    return search._parameters((str(at), str(row_id)), PAGE_SIZE)


RUN_OF_A_SWEEP: Final = run_of(SweepKind.AUTOMATION_TRIGGERS, NOW)
INVOICES: Final = after(OVERDUE, NOW.date() - timedelta(days=20), ROW)
SERVICES: Final = after(MAINTENANCE, NOW - timedelta(days=120), JOB)
CHANGES: Final = after(STALE, NOW - timedelta(days=4), ROW.int)
VISITS: Final = after(REMINDER, NOW + timedelta(hours=1), JOB)
MEMBERS: Final = {"organization_id": COMPANY, "size": PAGE_SIZE}
RUN: Final = {"id": "run/1", "schedule_id": "schedule/2"}
LISTENERS: Final = {
    "trigger_types": ["invoice_overdue"],
    "time_zone": "America/New_York",
    "only": None,
    "after": None,
    "at_most": 200,
}

SWEEPS: Final[dict[str, Reads]] = {
    "sweeps.listeners._LISTENERS": Reads(LISTENERS, {"automation_workflow_versions_pkey"}),
    "sweeps.listeners._LISTENERS (one)": Reads(
        {**LISTENERS, "trigger_types": ["scheduled"], "time_zone": None, "only": AUTOMATION},
        {"automation_workflow_versions_pkey"},
    ),
    "sweeps.overdue._QUERY.record": Reads(
        INVOICES,
        {"invoices_organization_id_due_date_id_idx", "automation_events_occurrence_idx"},
        bounds={"ROW(due_date, id) > ", "(occurrence_key > "},
        replanned=True,
    ),
    "sweeps.overdue._QUERY.place": Reads(INVOICES, {"invoices_organization_id_due_date_id_idx"}),
    "sweeps.overdue._QUERY.endless": Reads(
        INVOICES, {"invoices_organization_id_due_date_id_idx"}, replanned=True
    ),
    "sweeps.maintenance._QUERY.record": Reads(
        SERVICES,
        {"jobs_service_idx", "jobs_organization_id_client_id_idx"},
        bounds={"ROW(COALESCE("},
        replanned=True,
    ),
    "sweeps.maintenance._QUERY.place": Reads(SERVICES, {"jobs_service_idx"}),
    "sweeps.maintenance._QUERY.endless": Reads(SERVICES, {"jobs_service_idx"}, replanned=True),
    "sweeps.stale._QUERY.record": Reads(
        CHANGES,
        {"automation_events_job_status_idx", "automation_events_subject_idx", "jobs_pkey"},
        replanned=True,
    ),
    "sweeps.stale._QUERY.place": Reads(CHANGES, {"automation_events_job_status_idx"}),
    "sweeps.reminders._QUERY.record": Reads(
        VISITS,
        {
            "jobs_organization_id_schedule_start_idx",
            "automation_events_occurrence_idx",
            "automation_events_subject_idx",
        },
        bounds={"ROW(schedule_start, id) > "},
        replanned=True,
    ),
    "sweeps.reminders._QUERY.place": Reads(VISITS, {"jobs_organization_id_schedule_start_idx"}),
    "sweeps.audiences._PAGES[clients]": Reads(
        {**MEMBERS, "after": ROW},
        {"clients_organization_id_id_key"},
        bounds={"(id > "},
        replanned=True,
    ),
    "sweeps.audiences._PAGES[jobs]": Reads(
        {**MEMBERS, "after": JOB}, {"jobs_pkey"}, bounds={"(id > "}, replanned=True
    ),
    "sweeps.audiences._PAGES[invoices]": Reads(
        {**MEMBERS, "after": ROW},
        {"invoices_organization_id_id_key"},
        bounds={"(id > "},
        replanned=True,
    ),
    # How many of the counted days there are decides whether reading all of them is quicker.
    "analytics._RECOMPUTE": Reads(
        {"since": NOW - timedelta(hours=1)},
        {
            "automation_execution_logs_created_at_idx",
            "automation_execution_logs_completed_at_idx",
            "automation_execution_logs_open_idx",
            "messages_execution_id_step_id_key",
            "automation_analytics_date_idx",
        },
        bounds={"(created_at >= ((days.date)", "(execution_id = e.id)"},
        whole={"automation_analytics"},
        dearer=True,
    ),
    "schedule_runs._BEGIN": Reads(
        {**RUN, "automation_id": AUTOMATION, "scheduled_at": NOW}, {"automation_workflows_pkey"}
    ),
    "schedule_runs._CLOSE_ABANDONED": Reads(
        {**RUN, "longest": LONGEST_RUN}, {"automation_schedule_runs_running_idx"}
    ),
    "schedule_runs._LAST_COMPLETED": Reads(
        RUN, {"automation_schedule_runs_schedule_id_started_at_idx"}
    ),
    "schedule_runs._COMPLETE": Reads(
        {**RUN, "looked_at": 1, "found": 1, "error_message": None},
        {"automation_schedule_runs_pkey|automation_schedule_runs_running_idx"},
    ),
    "schedule_runs._FAIL": Reads(
        {**RUN, "automation_id": AUTOMATION, "scheduled_at": NOW, "error_message": "x"},
        {"automation_workflows_pkey"},
    ),
    "schedule_runs._SPECIFICATION": Reads(RUN, {"automation_schedules_pkey"}),
    "schedule_runs._SET_NEXT_RUN": Reads(
        {**RUN, "next_run_at": NOW}, {"automation_schedules_pkey"}
    ),
    "schedules._FINGERPRINT": Reads({}, {"automation_workflows_trigger_type_idx"}),
    "schedules._AUTOMATIONS": Reads({}, {"automation_workflows_trigger_type_idx"}),
    "schedules._ZONES": Reads(),
    "schedules._PROBLEMS": Reads({"ids": ["schedule/2"], "messages": ["x"]}),
    "schedules._HISTORIES": Reads(
        {"ids": ["schedule/2"]},
        {
            "automation_schedules_pkey",
            "automation_schedule_runs_schedule_id_started_at_idx",
        },
    ),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(SWEEPS))
async def test_the_statements_of_sweeps(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), SWEEPS[name])


@pytest.mark.parametrize("name", [name for name, reads in SWEEPS.items() if not reads.replanned])
async def test_the_statements_of_sweeps_whatever_their_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    """A prepared statement is planned once for all after a few calls."""
    await check_plan_for_any_parameters(grown, statement_called(name), SWEEPS[name])


async def test_no_plan_of_an_audiences_page_is_kept(
    grown: psycopg.AsyncConnection, postgres: EmbeddedPostgres
) -> None:
    """One for any place would begin at the company's first row, and look at it on every page."""
    database = Database(postgres.dsn(DATABASE), Role.ENGINE, pool_size=1)
    nobody = AudienceSearch(listener(DAILY), Audience.CLIENTS, NOW)
    place = None
    for _ in range(8):
        place = (await nobody.record_page(database, place, size=20)).last
    async with database.transaction() as connection:
        plans = await connection.execute(
            text(
                "SELECT generic_plans, custom_plans FROM pg_prepared_statements"
                " WHERE statement LIKE :page"
            ),
            {"page": "%FROM clients%LIMIT%"},
        )
    await database.close()
    assert plans.one() == (0, 8)
