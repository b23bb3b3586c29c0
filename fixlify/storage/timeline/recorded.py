"""What is recorded of runs: what they decided, did and sent, in the shapes of their tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from fixlify.domain.runs import ExecutionStatus, MessageStatus, StepKind, StepStatus
from fixlify.storage.recorded_events import PastEvent


@dataclass(frozen=True, slots=True)
class TakenStep:
    """One step of a run and its outcome; ``result`` says which way a branch went."""

    step_id: str
    position: int
    kind: StepKind
    status: StepStatus
    reason: str | None
    result: str | None
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of a run's journal."""

    id: int
    step_id: str | None
    kind: str
    detail: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message of a run and what became of it."""

    step_id: str
    channel: str
    recipient_kind: str
    recipient: str | None
    subject: str | None
    status: MessageStatus
    reason: str | None
    error_code: str | None
    attempts: int
    provider: str | None
    provider_id: str | None
    segments: int | None
    message_class: str
    held_until: datetime | None
    created_at: datetime
    sending_at: datetime | None
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class Action:
    """What one step did to another system, or to the business's records."""

    step_id: str
    kind: str
    status: str
    reason: str | None
    attempts: int
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Told:
    """An event that reached a run, or is still on its way there."""

    event_id: int
    created_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Run:
    """One execution and everything it decided and did."""

    id: UUID
    automation_id: UUID
    automation: str
    version: int
    trigger_type: str
    subject_type: str
    subject_id: str
    trigger_data: Mapping[str, Any]
    status: ExecutionStatus
    reason: str | None
    waiting_for: str | None
    occurred_at: datetime
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    redrives: int
    steps: list[TakenStep] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    messages: list[Delivery] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    @property
    def event_id(self) -> int | None:
        """The event that set it off; None where that is not known."""
        found = self.trigger_data.get("event_id")
        return found if isinstance(found, int) else None


@dataclass(frozen=True, slots=True)
class ConsentChange:
    """Something the client, or their address, does not get any more; ``reason`` of an address."""

    created_at: datetime
    channel: str
    message_class: str | None
    source: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """What was recorded, oldest first; ``more`` says that older things were left out."""

    events: list[PastEvent]
    runs: list[Run]
    consent: list[ConsentChange] = field(default_factory=list)
    more: bool = False
