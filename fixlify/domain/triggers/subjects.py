"""What the runs that a trigger sets off are about, as far as the trigger alone tells."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fixlify.domain.events import EventType, SubjectType
from fixlify.domain.triggers import Trigger
from fixlify.domain.triggers.scheduled import Audience, Scheduled

_SUBJECTS: Final[Mapping[EventType, SubjectType]] = MappingProxyType(
    {
        EventType.JOB_CREATED: SubjectType.JOB,
        EventType.JOB_STATUS_CHANGED: SubjectType.JOB,
        EventType.JOB_SCHEDULED: SubjectType.JOB,
        EventType.JOB_TAGS_CHANGED: SubjectType.JOB,
        EventType.JOB_UPDATED: SubjectType.JOB,
        EventType.STALE_JOB: SubjectType.JOB,
        EventType.APPOINTMENT_REMINDER: SubjectType.JOB,
        EventType.CLIENT_CREATED: SubjectType.CLIENT,
        EventType.CLIENT_UPDATED: SubjectType.CLIENT,
        EventType.CLIENT_TAGS_CHANGED: SubjectType.CLIENT,
        EventType.MAINTENANCE_DUE: SubjectType.CLIENT,
        EventType.ESTIMATE_STATUS_CHANGED: SubjectType.ESTIMATE,
        EventType.INVOICE_STATUS_CHANGED: SubjectType.INVOICE,
        EventType.INVOICE_OVERDUE: SubjectType.INVOICE,
        EventType.PAYMENT_RECEIVED: SubjectType.PAYMENT,
        EventType.TASK_CREATED: SubjectType.TASK,
        EventType.TASK_STATUS_CHANGED: SubjectType.TASK,
        EventType.SMS_RECEIVED: SubjectType.SMS,
    }
)
_OF_AUDIENCE: Final[Mapping[Audience, SubjectType]] = MappingProxyType(
    {
        Audience.ORGANIZATION: SubjectType.ORGANIZATION,
        Audience.CLIENTS: SubjectType.CLIENT,
        Audience.JOBS: SubjectType.JOB,
        Audience.INVOICES: SubjectType.INVOICE,
    }
)


def subject_of(trigger: Trigger) -> SubjectType | None:
    """Return what the runs of *trigger* are about; None where each event says so for itself."""
    if isinstance(trigger, Scheduled):
        return _OF_AUDIENCE[trigger.audience]
    return _SUBJECTS.get(trigger.event_type)
