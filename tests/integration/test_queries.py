"""Every statement of the relay, the engine and the monitoring finds its rows by an index.

On tables that have grown: a scan that is harmless in a test takes seconds after a year.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import TextClause

from devstack.postgres import EmbeddedPostgres
from fixlify.storage import automations, events, executions, facts, messages
from fixlify.storage.database import Role
from tests.clones import new_database
from tests.conftest import TEMPLATE

ORGANIZATION = UUID(int=1)
AUTOMATION = UUID(int=1)
EXECUTION = UUID(int=1)
BIG = {
    "jobs",
    "clients",
    "automation_workflow_versions",
    "automation_events",
    "automation_execution_logs",
    "automation_step_logs",
    "messages",
}
# Fifty companies of forty automations; thirty thousand of what grows. Little of it is open.
GROWN = """
    ALTER TABLE jobs DISABLE TRIGGER USER;
    CREATE FUNCTION n_to_id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
        AS $$ SELECT lpad(to_hex(n), 32, '0')::uuid $$;
    INSERT INTO organizations (id, name)
        SELECT n_to_id(n), 'Company ' || n FROM generate_series(1, 50) n;
    INSERT INTO clients (id, organization_id, email)
        SELECT n_to_id(n), n_to_id(1 + n % 50), n || '@example.com'
        FROM generate_series(1, 20000) n;
    INSERT INTO jobs (organization_id, id, client_id, status)
        SELECT n_to_id(1 + n % 50), 'J-' || n, n_to_id(n), 'completed'
        FROM generate_series(1, 20000) n;
    INSERT INTO automation_workflows (id, organization_id, name, status, trigger_type,
                                      trigger_config, steps, version)
        SELECT n_to_id(n), n_to_id(1 + n % 50), 'Automation ' || n,
               CASE n % 3 WHEN 0 THEN 'active' ELSE 'paused' END,
               CASE n % 2 WHEN 0 THEN 'job_completed' ELSE 'job_created' END, '{}', '[{}]', 1
        FROM generate_series(1, 2000) n;
    INSERT INTO automation_workflow_versions (automation_id, version, organization_id, pinned)
        SELECT id, generate_series(1, 10), organization_id, '{}' FROM automation_workflows;
    INSERT INTO automation_events (organization_id, event_type, subject_type, subject_id, data,
                                   processed_at)
        SELECT n_to_id(1 + n % 50), 'job_created', 'job', 'J-' || n, '{}',
               CASE WHEN n % 500 > 0 THEN now() END
        FROM generate_series(1, 30000) n;
    INSERT INTO automation_execution_logs
            (id, organization_id, automation_id, automation_version, occurrence_key, subject_type,
             subject_id, trigger_type, trigger_value, trigger_data, occurred_at, created_at,
             started_at, status)
        SELECT n_to_id(n), n_to_id(1 + n % 50), n_to_id(1 + (n - 1) % 2000), 1, 'event/' || n,
               'job', 'J-' || (1 + n % 20000), 'job_completed', 'completed', '{}',
               now() - n * interval '30 minutes', now() - n * interval '30 minutes', now(),
               CASE WHEN n % 500 = 0 THEN 'pending' WHEN n % 500 = 1 THEN 'running'
                    WHEN n % 50 = 2 THEN 'failed' ELSE 'completed' END
        FROM generate_series(1, 30000) n;
    INSERT INTO automation_step_logs
            (execution_id, step_id, organization_id, position, kind, status)
        SELECT id, 'text', organization_id, 1, 'sms', 'completed' FROM automation_execution_logs;
    INSERT INTO messages (id, organization_id, execution_id, step_id, channel, recipient_kind,
                          status, created_at)
        SELECT id, organization_id, id, 'text', 'sms', 'client',
               CASE WHEN status = 'running' THEN 'queued' ELSE 'sent' END, created_at
        FROM automation_execution_logs;
    VACUUM ANALYZE;
