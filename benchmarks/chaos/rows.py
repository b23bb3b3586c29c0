"""The rows the reckoning reads, in the shapes of their tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

TAKEN: Final = frozenset({"sent", "delivered", "undelivered", "bounced"})
"""Statuses of a message that its provider has."""

ENDED: Final = frozenset({"completed", "failed", "skipped", "cancelled"})
"""Statuses of an execution that nothing follows."""


@dataclass(frozen=True, slots=True)
class Automation:
    """An automation as it stands; ``definition`` is its current version's, as JSON."""

    id: UUID
    organization_id: UUID
    name: str
    status: str
    version: int
    activated_at: datetime | None
    definition: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its company has it now."""

    organization_id: UUID
    id: str
    client_id: UUID | None
    status: str | None


@dataclass(frozen=True, slots=True)
class Client:
    """A client as their company has them now."""

    organization_id: UUID
    id: UUID
    email: str | None
    phone: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something somebody does not want any more, and since when at the latest.

    ``client_id`` or ``address`` says who; without ``message_class`` it is all of the channel.
    """

    organization_id: UUID
    channel: str
    client_id: UUID | None
    address: str | None
    message_class: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the outbox."""

    id: int
    organization_id: UUID | None
    event_type: str
    subject_type: str
    subject_id: str | None
    data: Mapping[str, Any]
    occurred_at: datetime
    processed_at: datetime | None
    outcome: str | None
    automation_id: UUID | None
    occurrence_key: str | None
    chain: list[UUID] | None
    caused_by: UUID | None


@dataclass(frozen=True, slots=True)
class Execution:
    """One match; ``reason`` is its error where it failed."""

    id: UUID
    organization_id: UUID
    automation_id: UUID
    occurrence_key: str
    subject_type: str
    subject_id: str
    trigger_value: str
    trigger_data: Mapping[str, Any]
    occurred_at: datetime
    status: str
    reason: str | None
    workflow_id: str | None
    run_id: str | None
    created_at: datetime
    launched_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    chain: list[UUID] | None
    redrives: int

    @property
    def ran(self) -> bool:
        """Whether it was more than a recorded "not this time"."""
        return self.status != "skipped" or self.started_at is not None


@dataclass(frozen=True, slots=True)
class Step:
    """One executed step."""

    execution_id: UUID
    step_id: str
    kind: str
    status: str
    reason: str | None
    message_id: UUID | None
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of a run's journal."""

    execution_id: UUID
    step_id: str | None
    kind: str
    detail: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """One row of the delivery ledger."""

    id: UUID
    organization_id: UUID
    execution_id: UUID
    step_id: str
    channel: str
    message_class: str
    recipient_kind: str
    recipient_id: UUID | None
    recipient: str | None
    subject: str | None
    body_text: str | None
    body_html: str | None
    status: str
    reason: str | None
    attempts: int
    provider_id: str | None
    created_at: datetime

    @property
    def is_taken(self) -> bool:
        """Whether its provider has it."""
        return self.status in TAKEN


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of a message's status; ``attempt`` counts hand-overs so far."""

    message_id: UUID
    at: datetime
    from_status: str
    to_status: str
    cause: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Workflow:
    """One run of a workflow, as Temporal lists it; ``status`` is its name there: ``RUNNING``."""

    id: str
    run_id: str
    status: str
    start_time: datetime
