"""The runs of schedules: begun, finished, and never left open by a run that is gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.sweeps import SweepFindings, SweepRun
from fixlify.domain.timetable import Timetable, occurrences, zone_problem
from fixlify.storage.facts import READABLE

LONGEST_RUN: Final = timedelta(hours=1)
"""Twice as long as a sweep may take: what has run for longer has nobody left to finish it."""

# The same run begins again with each attempt of its activity.
_BEGIN = text("""
    INSERT INTO automation_schedule_runs (id, schedule_id, organization_id, scheduled_at, status)
    VALUES (:id, :schedule_id,
            (SELECT organization_id FROM automation_workflows WHERE id = :automation_id),
            :scheduled_at, 'running')
    ON CONFLICT (id) DO NOTHING
""")

_CLOSE_ABANDONED = text("""
    UPDATE automation_schedule_runs
    SET status = 'failed', finished_at = clock_timestamp(),
        error_message = 'ended without a result'
    WHERE schedule_id = :schedule_id AND status = 'running' AND id <> :id
      AND started_at < clock_timestamp() - CAST(:longest AS interval)
    RETURNING id
""")

_LAST_COMPLETED = text(f"""
    SELECT CASE WHEN scheduled_at {READABLE} THEN scheduled_at END AS scheduled_at, started_at
    FROM automation_schedule_runs
    WHERE schedule_id = :schedule_id AND status = 'completed' AND id <> :id
      AND started_at {READABLE}
    ORDER BY started_at DESC
    LIMIT 1
""")  # noqa: S608 - a constant

# A run that was recorded as failed, because it was cancelled, say, has failed: what its last
# attempt still did is found in the events.
_COMPLETE = text("""
    UPDATE automation_schedule_runs
    SET status = 'completed', finished_at = clock_timestamp(), looked_at = :looked_at,
        found = :found, error_message = :error_message
    WHERE id = :id AND status = 'running'
""")

# A run whose last attempt failed only after it had completed has completed.
_FAIL = text("""
    INSERT INTO automation_schedule_runs AS run
        (id, schedule_id, organization_id, scheduled_at, status, finished_at, error_message)
    VALUES (:id, :schedule_id,
            (SELECT organization_id FROM automation_workflows WHERE id = :automation_id),
            :scheduled_at, 'failed', clock_timestamp(), :error_message)
    ON CONFLICT (id) DO UPDATE
        SET status = 'failed', finished_at = excluded.finished_at,
            error_message = excluded.error_message
        WHERE run.status <> 'completed'
""")

_SPECIFICATION = text("""
    SELECT time_zone, specification -> 'timetable' AS timetable
    FROM automation_schedules
    WHERE id = :schedule_id
""")

_SET_NEXT_RUN = text("""
    UPDATE automation_schedules SET next_run_at = :next_run_at WHERE id = :schedule_id
""")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CompletedRun:
    """When a run was due, None where nobody can read that, and when it began."""

    scheduled_at: datetime | None
    started_at: datetime


async def begin_run(connection: AsyncConnection, run: SweepRun) -> None:
    """Record that *run* is under way; a second call changes nothing.

    Runs of the same schedule that began long ago and never ended are closed: their workflows
    were terminated, or were lost with their server.
    """
    await connection.execute(_BEGIN, _run(run))
    closed = await connection.scalars(
        _CLOSE_ABANDONED,
        {"id": run.run_id, "schedule_id": run.sweep.schedule_id, "longest": LONGEST_RUN},
    )
    for run_id in closed:
        _log.warning(
            "A run of a schedule ended without a result.",
            schedule_id=run.sweep.schedule_id,
            run_id=run_id,
        )


async def last_completed(connection: AsyncConnection, run: SweepRun) -> CompletedRun | None:
    """Return the newest completed run of the same schedule but *run*, or None."""
    result = await connection.execute(
        _LAST_COMPLETED, {"id": run.run_id, "schedule_id": run.sweep.schedule_id}
    )
    row = result.mappings().one_or_none()
    return None if row is None else CompletedRun(**row)


async def complete_run(connection: AsyncConnection, run: SweepRun, findings: SweepFindings) -> None:
    """Record what *run* found. Its problems are shown as its error, though it completed."""
    await connection.execute(
        _COMPLETE,
        {
            "id": run.run_id,
            "looked_at": findings.looked_at,
            "found": findings.found,
            "error_message": "\n".join(findings.problems) or None,
        },
    )


async def fail_run(connection: AsyncConnection, run: SweepRun, reason: str) -> None:
    """Record that *run* came to nothing, also where it could not even begin."""
    await connection.execute(_FAIL, {**_run(run), "error_message": reason})


async def set_next_run(connection: AsyncConnection, schedule_id: str, after: datetime) -> None:
    """Note when the schedule runs next *after* a moment, if it has a row that can be read."""
    result = await connection.execute(_SPECIFICATION, {"schedule_id": schedule_id})
    row = result.mappings().one_or_none()
    if row is None or zone_problem(row["time_zone"]) is not None:
        return
    try:
        timetable = Timetable.model_validate(row["timetable"])
    except ValueError:
        _log.warning("A schedule's row cannot be read; sync it again.", schedule_id=schedule_id)
        return
    following = next(occurrences(timetable, row["time_zone"], after), None)
    await connection.execute(
        _SET_NEXT_RUN,
        {"schedule_id": schedule_id, "next_run_at": following and following.at},
    )


def _run(run: SweepRun) -> dict[str, Any]:
    return {
        "id": run.run_id,
        "schedule_id": run.sweep.schedule_id,
        "automation_id": run.sweep.automation_id,
        "scheduled_at": run.scheduled_at,
    }
