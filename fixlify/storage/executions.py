"""Executions: one row per match, from the relay's insert to the recorded outcome."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.automation import PinnedDefinition
from fixlify.domain.events import SubjectType
from fixlify.domain.ids import new_id, redrives_of
from fixlify.domain.runs import ExecutionStatus, RunOutcome, RunProgress, StepOutcome

DUPLICATE_WINDOW = timedelta(seconds=30)
DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class WindowKey:
    """What makes two events the same: the automation, the subject and the trigger's value."""

    automation_id: UUID
    subject_id: str
    trigger_value: str


@dataclass(frozen=True, slots=True)
class NewExecution:
    """A match, decided: ``pending`` to be launched, or ``skipped`` with its reason.

    ``good_until`` is when it has become too late to begin; None where that never comes.
    ``swept`` says that a sweep found it: what happened just now begins before it.
    """

    id: UUID
    organization_id: UUID
    automation_id: UUID
    automation_version: int
    occurrence_key: str
    subject_type: str
    subject_id: str
    trigger_type: str
    trigger_value: str
    trigger_data: dict[str, Any]
    occurred_at: datetime
    status: ExecutionStatus
    reason: str | None = None
    good_until: datetime | None = None
    chain: tuple[UUID, ...] = ()
    swept: bool = False


@dataclass(frozen=True, slots=True)
class PendingExecution:
    """What a launch needs to know, and what the Temporal Web UI shows; nothing personal.

    ``redrives`` is how often a person set it going again: each time it has another workflow.
    """

    id: UUID
    organization_id: UUID
    automation_id: UUID
    automation: str
    version: int
    trigger_type: str
    subject_type: str
    subject_id: str
    redrives: int = 0


@dataclass(frozen=True, slots=True)
class BegunExecution:
    """An execution whose run may go on; ``done`` is what stands of the runs before a redrive."""

    automation_id: UUID
    version: int
    subject_type: SubjectType
    subject_id: str
    pinned: PinnedDefinition
    done: tuple[StepOutcome, ...] = ()


@dataclass(frozen=True, slots=True)
class NotBegun:
    """Why a workflow may not have an execution.

    It ``has_ended`` where nothing is amiss: the execution was over before its workflow found a
    worker, or a later workflow was started for it. Else somebody else has begun it. ``status``
    and ``told`` are how it ended where this very run has ended it, and does its last task anew.
    """

    reason: str
    has_ended: bool = False
    status: ExecutionStatus | None = None
    told: str | None = None


# Transaction-level advisory locks, taken in one order so that two relays cannot deadlock.
# They make "look into the window, then insert" one step for everyone with the same subject.
# One per subject, not per automation: the server's lock table is small and everybody's.
_LOCK_SUBJECTS = text("""
    SELECT pg_advisory_xact_lock(key)
    FROM (
        SELECT DISTINCT hashtextextended(concat_ws('/', s.organization_id, s.subject_id), 7) AS key
        FROM unnest(CAST(:organizations AS uuid[]), CAST(:subjects AS text[]))
            AS s (organization_id, subject_id)
        ORDER BY key
    ) AS keys
""")

# What the relay skipped did not run and uses up no window; a run that ended as skipped
# (everybody had opted out, say) did.
_IN_WINDOW = text("""
    SELECT w.automation_id, w.subject_id, w.trigger_value, e.occurred_at
    FROM unnest(
        CAST(:automations AS uuid[]), CAST(:subjects AS text[]), CAST(:values AS text[]),
        CAST(:instants AS timestamptz[])
    ) AS w (automation_id, subject_id, trigger_value, occurred_at)
    JOIN automation_execution_logs e
      ON e.automation_id = w.automation_id
     AND e.subject_id = w.subject_id
     AND e.trigger_value = w.trigger_value
     AND e.occurred_at > w.occurred_at - CAST(:window AS interval)
     AND e.occurred_at < w.occurred_at + CAST(:window AS interval)
    WHERE e.status <> 'skipped' OR e.started_at IS NOT NULL
""")