"""
DUPLICATE_KEYS = {
    "automations": [AUTOMATION] * 100,
    "subjects": [f"J-{n}" for n in range(100)],
    "values": ["completed"] * 100,
    "instants": ["2026-11-26T12:00:00Z"] * 100,
    "window": timedelta(seconds=30),
}
MESSAGE = {"id": EXECUTION, "organization_id": ORGANIZATION}
OUTCOME = {
    **MESSAGE,
    "status": "failed",
    "reason": None,
    "error_message": None,
    "waiting_for": None,
    "steps": json.dumps([]),
}

# Statement, its parameters, and the indexes it is meant to use.
ENGINE: dict[str, tuple[TextClause, dict[str, Any], set[str]]] = {
    "claim events": (
        events._CLAIM,
        {"batch": 100, "known": events._KNOWN},
        {"automation_events_unprocessed_idx"},
    ),
    "mark events": (
        events._MARK_PROCESSED,
        {"done": json.dumps([{"id": 1, "outcome": "x"}])},
        {"automation_events_pkey"},
    ),
    "listening automations": (
        automations._LISTENING,
        {"organizations": [ORGANIZATION], "trigger_types": ["job_completed"]},
        {"automation_workflows_listening_idx", "automation_workflow_versions_pkey"},
    ),
    "duplicate windows": (
        executions._IN_WINDOW,
        DUPLICATE_KEYS,
        {"automation_execution_logs_window_idx"},
    ),
    "facts": (
        facts._JOB_FACTS,
        {"organizations": [ORGANIZATION] * 20, "jobs": [f"J-{n * 50}" for n in range(20)]},
        {"jobs_pkey", "clients_organization_id_id_key|clients_pkey"},
    ),
    "launchable executions": (
        executions._LAUNCHABLE,
        {
            "batch": 100,
            "settled": timedelta(seconds=2),
            "relaunch_after": timedelta(minutes=5),
        },
        {"automation_execution_logs_pending_idx"},
    ),
    "mark launched": (
        executions._MARK_LAUNCHED,
        {"ids": [EXECUTION]},
        {"automation_execution_logs_pkey"},
    ),
    "open executions": (
        executions._OPEN,
        {"ids": [EXECUTION]},
        {"automation_execution_logs_pkey"},
    ),
    "begin an execution": (
        executions._BEGIN,
        {**MESSAGE, "workflow_id": "x", "run_id": "x"},
        {"automation_execution_logs_pkey", "automation_workflow_versions_pkey"},
    ),
    "record progress": (executions._PROGRESS, OUTCOME, {"automation_execution_logs_pkey"}),
    "finish an execution": (
        executions._FINISH,
        OUTCOME,
        {"automation_execution_logs_pkey", "messages_execution_id_step_id_key"},
    ),
    "enter messages": (
        messages._ENTER,
        {"rows": "[]", "execution_id": EXECUTION, "step_ids": ["text"]},
        {"automation_execution_logs_pkey", "messages_execution_id_step_id_key"},
    ),
    "find entered messages": (
        messages._FIND_ENTERED,
        {"execution_id": EXECUTION, "step_ids": ["text"]},
        {"messages_execution_id_step_id_key"},
    ),
    "claim a message": (
        messages._CLAIM,
        MESSAGE,
        {"messages_pkey", "automation_execution_logs_pkey", "jobs_pkey"},
    ),
    "a message's standing": (
        messages._STANDING,
        MESSAGE,
        {"messages_pkey", "automation_execution_logs_pkey", "jobs_pkey"},
    ),
    "settle a message": (
        messages._SETTLE,
        {
            **MESSAGE,
            "status": "sent",
            "reason": None,
            "error_code": None,
            "provider": "twilio",
            "provider_id": "SM1",
            "segments": 1,
            "from_statuses": ["sending"],
        },
        {"messages_pkey"},
    ),
}

# As people type them; the first five are those of the system this one replaces.
MONITORING: dict[str, tuple[str, set[str]]] = {
    "pending": (
        "SELECT COUNT(*) FROM automation_execution_logs WHERE status = 'pending'",
        {"automation_execution_logs_pending_idx"},
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
        {"automation_execution_logs_day_idx"},
    ),
    "schedules": ("SELECT * FROM automation_cron_status", set()),
    "health": (
        "SELECT * FROM automation_system_health",
        {
            "automation_events_unprocessed_idx",
            "automation_execution_logs_pending_idx",
            "automation_execution_logs_open_idx",
            "automation_execution_logs_organization_id_created_at_idx",
            "messages_open_idx",
        },
    ),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    """The superuser's connection to a database that has seen some years."""
    async with (
        new_database(postgres, TEMPLATE) as url,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
    ):
        for statement in GROWN.split(";\n"):
            await connection.execute(statement.encode())
        yield connection


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


