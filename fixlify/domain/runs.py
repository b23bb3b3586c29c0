"""What passes between an automation's workflow and its activities: ids and decisions.

No names, addresses or texts: these models are written into Temporal histories.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from fixlify.domain.events import SubjectType
from fixlify.domain.models import Message
from fixlify.domain.rules import MessageClass


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

    ``queued`` may be sent; ``held`` waits until it may; ``sending`` is in a provider's hands,
    and ``unknown`` may be. The provider has taken what is ``sent``, and later reports it
    ``delivered``, ``undelivered`` or ``bounced``. What is ``failed``, ``suppressed`` or
    ``cancelled`` never went out. The legal ways between them are in the database:
    ``fixlify_may_become``.
    """

    QUEUED = "queued"
    HELD = "held"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    BOUNCED = "bounced"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"


TAKEN = frozenset(
    {
        MessageStatus.SENT,
        MessageStatus.DELIVERED,
        MessageStatus.UNDELIVERED,
        MessageStatus.BOUNCED,
    }
)
"""A provider took the message, whatever became of it there."""


class StepKind(StrEnum):
    """What a planned step does."""

    EMAIL = "email"
    SMS = "sms"
    WAIT = "wait"
    WAIT_UNTIL = "wait_until"
    WAIT_FOR_EVENT = "wait_for_event"
    BRANCH = "branch"
    EXIT = "exit"
    WEBHOOK = "webhook"
    UPDATE = "update"
    TASK = "task"


MESSAGES = frozenset({StepKind.EMAIL, StepKind.SMS})
WAITS = frozenset({StepKind.WAIT, StepKind.WAIT_UNTIL, StepKind.WAIT_FOR_EVENT})
ACTIONS = frozenset({StepKind.WEBHOOK, StepKind.UPDATE, StepKind.TASK})


class StepStatus(StrEnum):
    """How a step ended; ``held`` is no end, it may not act yet."""

    HELD = "held"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


class StepOutcome(Message):
    """How one step ended, and why unless it completed. ``position`` counts from 1.

    ``result`` says which way a branch went, which event came, or which moment a ``wait_until``
    waited for, in ISO 8601. Older runs have none.
    """

    step_id: str
    position: int
    kind: StepKind
    status: StepStatus
    reason: str | None = None
    message_id: UUID | None = None
    result: str | None = None


class Carried(Message):
    """What a run knows when it goes on in a fresh history.

    ``heard`` are events it was told of and has not looked at, ``told`` the last it was told
    of at all. ``deadlines`` are when the waits under way end, by step.
    """

    outcomes: tuple[StepOutcome, ...] = ()
    heard: tuple[int, ...] = ()
    told: tuple[int, ...] = ()
    deadlines: Mapping[str, datetime] = Field(default_factory=dict)
    held_since: Mapping[str, datetime] = Field(default_factory=dict)


class Heard(Message):
    """Events of its subject that a run is told of; ids, which it has seen or not."""

    event_ids: tuple[int, ...]


class AutomationRun(Message):
    """Input of the automation workflow. ``carried`` is set where it goes on in a new history."""

    execution_id: UUID
    organization_id: UUID
    carried: Carried | None = None


class ContextRequest(Message):
    """Which execution a run takes; ``now`` is the run's own clock.

    With ``writes`` what it begins with is written at once, where that is messages.
    """

    execution_id: UUID
    organization_id: UUID
    now: datetime | None = None
    writes: bool = False


class PlannedStep(Message):
    """One step without its texts and conditions.

    ``position`` counts from 1, branches included. ``duration`` is set for waits and for the
    time-out of an event, ``to`` for messages. Older runs have only the fields down to
    ``duration``; what follows decodes to what they did.
    """

    id: str
    position: int
    kind: StepKind
    to: str | None = None
    duration: timedelta | None = None
    enabled: bool = True
    stops_on_error: bool = False
    exits_on_timeout: bool = False
    emails_landlines: bool = False
    then: tuple[PlannedStep, ...] = ()
    otherwise: tuple[PlannedStep, ...] = ()


class Ending(Message):
    """Why the run goes no further, and as what it is recorded.

    The ``reason`` is empty where the steps' own reasons say it.
    """

    status: ExecutionStatus
    reason: str


class RenderedMessage(Message):
    """One row of the ledger, ready to send when ``status`` is queued.

    It is to be tried ``at_once``, in the workflow task that wrote it, before it takes its place
    in the channel's queue. It was ``found`` where an earlier attempt entered it, and may have
    tried it, of which the run knows nothing. Messages of older runs are neither, and have no
    ``message_class``: it decided nothing of theirs.
    """

    step_id: str
    message_id: UUID
    status: MessageStatus
    reason: str | None = None
    message_class: MessageClass = MessageClass.TRANSACTIONAL
    at_once: bool = False
    found: bool = False


