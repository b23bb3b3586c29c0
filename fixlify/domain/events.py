"""Events: the things that happened to a business row, or that a sweep or a caller reported."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from fixlify.domain.models import Frozen
from fixlify.domain.names import normalized


class SubjectType(StrEnum):
    """What an event is about; ids are unique within their type and organization."""

    ORGANIZATION = "organization"
    CLIENT = "client"
    JOB = "job"
    ESTIMATE = "estimate"
    INVOICE = "invoice"
    PAYMENT = "payment"
    TASK = "task"
    SMS = "sms"


class EventType(StrEnum):
    """What is recorded, by whom, and with which data.

    Row triggers record what happened to a row; ``before`` and ``after`` are values as they
    were written. Sweeps record what they found for one automation.
    """

    JOB_CREATED = "job_created"  # after: the status
    JOB_STATUS_CHANGED = "job_status_changed"  # before, after
    JOB_SCHEDULED = "job_scheduled"  # before, after: the visit's start, ISO 8601
    JOB_TAGS_CHANGED = "job_tags_changed"  # added, removed: lists
    JOB_UPDATED = "job_updated"  # changed: the columns' names
    CLIENT_CREATED = "client_created"
    CLIENT_UPDATED = "client_updated"  # changed
    CLIENT_TAGS_CHANGED = "client_tags_changed"  # added, removed
    ESTIMATE_STATUS_CHANGED = "estimate_status_changed"  # before (None when new), after
    INVOICE_STATUS_CHANGED = "invoice_status_changed"  # before (None when new), after
    PAYMENT_RECEIVED = "payment_received"  # amount, method
    TASK_CREATED = "task_created"  # after: the status
    TASK_STATUS_CHANGED = "task_status_changed"  # before, after
    SMS_RECEIVED = "sms_received"  # body

    CUSTOM = "custom"  # name, data; reported from outside

    SCHEDULED = "scheduled"  # local: the wall-clock time, ISO 8601 without a zone
    INVOICE_OVERDUE = "invoice_overdue"  # days: the threshold, due_date
    MAINTENANCE_DUE = "maintenance_due"  # months, last_job_id, last_service
    STALE_JOB = "stale_job"  # days, status, since
    APPOINTMENT_REMINDER = "appointment_reminder"  # before: seconds, visit


class Event(Frozen):
    """One row of ``automation_events``.

    ``occurred_at`` is the database's clock at the write, not at the commit. What a sweep
    found is for one automation, and carries its occurrence; ``late`` in its data says why it
    comes too late to be acted on. ``waited`` is how long it stood in the outbox until a relay
    claimed it, by the same clock. ``chain`` are the automations that led to it, oldest first,
    and ``caused_by`` the execution that wrote what happened; neither where people did.
    """

    id: int
    organization_id: UUID
    type: EventType
    subject_type: SubjectType
    subject_id: str
    data: Mapping[str, Any] = Field(default_factory=dict)
    occurred_at: datetime
    automation_id: UUID | None = None
    occurrence_key: str | None = None
    waited: timedelta = timedelta()
    chain: tuple[UUID, ...] = ()
    caused_by: UUID | None = None

    @property
    def before(self) -> str | None:
        """The value as it was, None where there was none."""
        return _text(self.data.get("before"))

    @property
    def after(self) -> str | None:
        """The value as it is, None where there is none."""
        return _text(self.data.get("after"))

    @property
    def changed(self) -> frozenset[str]:
        """The columns of an edited row that changed."""
        columns = self.data.get("changed")
        return frozenset(map(str, columns)) if isinstance(columns, list | tuple) else frozenset()

    @property
    def too_late(self) -> str | None:
        """Why a sweep found this too late to be acted on, or None."""
        return _text(self.data.get("late"))

    @property
    def is_rewrite(self) -> bool:
        """Whether the same status was written again: a double click, or another spelling.

        Nothing changed, so it sets nothing off; inside the duplicate window it is recorded
        beside the execution it repeats.
        """
        return self.type in STATUS_CHANGES and normalized(self.before) == normalized(self.after)


STATUS_CHANGES = frozenset(
    {
        EventType.JOB_STATUS_CHANGED,
        EventType.ESTIMATE_STATUS_CHANGED,
        EventType.INVOICE_STATUS_CHANGED,
        EventType.TASK_STATUS_CHANGED,
    }
)
"""The events that carry a free-form status before and after."""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