async def explain(
    connection: psycopg.AsyncConnection, statement: str, parameters: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the plan of *statement*; without parameters, of any that may come."""
    generic = "GENERIC_PLAN, " if "$1" in statement else ""
    cursor = await connection.execute(
        f"EXPLAIN ({generic}FORMAT JSON) {statement}".encode(), parameters
    )
    row = await cursor.fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def check(plan: dict[str, Any], expected: set[str]) -> None:
    scanned = {n["Relation Name"] for n in nodes(plan) if n["Node Type"] == "Seq Scan"} & BIG
    assert not scanned, json.dumps(plan, indent=1)
    used = {n["Index Name"] for n in nodes(plan) if "Index Name" in n}
    for choice in expected:
        assert used & set(choice.split("|")), (choice, used)


@pytest.mark.parametrize("name", list(ENGINE))
async def test_the_engines_statements(grown: psycopg.AsyncConnection, name: str) -> None:
    clause, parameters, expected = ENGINE[name]
    statement = str(clause).replace("%", "%%")
    named = re.sub(r"(?<!:):(\w+)", r"%(\1)s", statement)
    check(await explain(grown, named, parameters), expected)


@pytest.mark.parametrize("name", list(ENGINE))
async def test_the_engines_statements_whatever_their_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    """A prepared statement is planned once for all after a few calls."""
    clause, parameters, expected = ENGINE[name]
    places = {parameter: place for place, parameter in enumerate(parameters, start=1)}
    statement = re.sub(r"(?<!:):(\w+)", lambda each: f"${places[each[1]]}", str(clause))
    check(await explain(grown, statement), expected)


@pytest.mark.parametrize("name", list(MONITORING))
async def test_monitoring(grown: psycopg.AsyncConnection, name: str) -> None:
    statement, expected = MONITORING[name]
    check(await explain(grown, statement), expected)


@pytest.mark.parametrize("name", list(MONITORING))
async def test_monitoring_by_one_company(grown: psycopg.AsyncConnection, name: str) -> None:
    """Row security adds the organization to every statement; an index must serve that too."""
    async with grown.transaction(force_rollback=True):
        await grown.execute(f"SET LOCAL ROLE {Role.APP.value}".encode())
        await grown.execute(f"SET LOCAL fixlify.organization_id = '{ORGANIZATION}'".encode())
        statement, _ = MONITORING[name]
        check(await explain(grown, statement), set())


def test_no_statement_is_forgotten() -> None:
    """A statement added to the relay's modules is added here."""
    modules = (events, automations, executions, facts, messages)
    written = {id(value) for m in modules for value in vars(m).values() if _is_statement(value)}
    explained = {id(clause) for clause, _, _ in ENGINE.values()}
    without_plan = {id(executions._LOCK_SUBJECTS), id(executions._INSERT), id(executions._STANDING)}
    assert written - explained == without_plan


def _is_statement(value: object) -> bool:
    return isinstance(value, TextClause)