class RenderedMessages(Message):
    """One rendered message per requested step, in the requested order.

    With an ``ending`` there are none: the run is over.
    """

    messages: tuple[RenderedMessage, ...] = ()
    ending: Ending | None = None


class RunPlan(Message):
    """What an execution is to do, and about what.

    ``done`` are the steps that an earlier run of it completed; a person set it going again.
    ``written`` is what it begins with, where that is messages. Older runs have nothing written,
    and no ``subject_type``: they were all about jobs.
    """

    automation_id: UUID
    version: int
    subject_type: SubjectType = SubjectType.JOB
    subject_id: str
    steps: tuple[PlannedStep, ...] = ()
    done: tuple[StepOutcome, ...] = ()
    written: RenderedMessages | None = None


class StepRequest(Message):
    """Which step of an execution something is asked about, or is to be done.

    ``now`` is the run's own clock. ``event_ids`` are the events it was told of since it last
    looked.
    """

    execution_id: UUID
    organization_id: UUID
    automation_id: UUID
    version: int
    subject_type: SubjectType
    subject_id: str
    step_id: str
    now: datetime
    event_ids: tuple[int, ...] = ()
    deadline: datetime | None = None


class View(Message):
    """What a run sees when it looks at the facts, for one step.

    Of a ``wait_until``: ``until`` is its moment, None where there is none; ``late`` says why
    what follows is to be skipped; what follows is worth nothing after ``good_until``. Of a
    ``branch``: whether it ``holds``. Of a ``wait_for_event``: ``event_id``, the one it waited
    for. ``ending`` is set where the run is over.
    """

    ending: Ending | None = None
    until: datetime | None = None
    late: str | None = None
    good_until: datetime | None = None
    holds: bool | None = None
    event_id: int | None = None


class ActionReceipt(Message):
    """What became of a step that acts.

    ``held`` says why it may not act yet, in ``reason``, and at most ``until`` when.
    """

    status: StepStatus
    reason: str | None = None
    until: datetime | None = None
    ending: Ending | None = None


class RenderRequest(Message):
    """Which steps of an execution to render, of which version, about what.

    What they say is worth nothing after ``good_until``; None where nothing limits it. Older
    runs have no ``subject_type``: they were all about jobs.
    """

    execution_id: UUID
    organization_id: UUID
    automation_id: UUID
    version: int
    subject_type: SubjectType = SubjectType.JOB
    subject_id: str
    step_ids: tuple[str, ...]
    now: datetime | None = None
    good_until: datetime | None = None


class SendRequest(Message):
    """Which message to send.

    ``now`` is the run's own clock, for a try inside a workflow task; what takes its place in a
    queue goes by Temporal's. ``begun`` is when it was first tried, by the run's clock, if that was
    before it took that place.
    """

    message_id: UUID
    organization_id: UUID
    now: datetime | None = None
    begun: datetime | None = None


class SendReceipt(Message):
    """What became of a message. ``reason`` is set unless it was sent.

    A held one may be tried again at ``until``, where that is known. One that is ``late`` was
    cancelled for that alone: the run goes on. ``ending`` is set where the run is over with it.
    ``code`` is the provider's, of one that failed; ``landline`` says that it failed because the
    number takes no text messages. One that is ``queued`` was tried at once, in vain, and takes
    its place in the channel's queue, after ``pause`` where that is set.
    """

    status: MessageStatus
    reason: str | None = None
    until: datetime | None = None
    late: bool = False
    ending: Ending | None = None
    code: str | None = None
    landline: bool = False
    pause: timedelta | None = None


class Withdrawal(Message):
    """A message that is not to be sent any more, and why."""

    message_id: UUID
    organization_id: UUID
    reason: str


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


def run_status(
    outcomes: tuple[StepOutcome, ...], ending: Ending | None = None
) -> tuple[ExecutionStatus, str | None]:
    """Return what a run with these outcomes is, and why.

    A failed or unknown step makes it failed, whatever ended it. A run that did nothing of
    what it was to do is skipped; nothing else is completed.
    """
    explained = [f"{o.step_id}: {o.reason}" for o in outcomes if o.reason]
    if (
        ending is not None
        and ending.reason
        and not any(o.reason == ending.reason for o in outcomes)
    ):
        explained.append(ending.reason)
    reasons = "; ".join(explained) or None
    statuses = {outcome.status for outcome in outcomes}
    if statuses & {StepStatus.FAILED, StepStatus.UNKNOWN}:
        return ExecutionStatus.FAILED, reasons
    if StepStatus.CANCELLED in statuses:
        return ExecutionStatus.CANCELLED, reasons
    if ending is not None and ending.status is not ExecutionStatus.COMPLETED:
        return ending.status, reasons
    acts = {outcome.status for outcome in outcomes if outcome.kind in MESSAGES | ACTIONS}
    if acts == {StepStatus.SKIPPED} or (ending is not None and not acts):
        return ExecutionStatus.SKIPPED, reasons
    return ExecutionStatus.COMPLETED, reasons
