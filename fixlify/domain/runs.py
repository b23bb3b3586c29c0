"""What passes between an automation's workflow and its activities: ids and decisions.

No names, addresses or texts: these models are written into Temporal histories.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from fixlify.domain.events import SubjectType
from fixlify.domain.models import Message


class ExecutionStatus(StrEnum):
    """Where an execution stands; the last four are final."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class MessageStatus(StrEnum):
    """Where a message stands in the ledger.

    ``queued`` may be sent; ``held`` waits until it may; ``sending`` is in a provider's hands;
    ``sent``, ``failed``, ``suppressed``, ``cancelled`` and ``unknown`` are outcomes.
    """

    QUEUED = "queued"
    HELD = "held"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"


class StepKind(StrEnum):
    """What a planned step does."""

    EMAIL = "email"
    SMS = "sms"
    WAIT = "wait"


class StepStatus(StrEnum):
    """How a step ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


class AutomationRun(Message):
    """Input of the automation workflow."""

    execution_id: UUID
    organization_id: UUID


class PlannedStep(Message):
    """One step without its texts. ``duration`` is set for waits, ``to`` for messages.

    ``position`` counts from 1.
    """

    id: str
    position: int
    kind: StepKind
    to: str | None = None
    duration: timedelta | None = None


class RunPlan(Message):
    """What an execution is to do, and about what.

    Older runs have no ``subject_type``: they were all about jobs.
    """

    automation_id: UUID
    version: int
    subject_type: SubjectType = SubjectType.JOB
    subject_id: str
    steps: tuple[PlannedStep, ...] = ()


class RenderRequest(Message):
    """Which steps of an execution to render, of which version, about what.

    Older runs have no ``subject_type``: they were all about jobs.
    """

    execution_id: UUID
    organization_id: UUID
    automation_id: UUID
    version: int
    subject_type: SubjectType = SubjectType.JOB
    subject_id: str
    step_ids: tuple[str, ...]


class RenderedMessage(Message):
    """One row of the ledger, ready to send when ``status`` is queued."""

    step_id: str
    message_id: UUID
    status: MessageStatus
    reason: str | None = None


class RenderedMessages(Message):
    """One rendered message per requested step, in the requested order."""

    messages: tuple[RenderedMessage, ...]


class SendRequest(Message):
    """Which message to send."""

    message_id: UUID
    organization_id: UUID


class SendReceipt(Message):
    """What became of a message. ``reason`` is set unless it was sent."""

    status: MessageStatus
    reason: str | None = None


class Withdrawal(Message):
    """A message that is not to be sent any more, and why."""

    message_id: UUID
    organization_id: UUID
    reason: str


class StepOutcome(Message):
    """How one step ended, and why unless it completed. ``position`` counts from 1."""

    step_id: str
    position: int
    kind: StepKind
    status: StepStatus
    reason: str | None = None
    message_id: UUID | None = None


class RunProgress(Message):
    """The steps done so far, and the wait the run is about to begin."""

    execution_id: UUID
    organization_id: UUID
    outcomes: tuple[StepOutcome, ...] = ()
    waiting_for: str | None = None


class RunOutcome(Message):
    """How a run ended; the result of the workflow and what is recorded."""

    execution_id: UUID
    organization_id: UUID
    status: ExecutionStatus
    reason: str | None = None
    outcomes: tuple[StepOutcome, ...] = ()


def run_status(outcomes: tuple[StepOutcome, ...]) -> tuple[ExecutionStatus, str | None]:
    """Return what a run with these outcomes is, and why.

    A failed or unknown step makes it failed; a run whose every message was skipped is
    skipped; nothing else is completed.
    """
    reasons = "; ".join(f"{o.step_id}: {o.reason}" for o in outcomes if o.reason) or None
    statuses = {outcome.status for outcome in outcomes}
    if statuses & {StepStatus.FAILED, StepStatus.UNKNOWN}:
        return ExecutionStatus.FAILED, reasons
    if StepStatus.CANCELLED in statuses:
        return ExecutionStatus.CANCELLED, reasons
    sends = {outcome.status for outcome in outcomes if outcome.kind is not StepKind.WAIT}
    if sends == {StepStatus.SKIPPED}:
        return ExecutionStatus.SKIPPED, reasons
    return ExecutionStatus.COMPLETED, reasons
