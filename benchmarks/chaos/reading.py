"""Read the ledgers, when nothing moves any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final, TypeVar
from uuid import UUID

import psycopg
import temporalio.client
from psycopg.rows import class_row
from sqlalchemy import text

from benchmarks.chaos.evidence import Evidence
from benchmarks.chaos.ledgers import Ledgers
from benchmarks.chaos.rows import (
    ENDED,
    Automation,
    Client,
    Decision,
    Event,
    Execution,
    Job,
    Message,
    Refusal,
    Step,
    Transition,
    Workflow,
)
from fixlify import temporal
from fixlify.domain.ids import execution_of
from fixlify.domain.rules import Rules
from fixlify.storage.database import Database, Role
from fixlify.storage.truth import STANDING_OF_RUN, TOLD_OF_RUN, find_exit

Row = TypeVar("Row")

# Temporal's list is written a moment after what it lists.
_LISTED_WITHIN: Final = timedelta(seconds=10)
_LOOK_AGAIN: Final = 0.1

_AUTOMATIONS: Final = """
    SELECT a.id, a.organization_id, a.name, a.status, a.version, a.activated_at,
           v.pinned -> 'definition' AS definition
    FROM automation_workflows a
    JOIN automation_workflow_versions v ON v.automation_id = a.id AND v.version = a.version
"""
_EVENTS: Final = """
    SELECT id, organization_id, event_type, subject_type, subject_id, data, occurred_at,
           processed_at, outcome, automation_id, occurrence_key, chain, caused_by
    FROM automation_events ORDER BY id
"""
_EXECUTIONS: Final = """
    SELECT id, organization_id, automation_id, occurrence_key, subject_type, subject_id,
           trigger_value, trigger_data, occurred_at, status,
           coalesce(reason, error_message) AS reason, workflow_id, run_id, created_at,
           launched_at, started_at, completed_at, chain, redrives
    FROM automation_execution_logs ORDER BY id
"""
_STEPS: Final = """
    SELECT execution_id, step_id, kind, status, reason, message_id, completed_at
    FROM automation_step_logs ORDER BY execution_id, position
"""
_DECISIONS: Final = """
    SELECT execution_id, step_id, kind, detail, decided_at FROM automation_decisions ORDER BY id
"""
_MESSAGES: Final = """
    SELECT id, organization_id, execution_id, step_id, channel, message_class, recipient_kind,
           recipient_id, recipient, subject, body_text, body_html, status, reason, attempts,
           provider_id, created_at
    FROM messages ORDER BY id
"""
_TRANSITIONS: Final = """
    SELECT message_id, at, from_status, to_status, cause, attempt
    FROM message_transitions ORDER BY id
"""
# A column says what is so now; the outbox says when it last changed.
_REFUSALS: Final = """
    SELECT c.organization_id, said.channel, c.id AS client_id, NULL AS address,
           NULL AS message_class,
           coalesce((SELECT max(e.occurred_at) FROM automation_events e
                     WHERE e.organization_id = c.organization_id AND e.subject_id = c.id::text
                       AND e.event_type = 'client_updated'
                       AND e.data -> 'changed' ? (said.channel || '_opted_out')),
                    c.created_at) AS since
    FROM clients c
    CROSS JOIN LATERAL (VALUES ('email', c.email_opted_out), ('sms', c.sms_opted_out))
        AS said (channel, opted_out)
    WHERE said.opted_out
    UNION ALL
    SELECT organization_id, channel, client_id, NULL, message_class, created_at
    FROM client_opt_outs
    UNION ALL
    SELECT organization_id, channel, NULL, address, NULL, created_at FROM suppressions
"""
_UNDELIVERED: Final = "SELECT count(*) FROM automation_signals WHERE delivered_at IS NULL"
_EXITS: Final = f"""
    SELECT {TOLD_OF_RUN}
    FROM automation_execution_logs e {STANDING_OF_RUN}
    WHERE v.pinned -> 'definition' ->> 'exit_when' IS NOT NULL AND people.known
"""  # noqa: S608 - constants


async def read_ledgers(evidence: Evidence) -> Ledgers:
    """Read everything, when nothing moves any more."""
    async with await psycopg.AsyncConnection.connect(evidence.url, autocommit=True) as connection:

        async def read(shape: type[Row], statement: str) -> list[Row]:
            async with connection.cursor(row_factory=class_row(shape)) as cursor:
                await cursor.execute(statement.encode())
                return await cursor.fetchall()

        organizations = await (
            await connection.execute("SELECT id, name, time_zone FROM organizations")
        ).fetchall()
        names: dict[UUID, str] = {id_: name for id_, name, _ in organizations}
        rules = await (
            await connection.execute("SELECT organization_id, rules FROM automation_rules")
        ).fetchall()
        undelivered = await (await connection.execute(_UNDELIVERED)).fetchone()
        executions = await read(Execution, _EXECUTIONS)
        return Ledgers(
            evidence=evidence,
            names=names,
            zones={id_: zone for id_, _, zone in organizations},
            rules={id_: Rules.model_validate(each) for id_, each in rules},
            automations=await read(Automation, _AUTOMATIONS),
            jobs=await read(Job, "SELECT organization_id, id, client_id, status FROM jobs"),
            clients=await read(Client, "SELECT organization_id, id, email, phone FROM clients"),
            refusals=await read(Refusal, _REFUSALS),
            events=await read(Event, _EVENTS),
            executions=executions,
            steps=await read(Step, _STEPS),
            decisions=await read(Decision, _DECISIONS),
            messages=await read(Message, _MESSAGES),
            transitions=await read(Transition, _TRANSITIONS),
            undelivered=undelivered[0] if undelivered else 0,
            over=await _over(evidence.url),
            workflows=await _workflows(evidence.client, names, executions),
        )


async def _over(url: str) -> frozenset[UUID]:
    """Return the executions whose exit condition holds now."""
    database = Database(url, Role.ENGINE, pool_size=1)
    try:
        async with database.statement() as connection:
            rows = (await connection.execute(text(_EXITS))).mappings().all()
            now = datetime.now(UTC)
            return frozenset(
                [
                    row["execution_id"]
                    for row in rows
                    if await find_exit(connection, row, now) is not None
                ]
            )
    finally:
        await database.close()


async def _workflows(
    client: temporalio.client.Client | None,
    organizations: Iterable[UUID],
    executions: Sequence[Execution],
) -> list[Workflow] | None:
    """Return the runs Temporal has of these organizations, once its list has caught up."""
    if client is None:
        return None
    named = ", ".join(f"'{each}'" for each in organizations)
    query = f"WorkflowType = 'automation' AND {temporal.ORGANIZATION.name} IN ({named})"
    ended = {each.id for each in executions if each.status in ENDED}
    until = monotonic() + _LISTED_WITHIN.total_seconds()
    while True:
        found = [
            Workflow(
                id=each.id,
                run_id=each.run_id,
                status=each.status.name if each.status else "",
                start_time=each.start_time,
            )
            async for each in client.list_workflows(query)
        ]
        listed = {execution_of(each.id) for each in found}
        begun = {each.id for each in executions if each.workflow_id is not None}
        late = any(each.status == "RUNNING" and execution_of(each.id) in ended for each in found)
        if (not late and begun <= listed) or monotonic() > until:
            return found
        await asyncio.sleep(_LOOK_AGAIN)
