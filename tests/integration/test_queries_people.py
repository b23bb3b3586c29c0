"""Every statement behind what people ask and look at finds its rows by an index."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.runs import ExecutionStatus
from fixlify.storage.database import Database, Role
from fixlify.storage.history import HistoryFilter, find_executions, list_executions
from fixlify.storage.schedules import find_run, past_runs
from tests.explaining import (
    Reads,
    check,
    check_plan,
    check_plan_for_any_parameters,
    explain,
    statement_called,
)
from tests.grown import COMPANY, DATABASE, JOB, NEWCOMER, ROW, acting_as, grown_database

ITS_OWN: Final = {"organization_id": COMPANY}
OF_ALL: Final = {"organization_id": None}
REQUEST: Final = {**ITS_OWN, "key": "request-50"}
DAY: Final = timedelta(days=1)
OLDER: Final = {"older_than": DAY, "stopped_at": datetime.now(UTC)}
# Three hold the open executions and nothing else; which is read depends on how many there are.
OPEN_EXECUTIONS: Final = (
    "automation_execution_logs_open_idx"
    "|automation_execution_logs_client_idx"
    "|automation_execution_logs_subject_idx"
)
PENDING_EXECUTIONS: Final = (
    "automation_execution_logs_pending_idx|automation_execution_logs_late_idx"
)
OPEN_WORK: Final = {
    "automation_events_unprocessed_idx",
    "automation_events_swept_idx",
    PENDING_EXECUTIONS,
    OPEN_EXECUTIONS,
    "messages_open_idx",
}
# Of a company with few, all are read and sorted; of one with many, the newest.
EXECUTIONS_OF_A_COMPANY: Final = (
    "automation_execution_logs_organization_id_created_at_idx|automation_execution_logs_about_idx"
)
EVENTS_OF_A_COMPANY: Final = (
    "automation_events_organization_id_id_idx|automation_events_subject_idx"
)
WOKEN: Final = {
    "messages_open_idx",
    "automation_execution_logs_pkey|automation_execution_logs_open_idx",
}
KNOWN_SUBJECTS: Final = {
    kind: [str(ROW)] for kind in ("client", "estimate", "invoice", "payment", "task")
}

PEOPLE: Final[dict[str, Reads]] = {
    "history._DETAILS": Reads(
        {"id": ROW},
        {"automation_execution_logs_pkey", "automation_workflow_versions_pkey"},
        Role.APP,
    ),
    "history._STEPS": Reads({"id": ROW}, {"automation_step_logs_pkey"}, Role.APP),
    "history._MESSAGES": Reads({"id": ROW}, {"messages_execution_id_step_id_key"}, Role.APP),
    "recorded_events._LIST": Reads(
        {"organization_id": NEWCOMER, "event_type": None, "since": None, "limit": 50},
        {EVENTS_OF_A_COMPANY},
        Role.APP,
    ),
    "recorded_events._LIST (of a kind)": Reads(
        {**ITS_OWN, "event_type": "custom", "since": DAY, "limit": 50},
        {EVENTS_OF_A_COMPANY},
        Role.APP,
    ),
    "organizations._LIST": Reads(),
    "statistics._FIGURES": Reads(
        {**ITS_OWN, "days": 7},
        {
            "automation_execution_logs_created_at_idx|" + EXECUTIONS_OF_A_COMPANY,
            "messages_execution_id_step_id_key",
            "automation_analytics_organization_id_date_idx|automation_analytics_date_idx",
        },
        Role.APP,
        bounds={"(created_at >= ((today", "(date > today"},
    ),
    "statistics._LATENCIES": Reads(
        {**ITS_OWN, "period": DAY},
        {
            "messages_organization_id_created_at_idx",
            "automation_execution_logs_pkey",
            "automation_step_logs_pkey",
        },
        Role.APP,
        bounds={"(created_at > (statement_timestamp()"},
        dearer=True,
    ),
    "stops._STANDING": Reads(ITS_OWN, role=Role.APP),
    "stops._STANDING (all)": Reads(OF_ALL),
    "stops._LIFT": Reads(ITS_OWN),
    "stops._OPEN_WORK": Reads(ITS_OWN, OPEN_WORK, Role.APP),
    "stops._OPEN_WORK (of all)": Reads(OF_ALL, OPEN_WORK),
    "stops._WAKE": Reads(ITS_OWN, WOKEN),
    "stops._WAKE (of all)": Reads(OF_ALL, WOKEN),
    "stops._FREED_WORK": Reads(
        {**ITS_OWN, "older_than": DAY},
        {PENDING_EXECUTIONS, "messages_open_idx"},
    ),
    "stops._CANCEL_EXECUTIONS": Reads({**ITS_OWN, **OLDER}, {PENDING_EXECUTIONS}),
    "stops._CANCEL_MESSAGES": Reads({**ITS_OWN, **OLDER}, {"messages_open_idx"}),
    "stops._WITHDRAW": Reads({**ITS_OWN, "id": ROW, "reason": "x"}, {"messages_pkey"}),
    "api_keys._LIST": Reads({}, {"api_keys_organization_id_name_key"}, Role.APP),
    "api_keys._FIND": Reads(
        {"name_or_prefix": "fx_50"}, {"api_keys_organization_id_name_key"}, Role.APP
    ),
    "api_keys._REVOKE": Reads({"id": ROW}, {"api_keys_pkey"}, Role.APP),
    "api_keys._RECOGNIZE": Reads({"key_hash": "x"}, {"api_keys_key_hash_key"}),
    "api_requests._FIND_RESPONSE": Reads({**REQUEST, "kept_for": DAY}, {"api_requests_pkey"}),
    "api_requests._FORGET_RESPONSE": Reads(REQUEST, {"api_requests_pkey"}),
    "api_requests._FORGET_RESPONSES": Reads(
        {"kept_for": DAY, "at_most": 100},
        {"api_requests_created_at_idx"},
        bounds={"(created_at <= (statement_timestamp()"},
    ),
    "intake._KNOWN_SUBJECTS": Reads(
        {**ITS_OWN, **KNOWN_SUBJECTS, "job": [JOB]},
        {
            "jobs_pkey|jobs_service_idx|jobs_organization_id_schedule_start_idx",
            "clients_organization_id_id_key|clients_pkey",
            "estimates_organization_id_id_key|estimates_pkey",
            "invoices_organization_id_id_key|invoices_organization_id_due_date_id_idx",
            "payments_organization_id_id_key|payments_pkey",
            "tasks_organization_id_id_key|tasks_pkey",
        },
    ),
    "intake._FIND_SOURCES": Reads(
        {**ITS_OWN, "keys": ["source-250"]}, {"automation_events_source_idx"}
    ),
}

# Statements that are put together when they are asked for, from what was asked.
ASKED: Final[dict[str, tuple[Callable[[AsyncConnection], Awaitable[object]], Reads]]] = {
    "executions": (
        lambda connection: list_executions(connection, HistoryFilter(), 50),
        Reads({}, {EXECUTIONS_OF_A_COMPANY}, Role.APP),
    ),
    "executions of an hour": (
        lambda connection: list_executions(connection, HistoryFilter(since=DAY / 24), 50),
        Reads(
            {},
            {"automation_execution_logs_created_at_idx|" + EXECUTIONS_OF_A_COMPANY},
            Role.APP,
            bounds={"(created_at > (statement_timestamp()"},
        ),
    ),
    "failures about a job": (
        lambda connection: list_executions(
            connection, HistoryFilter(status=ExecutionStatus.FAILED, subject_id=JOB), 50
        ),
        Reads({}, {"automation_execution_logs_window_idx|" + EXECUTIONS_OF_A_COMPANY}, Role.APP),
    ),
    "executions by the beginning of an id": (
        lambda connection: find_executions(connection, ROW.hex[:-1], 2),
        Reads({}, {"automation_execution_logs_pkey"}, Role.APP),
    ),
    "runs of a schedule": (
        lambda connection: past_runs(connection, "schedule/2", 10),
        Reads({}, {"automation_schedule_runs_schedule_id_started_at_idx"}),
    ),
    "a run": (
        lambda connection: find_run(connection, "run/2"),
        Reads({}, {"automation_schedule_runs_pkey"}),
    ),
}

# As people type them; all but the last are those of the system this one replaces.
MONITORING: Final[dict[str, tuple[str, set[str]]]] = {
    "pending": (
        "SELECT COUNT(*) FROM automation_execution_logs WHERE status = 'pending'",
        {PENDING_EXECUTIONS},
    ),
    "newest": (
        "SELECT id, status, created_at, completed_at FROM automation_execution_logs "
        "ORDER BY created_at DESC LIMIT 10",
        {"automation_execution_logs_created_at_idx"},
    ),
    "last hour": (
        "SELECT * FROM automation_execution_logs WHERE created_at > NOW() - INTERVAL '1 hour' "
        "ORDER BY created_at DESC",
        {"automation_execution_logs_created_at_idx"},
    ),
    "today": (
        "SELECT * FROM automation_analytics WHERE date = CURRENT_DATE",
        {"automation_analytics_date_idx"},
    ),
    "schedules": (
        "SELECT * FROM automation_cron_status",
        {"automation_schedule_runs_schedule_id_started_at_idx"},
    ),
    "health": (
        "SELECT * FROM automation_system_health",
        {
            "automation_events_unprocessed_idx",
            "automation_events_swept_idx",
            PENDING_EXECUTIONS,
            OPEN_EXECUTIONS,
            "automation_execution_logs_created_at_idx",
            "messages_open_idx",
            "automation_schedule_runs_schedule_id_started_at_idx",
        },
    ),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(PEOPLE))
async def test_what_people_ask(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), PEOPLE[name])


@pytest.mark.parametrize("name", list(PEOPLE))
async def test_what_people_ask_whatever_the_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    """A prepared statement is planned once for all after a few calls."""
    await check_plan_for_any_parameters(grown, statement_called(name), PEOPLE[name])


@pytest.mark.parametrize("name", list(ASKED))
async def test_what_is_put_together_for_people(
    grown: psycopg.AsyncConnection, postgres: EmbeddedPostgres, name: str
) -> None:
    ask, reads = ASKED[name]
    statement, parameters = await sent_by(ask, postgres.dsn(DATABASE))
    async with acting_as(grown, reads.role):
        check(await explain(grown, statement, parameters), reads)


@pytest.mark.parametrize("name", list(MONITORING))
async def test_monitoring(grown: psycopg.AsyncConnection, name: str) -> None:
    statement, indexes = MONITORING[name]
    newest_first = {"automation_execution_logs_created_at_idx"} if "LIMIT" in statement else set()
    check(await explain(grown, statement), Reads(indexes=indexes, whole=newest_first))


@pytest.mark.parametrize("name", list(MONITORING))
async def test_monitoring_by_one_company(grown: psycopg.AsyncConnection, name: str) -> None:
    """Row security adds the organization to every statement; an index must serve that too."""
    statement, _ = MONITORING[name]
    async with acting_as(grown, Role.APP):
        check(await explain(grown, statement), Reads())


async def sent_by(
    ask: Callable[[AsyncConnection], Awaitable[object]], url: str
) -> tuple[str, dict[str, Any]]:
    """Return the last statement that *ask* sends, with its parameters."""
    sent: list[tuple[str, dict[str, Any]]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    database = Database(url, Role.ENGINE, pool_size=1)
    try:
        async with database.statement() as connection:
            event.listen(connection.sync_connection, "before_cursor_execute", note)
            await ask(connection)
    finally:
        await database.close()
    return sent[-1]
