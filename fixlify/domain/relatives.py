"""What belongs to what, and so which events the runs of an automation can hear of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fixlify.domain.events import EventType, SubjectType
from fixlify.domain.triggers import Custom, Scheduled, Trigger
from fixlify.domain.triggers.scheduled import Audience

BELONGS_TO: Final[Mapping[SubjectType, frozenset[SubjectType]]] = MappingProxyType(
    {
        SubjectType.ORGANIZATION: frozenset(),
        SubjectType.CLIENT: frozenset(),
        SubjectType.JOB: frozenset({SubjectType.CLIENT}),
        SubjectType.ESTIMATE: frozenset({SubjectType.JOB, SubjectType.CLIENT}),
        SubjectType.INVOICE: frozenset({SubjectType.JOB, SubjectType.CLIENT}),
        SubjectType.PAYMENT: frozenset({SubjectType.INVOICE, SubjectType.JOB, SubjectType.CLIENT}),
        SubjectType.TASK: frozenset({SubjectType.JOB, SubjectType.CLIENT}),
        SubjectType.SMS: frozenset({SubjectType.CLIENT}),
    }
)
"""The records that a record may belong to, as ``fixlify_relatives_of()`` finds them."""

OF_THE_CLIENT: Final = frozenset({SubjectType.CLIENT, SubjectType.SMS})
"""What runs about any record of the same client hear of: the client, and what they write."""

SUBJECTS: Final[Mapping[EventType, SubjectType | None]] = MappingProxyType(
    {
        EventType.JOB_CREATED: SubjectType.JOB,
        EventType.JOB_STATUS_CHANGED: SubjectType.JOB,
        EventType.JOB_SCHEDULED: SubjectType.JOB,
        EventType.JOB_TAGS_CHANGED: SubjectType.JOB,
        EventType.JOB_UPDATED: SubjectType.JOB,
        EventType.CLIENT_CREATED: SubjectType.CLIENT,
        EventType.CLIENT_UPDATED: SubjectType.CLIENT,
        EventType.CLIENT_TAGS_CHANGED: SubjectType.CLIENT,
        EventType.ESTIMATE_STATUS_CHANGED: SubjectType.ESTIMATE,
        EventType.INVOICE_STATUS_CHANGED: SubjectType.INVOICE,
        EventType.PAYMENT_RECEIVED: SubjectType.PAYMENT,
        EventType.TASK_CREATED: SubjectType.TASK,
        EventType.TASK_STATUS_CHANGED: SubjectType.TASK,
        EventType.SMS_RECEIVED: SubjectType.SMS,
        EventType.CUSTOM: None,
        EventType.SCHEDULED: None,
        EventType.INVOICE_OVERDUE: SubjectType.INVOICE,
        EventType.MAINTENANCE_DUE: SubjectType.CLIENT,
        EventType.STALE_JOB: SubjectType.JOB,
        EventType.APPOINTMENT_REMINDER: SubjectType.JOB,
    }
)
"""What events of a type are about; None where each says so itself."""

AUDIENCES: Final[Mapping[Audience, SubjectType]] = MappingProxyType(
    {
        Audience.ORGANIZATION: SubjectType.ORGANIZATION,
        Audience.CLIENTS: SubjectType.CLIENT,
        Audience.JOBS: SubjectType.JOB,
        Audience.INVOICES: SubjectType.INVOICE,
    }
)
"""What the runs of a clock are about."""


def subject_of(trigger: Trigger) -> SubjectType | None:
    """Return what the events of *trigger* are about; None where that varies."""
    match trigger:
        case Scheduled():
            return AUDIENCES[trigger.audience]
        case Custom():
            return None
    return SUBJECTS[trigger.event_type]


def can_hear(run_subject: SubjectType, event_subject: SubjectType) -> bool:
    """Whether a run about the one is ever told of an event about the other.

    A run hears of its own subject and of what belongs to it: a job's of the job, its estimates,
    invoices, payments and tasks. And of its client, whatever it is about.
    """
    if run_subject is event_subject or run_subject in BELONGS_TO[event_subject]:
        return True
    return event_subject in OF_THE_CLIENT and run_subject is not SubjectType.ORGANIZATION


def heard_by(run_subject: SubjectType) -> tuple[SubjectType, ...]:
    """Return everything a run about *run_subject* can hear of, its own subject first."""
    others = (each for each in SubjectType if each is not run_subject)
    return (run_subject, *(each for each in others if can_hear(run_subject, each)))
