"""What happened: executions with their steps and messages, for people to read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.automation import PinnedDefinition
from fixlify.domain.runs import ExecutionStatus, MessageStatus, StepStatus
from fixlify.domain.steps import every_step
from fixlify.storage.tables import AutomationRow, ExecutionRow

SHORTEST_PREFIX: Final = 6
"""How many hexadecimal digits of an id are needed to ask for it."""

_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which executions to list; None asks for any.

    ``since`` reaches back from now, by the time the execution was recorded.
    """

    status: ExecutionStatus | None = None
    automation_id: UUID | None = None
    subject_id: str | None = None
    since: timedelta | None = None


@dataclass(frozen=True, slots=True)
class PastExecution:
    """One execution, without its steps. ``reason`` is why it was skipped, failed or ended."""

    id: UUID
    automation_id: UUID
    automation: str
    version: int
    trigger_type: str
    subject_type: str
    subject_id: str
    status: ExecutionStatus
    reason: str | None
    waiting_for: str | None
    occurred_at: datetime
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None

    @property
    def duration(self) -> timedelta | None:
        """From the first step to the end; None while it runs, and where it never ran."""
        if self.started_at is None or self.completed_at is None:
            return None
        return self.completed_at - self.started_at


@dataclass(frozen=True, slots=True)
class PastStep:
    """One step of the version that ran; ``status`` is None where it was not reached."""

    id: str
    type: str
    status: StepStatus | None
    reason: str | None
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class PastMessage:
    """One row of the ledger."""

    id: UUID
    step_id: str
    channel: str
    recipient_kind: str
    recipient: str | None
    sender_name: str | None
    reply_to: str | None
    subject: str | None
    body_text: str | None
    body_html: str | None
    status: MessageStatus
    reason: str | None
    error_code: str | None
    attempts: int
    provider: str | None
    provider_id: str | None
    segments: int | None
    created_at: datetime
    sending_at: datetime | None
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class ExecutionStory:
    """One execution, from what set it off to what was sent.

    ``trigger_data`` holds ``event_type``, ``before`` and ``after`` as the row trigger
    recorded them.
    """

    execution: PastExecution
    trigger_data: Mapping[str, Any]
    workflow_id: str | None
    run_id: str | None
    launched_at: datetime | None
    steps: tuple[PastStep, ...]
    messages: tuple[PastMessage, ...]

    def latency(self, message: PastMessage) -> timedelta | None:
        """From the business write to the provider's acceptance; None unless it was accepted."""
        if message.sent_at is None:
            return None
        return message.sent_at - self.execution.occurred_at


_SUMMARY: Final = (
    ExecutionRow.id,
    ExecutionRow.automation_id,
    AutomationRow.name.label("automation"),
    ExecutionRow.automation_version.label("version"),
    ExecutionRow.trigger_type,
    ExecutionRow.subject_type,
    ExecutionRow.subject_id,
    ExecutionRow.status,
    func.coalesce(ExecutionRow.reason, ExecutionRow.error_message).label("reason"),
    ExecutionRow.waiting_for,
    ExecutionRow.occurred_at,
    ExecutionRow.created_at,
    ExecutionRow.started_at,
    ExecutionRow.completed_at,
)

_DETAILS = text("""
    SELECT e.trigger_data, e.workflow_id, e.run_id, e.launched_at, v.pinned
    FROM automation_execution_logs e
    JOIN automation_workflow_versions v
      ON v.automation_id = e.automation_id AND v.version = e.automation_version
    WHERE e.id = :id
""")

_STEPS = text("""
    SELECT step_id, status, reason, completed_at
    FROM automation_step_logs
    WHERE execution_id = :id
""")

_MESSAGES = text("""
    SELECT id, step_id, channel, recipient_kind, recipient, sender_name, reply_to, subject,
           body_text, body_html, status, reason, error_code, attempts, provider, provider_id,
           segments, created_at, sending_at, sent_at
    FROM messages
    WHERE execution_id = :id
""")