# A relay that crashed after its commit, or a swept row, meets the unique key and is the loser.
#
# What may be launched at once is taken in the same statement: nothing of a company that is
# stopped, and of each only as many as there is room for behind those that wait already.
_INSERT = text("""
    WITH new AS (
        SELECT *, row_number() OVER (
                      PARTITION BY organization_id, status ORDER BY swept, ordinality
                  ) AS place
        FROM ROWS FROM (
            jsonb_to_recordset(CAST(:rows AS jsonb)) AS (
                id uuid, organization_id uuid, automation_id uuid, automation_version integer,
                occurrence_key text, subject_type text, subject_id text, trigger_type text,
                trigger_value text, trigger_data jsonb, occurred_at timestamptz, status text,
                reason text, good_until timestamptz, chain uuid[], swept boolean
            )
        ) WITH ORDINALITY
    ), line AS (
        SELECT organization_id, (
                   SELECT count(*) FROM (
                       SELECT FROM automation_execution_logs e
                       WHERE e.status = 'pending' AND NOT e.swept
                         AND e.organization_id = waiting.organization_id
                       LIMIT :per_organization
                   ) AS ahead
               ) AS happened, (
                   SELECT count(*) FROM (
                       SELECT FROM automation_execution_logs e
                       WHERE e.status = 'pending' AND e.swept
                         AND e.organization_id = waiting.organization_id
                       LIMIT :per_organization
                   ) AS ahead
               ) AS swept
        FROM (SELECT DISTINCT organization_id FROM new WHERE status = 'pending') AS waiting
        WHERE NOT EXISTS (SELECT FROM automation_stops s
                          WHERE s.organization_id IS NULL
                             OR s.organization_id = waiting.organization_id)
    )
    INSERT INTO automation_execution_logs (
        id, organization_id, automation_id, automation_version, occurrence_key, subject_type,
        subject_id, trigger_type, trigger_value, trigger_data, occurred_at, status, reason,
        good_until, chain, swept, completed_at, taken_at
    )
    SELECT
        id, organization_id, automation_id, automation_version, occurrence_key, subject_type,
        subject_id, trigger_type, trigger_value, trigger_data, occurred_at, status, reason,
        good_until, chain, new.swept, CASE status WHEN 'skipped' THEN clock_timestamp() END,
        CASE WHEN status = 'pending' AND ordinality <= :room
                  AND line.happened + CASE WHEN new.swept THEN line.swept ELSE 0 END + place
                      <= :per_organization
             THEN clock_timestamp() END
    FROM new LEFT JOIN line USING (organization_id)
    ORDER BY ordinality
    ON CONFLICT (automation_id, occurrence_key) DO NOTHING
    RETURNING id, taken_at IS NOT NULL AS is_taken
""")

# The first workflow to come takes the row; a second one, whatever started it, loses. The same
# workflow asking again is let through: a retried activity, or a run begun anew by a reset. One of
# before a redrive comes too late for good.
#
# Whoever reads the facts after this hears what happens to them from here on: the relay looks for
# runs under way, and for those of a client.
_BEGIN = text("""
    UPDATE automation_execution_logs e
    SET status = CASE e.status WHEN 'pending' THEN 'running' ELSE e.status END,
        workflow_id = :workflow_id,
        run_id = :run_id,
        client_id = CASE WHEN v.listens THEN (
            SELECT p.client_id
            FROM fixlify_people_of(e.organization_id, e.subject_type, e.subject_id) AS p
        ) END,
        started_at = coalesce(e.started_at, clock_timestamp())
    FROM automation_workflow_versions v
    WHERE e.id = :id
      AND e.organization_id = :organization_id
      AND v.automation_id = e.automation_id AND v.version = e.automation_version
      AND e.redrives = :redrives
      AND (e.status = 'pending' OR (e.status IN ('running', 'waiting')
                                    AND e.workflow_id = :workflow_id))
    RETURNING e.automation_id, e.automation_version, e.subject_type, e.subject_id, v.pinned
""")

# What the runs before a redrive completed, or may have: none of it is done again.
_DONE = text("""
    SELECT step_id, position, kind, status, reason, message_id, result
    FROM automation_step_logs
    WHERE execution_id = :id AND status IN ('completed', 'unknown')
    ORDER BY position
""")

_OPEN = text("""
    SELECT e.id, e.redrives
    FROM unnest(CAST(:ids AS uuid[]), CAST(:redrives AS integer[])) AS asked (id, redrives)
    JOIN automation_execution_logs e ON e.id = asked.id AND e.redrives = asked.redrives
    WHERE e.status IN ('pending', 'running', 'waiting')
""")

_OPEN_STATUSES = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.WAITING)

_STANDING = text("""
    SELECT status, redrives, workflow_id IS NULL OR workflow_id = :workflow_id AS is_its_own,
           run_id = :run_id AS is_this_run, coalesce(reason, error_message) AS told
    FROM automation_execution_logs
    WHERE id = :id AND organization_id = :organization_id
""")

