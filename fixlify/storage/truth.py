"""What must still be true when a run acts: asked of Postgres in the moment before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.conditions import Condition
from fixlify.domain.endings import (
    CHANNEL_PAUSED,
    PAUSED,
    STOPPED,
    ending_told,
    exit_by,
    holds_runs,
)
from fixlify.domain.events import SubjectType
from fixlify.domain.facts import Subject
from fixlify.domain.limits import LimitedChannel
from fixlify.domain.runs import Ending
from fixlify.storage.facts import load_facts, load_trigger_data

_CONDITION: Final[TypeAdapter[Condition]] = TypeAdapter(Condition)

# Of an execution `e`: its automation, the version it runs, whom its subject concerns now, whatever
# it is (no row: it is gone), and whether a stop of this organization or of all stands. LIMIT tells
# the planner that a function returns one row.
STANDING_OF_RUN: Final = """
    JOIN automation_workflows a ON a.id = e.automation_id
    JOIN automation_workflow_versions v
      ON v.automation_id = e.automation_id AND v.version = e.automation_version
    LEFT JOIN LATERAL (
        SELECT true AS known, client_id, technician_id
        FROM fixlify_people_of(e.organization_id, e.subject_type, e.subject_id) LIMIT 1
    ) AS people ON true
    LEFT JOIN LATERAL (
        SELECT true AS stands, s.reason FROM automation_stops s
        WHERE s.organization_id IS NULL OR s.organization_id = e.organization_id
        ORDER BY s.organization_id NULLS FIRST LIMIT 1
    ) AS stop ON true
"""

# The same set the automation off again: two timers for one visit would be one reminder too many.
# A newer run that came to nothing took nothing over.
SUPERSEDED: Final = """
    (v.listens AND v.pinned -> 'definition' ->> 'reentry' = 'replace' AND EXISTS (
        SELECT FROM automation_execution_logs newer
        WHERE newer.automation_id = e.automation_id AND newer.subject_id = e.subject_id
          AND newer.organization_id = e.organization_id AND newer.subject_type = e.subject_type
          AND (newer.occurred_at, newer.id) > (e.occurred_at, e.id)
          AND newer.status IN ('pending', 'running', 'waiting', 'completed', 'failed')
    ))
"""

# What is told of it, for `closed`, `hold_of` and `find_exit`.
TOLD_OF_RUN: Final = f"""
    e.id AS execution_id, e.organization_id, e.subject_type, e.subject_id,
    e.status AS execution_status, a.status AS automation_status, a.paused_runs,
    people.known AS is_there, v.pinned -> 'definition' -> 'exit_when' AS exit_when,
    stop.stands AS stopped, stop.reason AS stop_reason, {SUPERSEDED} AS superseded
"""


def channel_pause(channel: str) -> str:
    """Return the SQL of why the channel that the SQL *channel* names is paused.

    Empty where nobody said why; null where it is not paused.
    """
    return f"""(
        SELECT coalesce(pause.paused_reason, '') FROM channel_settings pause
        WHERE pause.channel = {channel} AND pause.paused_at IS NOT NULL
    )"""  # noqa: S608 - a constant of the caller's


def closed(told: Mapping[Any, Any]) -> str | None:
    """Return why the run has no say any more: its subject is gone, or it has ended; or None."""
    if not told["is_there"]:
        return f"the {told['subject_type']} no longer exists"
    if told["execution_status"] not in ("running", "waiting"):
        return f"the execution is {told['execution_status']}"
    return None


def hold_of(told: Mapping[Any, Any]) -> str | None:
    """Return what only somebody's word ends, a pause or a stop; or None.

    Args:
        told: With ``channel_pause`` beside ``TOLD_OF_RUN``, and the ``channel`` it is asked for.
    """
    if holds_runs(told["automation_status"], told["paused_runs"]):
        return PAUSED
    if told["stopped"]:
        return _with_reason(STOPPED, told["stop_reason"])
    if told["channel_pause"] is not None:
        return _with_reason(CHANNEL_PAUSED[LimitedChannel(told["channel"])], told["channel_pause"])
    return None


def _with_reason(what: str, why: str | None) -> str:
    return f"{what}: {why}" if why else what


async def find_exit(
    connection: AsyncConnection, told: Mapping[Any, Any], now: datetime
) -> Ending | None:
    """Return how the run is over by its exit condition and the facts as they are; or None.

    Reads the facts only where there is such a condition.
    """
    if told["exit_when"] is None:
        return None
    condition = _CONDITION.validate_python(told["exit_when"])
    organization_id: UUID = told["organization_id"]
    subject = Subject(organization_id, SubjectType(told["subject_type"]), told["subject_id"])
    facts = (await load_facts(connection, [subject], now)).get(subject)
    if facts is None:
        return None
    data = await load_trigger_data(connection, told["execution_id"], organization_id)
    reason = exit_by(condition, facts.with_event(data))
    return None if reason is None else ending_told(reason)