async def list_executions(
    connection: AsyncConnection, wanted: HistoryFilter, limit: int
) -> list[PastExecution]:
    """Return up to *limit* executions this connection may see, newest first."""
    query = (
        select(*_SUMMARY)
        .join(AutomationRow, AutomationRow.id == ExecutionRow.automation_id)
        .order_by(ExecutionRow.created_at.desc(), ExecutionRow.id.desc())
        .limit(limit)
    )
    if wanted.status is not None:
        query = query.where(ExecutionRow.status == wanted.status)
    if wanted.automation_id is not None:
        query = query.where(ExecutionRow.automation_id == wanted.automation_id)
    if wanted.subject_id is not None:
        query = query.where(ExecutionRow.subject_id == wanted.subject_id)
    if wanted.since is not None:
        # Not the clock's time, which moves: no index would end the search where it may end.
        query = query.where(ExecutionRow.created_at > func.statement_timestamp() - wanted.since)
    return [_execution(row) for row in (await connection.execute(query)).mappings()]


async def find_executions(
    connection: AsyncConnection, id_or_prefix: str, limit: int
) -> list[PastExecution]:
    """Return up to *limit* executions whose id begins with *id_or_prefix*, oldest first.

    Raises:
        ValueError: It is not the beginning of an id: hexadecimal digits, six at least.
    """
    first, last = id_range(id_or_prefix)
    query = (
        select(*_SUMMARY)
        .join(AutomationRow, AutomationRow.id == ExecutionRow.automation_id)
        .where(ExecutionRow.id.between(first, last))
        .order_by(ExecutionRow.id)
        .limit(limit)
    )
    return [_execution(row) for row in (await connection.execute(query)).mappings()]


async def tell_story(connection: AsyncConnection, execution: PastExecution) -> ExecutionStory:
    """Return everything known about *execution*; steps and messages in the order of the steps."""
    key = {"id": execution.id}
    details = (await connection.execute(_DETAILS, key)).mappings().one()
    done = {row["step_id"]: row for row in (await connection.execute(_STEPS, key)).mappings()}
    messages = (await connection.execute(_MESSAGES, key)).mappings()
    pinned = PinnedDefinition.model_validate(details["pinned"])
    places = {str(step.id): place for place, step in enumerate(every_step(pinned.definition.steps))}
    return ExecutionStory(
        execution=execution,
        trigger_data=details["trigger_data"],
        workflow_id=details["workflow_id"],
        run_id=details["run_id"],
        launched_at=details["launched_at"],
        steps=_steps(pinned, done),
        messages=tuple(
            PastMessage(**{**row, "status": MessageStatus(row["status"])})
            for row in sorted(messages, key=lambda row: places.get(row["step_id"], len(places)))
        ),
    )


def id_range(prefix: str) -> tuple[UUID, UUID]:
    """Return the smallest and the largest id that begin with *prefix*; hyphens do not count.

    Raises:
        ValueError: It is not the beginning of an id.
    """
    digits = prefix.strip().lower().replace("-", "")
    if not SHORTEST_PREFIX <= len(digits) <= 32 or not _HEX.fullmatch(digits):
        raise ValueError(f"'{prefix}' is not an id, nor the first {SHORTEST_PREFIX} digits of one")
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def _execution(row: Mapping[Any, Any]) -> PastExecution:
    return PastExecution(**{**row, "status": ExecutionStatus(row["status"])})


def _steps(pinned: PinnedDefinition, done: Mapping[str, Any]) -> tuple[PastStep, ...]:
    return tuple(
        PastStep(
            id=str(step.id),
            type=step.type,
            status=StepStatus(row["status"]) if row else None,
            reason=row["reason"] if row else None,
            completed_at=row["completed_at"] if row else None,
        )
        for step in every_step(pinned.definition.steps)
        for row in [done.get(str(step.id))]
    )