# Nothing of an execution that has ended is written: what happened first stands. Nor does a run
# of before a redrive write any more.
_ITS_RUN = "(CAST(:redrives AS integer) IS NULL OR redrives = CAST(:redrives AS integer))"
_WRITE_STEPS = """
    steps AS (
        INSERT INTO automation_step_logs
            (execution_id, step_id, organization_id, position, kind, status, reason, message_id,
             result)
        SELECT e.id, s.step_id, e.organization_id, s.position, s.kind, s.status, s.reason,
               s.message_id, s.result
        FROM jsonb_to_recordset(CAST(:steps AS jsonb)) AS s (
            step_id text, position integer, kind text, status text, reason text, message_id uuid,
            result text
        ), execution e
        ON CONFLICT (execution_id, step_id) DO UPDATE
            SET status = excluded.status, reason = excluded.reason, result = excluded.result
    )
"""

_PROGRESS = text(f"""
    WITH execution AS (
        UPDATE automation_execution_logs
        SET status = 'waiting', waiting_for = :waiting_for,
            client_id = (SELECT p.client_id
                         FROM fixlify_people_of(organization_id, subject_type, subject_id) AS p)
        WHERE id = :id AND organization_id = :organization_id AND status IN ('running', 'waiting')
          AND {_ITS_RUN}
        RETURNING id, organization_id
    ), {_WRITE_STEPS}
    SELECT id FROM execution
""")  # noqa: S608 - a constant of this module

# Messages that were still waiting to be sent, or that a redriven run did not come to any more,
# end with their run; of one in a provider's hands nobody can say what became of it.
_FINISH = text(f"""
    WITH execution AS (
        UPDATE automation_execution_logs
        SET status = :status,
            reason = :reason,
            error_message = :error_message,
            waiting_for = NULL,
            completed_at = clock_timestamp()
        WHERE id = :id AND organization_id = :organization_id
          AND status IN ('pending', 'running', 'waiting') AND {_ITS_RUN}
        RETURNING id, organization_id
    ), {_WRITE_STEPS},
    abandoned AS (
        UPDATE messages m
        SET status = CASE WHEN m.status = 'sending' THEN 'unknown'
                          WHEN :status = 'failed' THEN 'failed'
                          ELSE 'cancelled' END,
            reason = CASE WHEN m.status = 'sending' THEN 'the run ended during the provider call'
                          ELSE coalesce(nullif(m.reason, 'redriven'),
                                        'the run ended before it was sent') END
        FROM execution e
        WHERE m.execution_id = e.id AND m.status IN ('queued', 'held', 'sending')
    ), told AS (
        INSERT INTO webhook_deliveries (id, organization_id, execution_id)
        SELECT CAST(:delivery_id AS uuid), e.organization_id, e.id
        FROM execution e JOIN webhook_settings w ON w.organization_id = e.organization_id
        WHERE :status = 'failed' AND w.failure_url IS NOT NULL AND w.disabled_at IS NULL
    )
    SELECT id FROM execution
""")  # noqa: S608 - a constant of this module


async def lock_subjects(connection: AsyncConnection, subjects: Iterable[tuple[UUID, str]]) -> None:
    """Hold the duplicate windows of these organizations' subjects until the transaction ends."""
    distinct = sorted(set(subjects))
    await connection.execute(
        _LOCK_SUBJECTS,
        {"organizations": [o for o, _ in distinct], "subjects": [s for _, s in distinct]},
    )


async def executions_in_window(
    connection: AsyncConnection, occurrences: Sequence[tuple[WindowKey, datetime]]
) -> dict[WindowKey, list[datetime]]:
    """Return when each key already ran within the duplicate window of its occurrence."""
    rows = await connection.execute(
        _IN_WINDOW,
        {
            "automations": [key.automation_id for key, _ in occurrences],
            "subjects": [key.subject_id for key, _ in occurrences],
            "values": [key.trigger_value for key, _ in occurrences],
            "instants": [occurred_at for _, occurred_at in occurrences],
            "window": DUPLICATE_WINDOW,
        },
    )
    found: dict[WindowKey, list[datetime]] = {}
    for automation_id, subject_id, trigger_value, occurred_at in rows:
        key = WindowKey(automation_id, subject_id, trigger_value)
        found.setdefault(key, []).append(occurred_at)
    return found


