"""Read what happened to some subjects and what came of it, the newest of it, by indexes alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.facts import Subject
from fixlify.domain.runs import ExecutionStatus, MessageStatus, StepKind, StepStatus
from fixlify.storage.facts import READABLE
from fixlify.storage.recorded_events import PastEvent
from fixlify.storage.timeline.recorded import (
    Action,
    ConsentChange,
    Decision,
    Delivery,
    Run,
    TakenStep,
    Timeline,
    Told,
)
from fixlify.storage.timeline.records import KnownClient

_EVENT_COLUMNS: Final = f"""
    e.id, e.event_type, e.subject_type, e.subject_id, e.source_key, e.data, e.automation_id,
    CASE WHEN e.occurred_at {READABLE} THEN e.occurred_at END AS occurred_at,
    e.processed_at, e.outcome
"""

# The newest of each subject first, so that a client with thousands of records costs a look into
# the index for each and no more.
_EVENTS = text(f"""
    SELECT {_EVENT_COLUMNS}
    FROM unnest(CAST(:types AS text[]), CAST(:ids AS text[])) AS subject (type, id)
    CROSS JOIN LATERAL (
        SELECT * FROM automation_events
        WHERE organization_id = :organization_id AND subject_id = subject.id
          AND subject_type = subject.type
          AND occurred_at > statement_timestamp() - CAST(:since AS interval)
        ORDER BY id DESC LIMIT :limit
    ) AS e
    ORDER BY e.id DESC LIMIT :limit
""")  # noqa: S608

_EVENTS_BY_ID = text(f"""
    SELECT {_EVENT_COLUMNS}
    FROM unnest(CAST(:ids AS bigint[])) AS wanted (id)
    JOIN automation_events e ON e.id = wanted.id AND e.organization_id = :organization_id
""")  # noqa: S608

_RUN_COLUMNS: Final = """
    e.id, e.automation_id, a.name AS automation, e.automation_version AS version,
    e.trigger_type, e.subject_type, e.subject_id, e.trigger_data, e.status,
    coalesce(e.reason, e.error_message) AS reason, e.waiting_for, e.occurred_at, e.created_at,
    e.started_at, e.completed_at, e.redrives
"""

# A run that began long ago and still waits belongs to today.
_RUNS = text(f"""
    SELECT {_RUN_COLUMNS}
    FROM (
        SELECT r.*
        FROM unnest(CAST(:types AS text[]), CAST(:ids AS text[])) AS subject (type, id)
        CROSS JOIN LATERAL (
            SELECT * FROM automation_execution_logs
            WHERE organization_id = :organization_id AND subject_id = subject.id
              AND subject_type = subject.type
              AND coalesce(completed_at, statement_timestamp())
                  > statement_timestamp() - CAST(:since AS interval)
            ORDER BY created_at DESC LIMIT :limit
        ) AS r
        ORDER BY r.created_at DESC LIMIT :limit
    ) AS e
    JOIN automation_workflows a ON a.id = e.automation_id
""")  # noqa: S608

_RUN_BY_ID = text(f"""
    SELECT {_RUN_COLUMNS}
    FROM automation_execution_logs e
    JOIN automation_workflows a ON a.id = e.automation_id
    WHERE e.organization_id = :organization_id AND e.id = :id
""")  # noqa: S608

_STEPS = text("""
    SELECT execution_id, step_id, position, kind, status, reason, result, completed_at
    FROM automation_step_logs
    WHERE execution_id = ANY(CAST(:runs AS uuid[]))
    ORDER BY execution_id, position
""")

_DECISIONS = text("""
    SELECT d.id, d.execution_id, d.step_id, d.kind, d.detail, d.decided_at
    FROM unnest(CAST(:runs AS uuid[])) AS run (id)
    CROSS JOIN LATERAL (
        SELECT * FROM automation_decisions
        WHERE execution_id = run.id
        ORDER BY id DESC LIMIT :limit
    ) AS d
    ORDER BY d.id
""")

_MESSAGES = text("""
    SELECT execution_id, step_id, channel, recipient_kind, recipient, subject, status, reason,
           error_code, attempts, provider, provider_id, segments, message_class, held_until,
           created_at, sending_at, sent_at
    FROM messages
    WHERE execution_id = ANY(CAST(:runs AS uuid[]))
""")

_ACTIONS = text("""
    SELECT execution_id, step_id, kind, status, reason, attempts, created_at, finished_at
    FROM automation_actions
    WHERE execution_id = ANY(CAST(:runs AS uuid[]))
""")

_SIGNALS = text("""
    SELECT s.execution_id, s.event_id, s.created_at, s.delivered_at
    FROM unnest(CAST(:runs AS uuid[])) AS run (id)
    CROSS JOIN LATERAL (
        SELECT * FROM automation_signals
        WHERE execution_id = run.id
        ORDER BY event_id DESC LIMIT :limit
    ) AS s
    ORDER BY s.event_id
""")

_CONSENT = text("""
    SELECT created_at, channel, message_class, source, NULL AS reason
    FROM client_opt_outs
    WHERE organization_id = :organization_id AND client_id = :client_id
    UNION ALL
    SELECT created_at, channel, NULL, source, reason
    FROM suppressions
    WHERE organization_id = :organization_id
      AND (channel, address) IN (('email', CAST(:email AS text)), ('sms', CAST(:phone AS text)))
    ORDER BY created_at
""")

_LISTENERS = text("""
    SELECT a.id, a.activated_at, v.created_at AS version_since
    FROM automation_workflows a
    LEFT JOIN automation_workflow_versions v ON v.automation_id = a.id AND v.version = a.version
    WHERE a.organization_id = :organization_id
