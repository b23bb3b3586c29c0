"""Every statement of the relay and the engine finds its rows by an index.

On tables that have grown: a scan that is harmless in a test takes seconds after a year.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final, NamedTuple

import psycopg
import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.storage import events
from fixlify.storage.database import Role
from tests.explaining import (
    Reads,
    check_plan,
    check_plan_for_any_parameters,
    made_in_functions,
    statement_called,
    statements,
)
from tests.grown import AUTOMATION, COMPANY, JOB, ROW, acting_as, grown_database
from tests.integration.test_queries_actions import ACTIONS
from tests.integration.test_queries_channels import CHANNELS
from tests.integration.test_queries_consent import GATE
from tests.integration.test_queries_delivery import DELIVERY
from tests.integration.test_queries_hearing import HEARING
from tests.integration.test_queries_inbound import INBOUND
from tests.integration.test_queries_people import PEOPLE
from tests.integration.test_queries_rules import RULES
from tests.integration.test_queries_sweeps import SWEEPS
from tests.integration.test_queries_templates import TEMPLATES
from tests.integration.test_queries_timeline import TIMELINE
from tests.integration.test_queries_unsubscribe import UNSUBSCRIBE
from tests.integration.test_queries_versions import VERSIONS
from tests.integration.test_queries_webhooks import WEBHOOKS

EXECUTION: Final = {"id": ROW, "organization_id": COMPANY}
OUTCOME: Final = {
    **EXECUTION,
    "status": "failed",
    "reason": None,
    "error_message": None,
    "waiting_for": None,
    "delivery_id": ROW,
    "redrives": 0,
    "steps": json.dumps([]),
}
TWENTY_JOBS: Final = {"organizations": [COMPANY] * 20, "ids": [f"J-{n * 50}" for n in range(20)]}
TWENTY_ROWS: Final = {"organizations": [COMPANY] * 20, "ids": [ROW] * 20}

CLIENT: Final = "clients_organization_id_id_key|clients_pkey"
TECHNICIAN: Final = "profiles_organization_id_id_key|profiles_pkey"
JOBS_AND_THEIRS: Final = {"jobs_pkey", CLIENT, TECHNICIAN}

ENGINE: Final[dict[str, Reads]] = {
    "events._CLAIM": Reads(
        {"batch": 100, "swept": events.SWEPT_PER_BATCH, "known": events._KNOWN},
        {"automation_events_unprocessed_idx", "automation_events_swept_idx"},
        bounds={"> known.owner", "= happened_owners", "> known_1.owner", "= swept_owners"},
    ),
    "events._MARK_PROCESSED": Reads(
        {"done": json.dumps([{"id": 1, "outcome": "x"}])}, {"automation_events_pkey"}
    ),
    "automations._LISTENING": Reads(
        {"organizations": [COMPANY], "trigger_types": ["job_completed"]},
        {"automation_workflows_listening_idx", "automation_workflow_versions_pkey"},
    ),
    "executions._IN_WINDOW": Reads(
        {
            "automations": [AUTOMATION] * 100,
            "subjects": [f"J-{n}" for n in range(100)],
            "values": ["completed"] * 100,
            "instants": ["2026-11-26T12:00:00Z"] * 100,
            "window": timedelta(seconds=30),
        },
        {"automation_execution_logs_window_idx"},
    ),
    "executions._INSERT": Reads(
        {"rows": "[]", "per_organization": 50, "room": 1000},
        {"automation_execution_logs_pending_idx"},
        bounds={"(organization_id = ", "swept = "},
    ),
    "launching._TAKE": Reads(
        {
            "batch": 20,
            "per_organization": 50,
            "overall": 1000,
            "settled": timedelta(seconds=2),
            "relaunch_after": timedelta(minutes=5),
        },
        {"automation_execution_logs_pending_idx", "automation_execution_logs_pkey"},
        bounds={"organization_id > line", "organization_id = line"},
    ),
    "launching._EXPIRE": Reads({}, {"automation_execution_logs_late_idx"}, bounds={"good_until <"}),
    "launching._MARK_LAUNCHED": Reads({"ids": [ROW]}, {"automation_execution_logs_pkey"}),
    "executions._OPEN": Reads({"ids": [ROW], "redrives": [0]}, {"automation_execution_logs_pkey"}),
    "executions._DONE": Reads({"id": ROW}, {"automation_step_logs_pkey"}),
    "executions._STANDING": Reads(
        {**EXECUTION, "workflow_id": "x", "run_id": "x"}, {"automation_execution_logs_pkey"}
    ),
    "executions._BEGIN": Reads(
        {**EXECUTION, "workflow_id": "x", "run_id": "x", "redrives": 0},
        {"automation_execution_logs_pkey", "automation_workflow_versions_pkey"},
    ),
    "executions._PROGRESS": Reads(OUTCOME, {"automation_execution_logs_pkey"}),
    "executions._FINISH": Reads(
        OUTCOME, {"automation_execution_logs_pkey", "messages_execution_id_step_id_key"}
    ),
    "decisions._RECORD": Reads(
        {
            "organization_id": COMPANY,
            "execution_id": ROW,
            "step_id": "thanks",
            "kind": "held",
            "detail": "held",
        },
        {"automation_decisions_execution_id_id_idx|automation_decisions_pkey"},
    ),
    "standing._STANDING": Reads(
        EXECUTION, {"automation_execution_logs_pkey", "automation_workflows_pkey"}
    ),
    "standing._EVENTS": Reads(
        {"ids": [50], "organization_id": COMPANY},
        {"automation_events_pkey|automation_events_organization_id_id_idx"},
    ),
    "facts._ORGANIZATION_FACTS": Reads(TWENTY_JOBS),
    "facts._CLIENT_FACTS": Reads(TWENTY_ROWS, {CLIENT}),
    "facts._JOB_FACTS": Reads(TWENTY_JOBS, JOBS_AND_THEIRS),
    "facts._ESTIMATE_FACTS": Reads(
        TWENTY_ROWS, {"estimates_organization_id_id_key|estimates_pkey"} | JOBS_AND_THEIRS
    ),
    "facts._INVOICE_FACTS": Reads(
        TWENTY_ROWS, {"invoices_organization_id_id_key|invoices_pkey"} | JOBS_AND_THEIRS
    ),
    "facts._PAYMENT_FACTS": Reads(
        TWENTY_ROWS,
        {
            "payments_organization_id_id_key|payments_pkey",
            "invoices_organization_id_id_key|invoices_pkey",
        }
        | JOBS_AND_THEIRS,
    ),
    "facts._TASK_FACTS": Reads(
        TWENTY_ROWS, {"tasks_organization_id_id_key|tasks_pkey"} | JOBS_AND_THEIRS
    ),
    "facts._SMS_FACTS": Reads(
        TWENTY_ROWS, {"inbound_messages_organization_id_id_key|inbound_messages_pkey", CLIENT}
    ),
    "facts._TRIGGER_DATA": Reads(EXECUTION, {"automation_execution_logs_pkey"}),
}

# What reads no table, or only the row that stands in its own row's way.
WITHOUT_PLAN: Final = {
    "actions._CHECK_NOW": "a setting",
    "actions._ENTER_TASK": "an insert",
    "analytics._TAKE_TIME": "a setting",
    "analytics._WAIT_FOR_OTHERS": "a lock",
    "api_keys._CREATE": "an insert",
    "api_requests._STORE_RESPONSE": "an insert",
    "api_requests._TRY_LOCK_REQUEST": "a lock",
    "consent.opt_outs._OPT_OUT": "an insert",
    "consent.suppressions._SUPPRESS": "an insert",
    "executions._LOCK_SUBJECTS": "locks",
    "intake._INSERT": "an insert",
    "messages.gate._COUNT_ALONE": "a lock",
    "rules._STORE": "an insert",
    "rehearsal._READ_ONLY": "a setting",
    "stops._STOP": "an insert",
    "templates._STORE": "an insert",
    "webhook_calls._BEGIN": "an insert",
    "webhooks._MAKE_SECRET": "an insert",
    "webhooks._ROTATE_SECRET": "an insert",
    "webhooks._SET_FAILURE_URL": "an insert",
    "sweeps.audiences.NOTIFY": "a notification",
    "sweeps.audiences._RECORD": "an insert",
    "sweeps.pages.NOTIFY": "a notification",
    "sweeps.pages.PLAN_EACH": "a setting",
}

# By subject type: the id of a subject, and the tables that are looked into for its people.
SUBJECTS: Final = {
    "job": (JOB, {"jobs"}),
    "client": (str(ROW), {"clients"}),
    "estimate": (str(ROW), {"estimates", "jobs"}),
    "invoice": (str(ROW), {"invoices", "jobs"}),
    "payment": (str(ROW), {"payments", "invoices", "jobs"}),
    "task": (str(ROW), {"tasks", "jobs"}),
    "sms": (str(ROW), {"inbound_messages"}),
    "organization": (str(COMPANY), set()),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(ENGINE))
async def test_the_engines_statements(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), ENGINE[name])


@pytest.mark.parametrize("name", list(ENGINE))
async def test_the_engines_statements_whatever_their_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    """A prepared statement is planned once for all after a few calls."""
    await check_plan_for_any_parameters(grown, statement_called(name), ENGINE[name])


@pytest.mark.parametrize("subject_type", list(SUBJECTS))
async def test_the_people_of_a_subject(grown: psycopg.AsyncConnection, subject_type: str) -> None:
    """The function hides its plans; what they read is counted, also once they are kept."""
    subject_id, tables = SUBJECTS[subject_type]
    before = await what_was_read(grown)
    async with acting_as(grown, Role.ENGINE):
        for _ in range(10):
            found = await grown.execute(
                "SELECT * FROM fixlify_people_of(%s, %s, %s)", (COMPANY, subject_type, subject_id)
            )
            assert found.rowcount == 1
    after = await what_was_read(grown)
    read = {table for table in after if after[table] != before[table]} - {"organizations"}
    assert read == tables
    for table in tables:
        assert after[table].scans == before[table].scans, table
        # One each time; planning takes a look at the ends of an index, too.
        assert 10 <= after[table].entries - before[table].entries < 50, table


def test_no_statement_is_forgotten() -> None:
    """A statement added anywhere in the storage package is added to a table here."""
    explained = {
        name.split(" ")[0]
        for name in (
            *TIMELINE,
            *ENGINE,
            *SWEEPS,
            *PEOPLE,
            *WEBHOOKS,
            *RULES,
            *HEARING,
            *GATE,
            *VERSIONS,
            *ACTIONS,
            *UNSUBSCRIBE,
            *INBOUND,
            *TEMPLATES,
            *CHANNELS,
            *DELIVERY,
        )
    }
    found = statements()
    known = {id(found[name]) for name in explained | WITHOUT_PLAN.keys()}
    assert {name for name, statement in found.items() if id(statement) not in known} == set()
    assert not explained & WITHOUT_PLAN.keys()


def test_no_statement_is_made_out_of_sight() -> None:
    """One that a function makes for itself is in no table here; these make what modules hold."""
    assert made_in_functions() == {
        "database.organization",  # a setting
        "sweeps.audiences._rows",
        "sweeps.pages.__init__",
    }


class Read(NamedTuple):
    """How often a table was read as a whole, and how many entries of its indexes were."""

    scans: int
    entries: int


async def what_was_read(connection: psycopg.AsyncConnection) -> dict[str, Read]:
    """Return what was read of each table until now."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    cursor = await connection.execute("""
        SELECT t.relname, t.seq_scan, CAST(sum(i.idx_tup_read) AS bigint)
        FROM pg_stat_user_tables t JOIN pg_stat_user_indexes i USING (relid)
        GROUP BY t.relname, t.seq_scan
    """)
    return {table: Read(*counts) for table, *counts in await cursor.fetchall()}