async def insert_executions(
    connection: AsyncConnection,
    executions: Sequence[NewExecution],
    *,
    per_organization: int,
    room: int,
) -> dict[UUID, bool]:
    """Insert the executions whose occurrence is new, and take those that may be launched now.

    Args:
        executions: What was decided, in the order in which they are to begin.
        per_organization: How many of one organization may be pending for its next to be taken.
        room: How many may be taken at all.

    Returns:
        The ids of what was inserted, each with whether it is the caller's to launch. A pending
        one that is not waits: for its stop to be lifted, or for its turn.
    """
    if not executions:
        return {}
    rows = [
        {
            name: _as_json(value)
            for name, value in ((name, getattr(execution, name)) for name in NewExecution.__slots__)
        }
        for execution in executions
    ]
    result = await connection.execute(
        _INSERT, {"rows": json.dumps(rows), "per_organization": per_organization, "room": room}
    )
    return {row.id: row.is_taken for row in result}


async def begin_execution(
    connection: AsyncConnection,
    execution_id: UUID,
    organization_id: UUID,
    *,
    workflow_id: str,
    run_id: str,
) -> BegunExecution | NotBegun:
    """Give the execution to this workflow, or return why it may not have it.

    A second call by the same workflow returns the same.
    """
    redrives = redrives_of(workflow_id)
    result = await connection.execute(
        _BEGIN,
        {
            "id": execution_id,
            "organization_id": organization_id,
            "workflow_id": workflow_id,
            "run_id": run_id,
            "redrives": redrives,
        },
    )
    row = result.mappings().one_or_none()
    if row is not None:
        return BegunExecution(
            automation_id=row["automation_id"],
            version=row["automation_version"],
            subject_type=SubjectType(row["subject_type"]),
            subject_id=row["subject_id"],
            pinned=PinnedDefinition.model_validate(row["pinned"]),
            done=await _done(connection, execution_id) if redrives else (),
        )
    result = await connection.execute(
        _STANDING,
        {
            "id": execution_id,
            "organization_id": organization_id,
            "workflow_id": workflow_id,
            "run_id": run_id,
        },
    )
    standing = result.one_or_none()
    if standing is None:
        return NotBegun("there is no such execution")
    if standing.redrives > redrives:
        return NotBegun("the execution was redriven, and has another workflow now", has_ended=True)
    has_ended = standing.is_its_own and standing.status not in _OPEN_STATUSES
    reason = f"the execution is already {standing.status}"
    if has_ended and standing.is_this_run:
        status = ExecutionStatus(standing.status)
        return NotBegun(reason, has_ended=True, status=status, told=standing.told)
    return NotBegun(reason, has_ended=has_ended)


async def _done(connection: AsyncConnection, execution_id: UUID) -> tuple[StepOutcome, ...]:
    rows = await connection.execute(_DONE, {"id": execution_id})
    return tuple(StepOutcome.model_validate(dict(row)) for row in rows.mappings())


async def record_progress(
    connection: AsyncConnection, progress: RunProgress, *, redrives: int | None = None
) -> None:
    """Write the steps so far and mark the execution as waiting; repeating it changes nothing.

    Nothing is written where the execution was redriven since; None as *redrives* writes anyway.
    """
    await connection.execute(
        _PROGRESS,
        {
            "id": progress.execution_id,
            "organization_id": progress.organization_id,
            "steps": _steps(progress.outcomes),
            "waiting_for": progress.waiting_for,
            "redrives": redrives,
        },
    )


async def finish_execution(
    connection: AsyncConnection, outcome: RunOutcome, *, redrives: int | None = None
) -> bool:
    """Write the steps and the outcome; the first outcome stands, a second changes nothing.

    Nothing is written where the execution was redriven since; None as *redrives* writes anyway.

    Returns:
        Whether this was the first.
    """
    failed = outcome.status is ExecutionStatus.FAILED
    result = await connection.execute(
        _FINISH,
        {
            "id": outcome.execution_id,
            "organization_id": outcome.organization_id,
            "steps": _steps(outcome.outcomes),
            "status": outcome.status.value,
            "reason": None if failed else outcome.reason,
            "error_message": outcome.reason if failed else None,
            "delivery_id": new_id(),
            "redrives": redrives,
        },
    )
    return result.rowcount == 1


async def open_executions(
    connection: AsyncConnection, runs: Collection[tuple[UUID, int]]
) -> list[tuple[UUID, int]]:
    """Return those of *runs*, by execution and redrive, whose execution has no outcome yet.

    A run of before the latest redrive has one.
    """
    result = await connection.execute(
        _OPEN, {"ids": [id_ for id_, _ in runs], "redrives": [redrives for _, redrives in runs]}
    )
    return [(row.id, row.redrives) for row in result]


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [str(item) for item in value] or None
    return value if isinstance(value, int | dict | None) else str(value)


def _steps(outcomes: Sequence[StepOutcome]) -> str:
    return json.dumps([outcome.model_dump(mode="json") for outcome in outcomes])