""")


async def read_timeline(
    connection: AsyncConnection,
    organization_id: UUID,
    subjects: Sequence[Subject],
    *,
    since: timedelta,
    limit: int,
    client: KnownClient | None = None,
) -> Timeline:
    """Return what happened to *subjects* and what came of it, the newest *limit* of each.

    Args:
        connection: One that may see the organization; others' rows are asked for nowhere.
        organization_id: Whose.
        subjects: Whom it is about.
        since: How far back; a run that has not ended belongs to today.
        limit: How many events, and how many runs, and of each run how many decisions.
        client: Whose refusals to tell besides.
    """
    asked = {
        "organization_id": organization_id,
        "types": [subject.type for subject in subjects],
        "ids": [subject.id for subject in subjects],
        "since": since,
        "limit": limit + 1,
    }
    events = [PastEvent(**row) for row in (await connection.execute(_EVENTS, asked)).mappings()]
    runs = [_run(row) for row in (await connection.execute(_RUNS, asked)).mappings()]
    events.sort(key=lambda event: event.id, reverse=True)
    runs.sort(key=lambda run: run.created_at, reverse=True)
    more = len(events) > limit or len(runs) > limit
    # Where either list was cut, the other must not tell half a story before that.
    first_run = runs[limit - 1].occurred_at if len(runs) > limit else None
    kept = [
        event
        for event in events[:limit]
        if first_run is None or event.occurred_at is None or event.occurred_at >= first_run
    ]
    told = await _told(connection, organization_id, runs[:limit], limit, kept)
    consent = await _consent(connection, organization_id, client) if client else []
    return Timeline(told.events, told.runs, consent, more or told.more)


async def read_run(
    connection: AsyncConnection, organization_id: UUID, execution_id: UUID, limit: int
) -> Timeline:
    """Return one run, the event that set it off and those it was told of."""
    key = {"organization_id": organization_id, "id": execution_id}
    runs = [_run(row) for row in (await connection.execute(_RUN_BY_ID, key)).mappings()]
    return await _told(connection, organization_id, runs, limit, [])


async def listening_since(
    connection: AsyncConnection, organization_id: UUID
) -> Mapping[UUID, tuple[datetime | None, datetime | None]]:
    """Return since when each automation is active, and since when it is written as it is now."""
    rows = await connection.execute(_LISTENERS, {"organization_id": organization_id})
    return {automation_id: (active, written) for automation_id, active, written in rows}


async def _told(
    connection: AsyncConnection,
    organization_id: UUID,
    runs: Sequence[Run],
    limit: int,
    events: Sequence[PastEvent],
) -> Timeline:
    """Fill *runs* with what they did, and add the events they speak of to *events*."""
    by_id = {run.id: run for run in runs}
    key = {"runs": list(by_id)}
    bounded = {**key, "limit": limit + 1}
    if by_id:
        for row in (await connection.execute(_STEPS, key)).mappings():
            by_id[row["execution_id"]].steps.append(
                TakenStep(
                    **{
                        **_own(row),
                        "kind": StepKind(row["kind"]),
                        "status": StepStatus(row["status"]),
                    }
                )
            )
        for row in (await connection.execute(_DECISIONS, bounded)).mappings():
            by_id[row["execution_id"]].decisions.append(Decision(**_own(row)))
        for row in (await connection.execute(_MESSAGES, key)).mappings():
            status = MessageStatus(row["status"])
            by_id[row["execution_id"]].messages.append(Delivery(**{**_own(row), "status": status}))
        for row in (await connection.execute(_ACTIONS, key)).mappings():
            by_id[row["execution_id"]].actions.append(Action(**_own(row)))
        for row in (await connection.execute(_SIGNALS, bounded)).mappings():
            by_id[row["execution_id"]].told.append(Told(**_own(row)))
    more = any(len(each) > limit for run in runs for each in (run.decisions, run.told))
    for run in runs:
        del run.decisions[:-limit], run.told[:-limit]
    known = {event.id: event for event in events}
    missing = _spoken_of(runs) - known.keys()
    if missing:
        asked = {"organization_id": organization_id, "ids": sorted(missing)}
        for row in (await connection.execute(_EVENTS_BY_ID, asked)).mappings():
            known[row["id"]] = PastEvent(**row)
    return Timeline(
        events=[known[event_id] for event_id in sorted(known)],
        runs=sorted(runs, key=lambda run: run.created_at),
        more=more,
    )


def _spoken_of(runs: Iterable[Run]) -> set[int]:
    found = {told.event_id for run in runs for told in run.told}
    return found | {run.event_id for run in runs if run.event_id is not None}


async def _consent(
    connection: AsyncConnection, organization_id: UUID, client: KnownClient
) -> list[ConsentChange]:
    # As suppressions keep them; a number written any other way is in no list.
    phone = "+" + "".join(filter(str.isdecimal, client.phone or ""))
    rows = await connection.execute(
        _CONSENT,
        {
            "organization_id": organization_id,
            "client_id": client.id,
            "email": (client.email or "").strip().lower(),
            "phone": phone,
        },
    )
    return [ConsentChange(**row) for row in rows.mappings()]


def _run(row: Mapping[Any, Any]) -> Run:
    data = row["trigger_data"]
    return Run(
        **{
            **row,
            "status": ExecutionStatus(row["status"]),
            "trigger_data": data if isinstance(data, dict) else {},
        }
    )


def _own(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "execution_id"}
