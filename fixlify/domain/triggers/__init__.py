"""Triggers: which events set an automation off."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, get_args

from pydantic import Field

from fixlify.domain.events import EventType
from fixlify.domain.triggers.clients import (
    ClientCreated,
    ClientTagsChanged,
    ClientUpdated,
    SmsReceived,
)
from fixlify.domain.triggers.custom import Custom
from fixlify.domain.triggers.due import (
    AppointmentReminder,
    InvoiceOverdue,
    MaintenanceDue,
    StaleJob,
)
from fixlify.domain.triggers.jobs import (
    JobCompleted,
    JobCreated,
    JobScheduled,
    JobStatusChanged,
    JobTagsChanged,
    JobUpdated,
    TaskCompleted,
    TaskCreated,
)
from fixlify.domain.triggers.money import (
    EstimateAccepted,
    EstimateDeclined,
    EstimateSent,
    EstimateStatusChanged,
    InvoicePaid,
    InvoiceSent,
    PaymentReceived,
)
from fixlify.domain.triggers.scheduled import Scheduled

__all__ = [
    "TRIGGERS_BY_EVENT",
    "AppointmentReminder",
    "ClientCreated",
    "ClientTagsChanged",
    "ClientUpdated",
    "Custom",
    "EstimateAccepted",
    "EstimateDeclined",
    "EstimateSent",
    "EstimateStatusChanged",
    "InvoiceOverdue",
    "InvoicePaid",
    "InvoiceSent",
    "JobCompleted",
    "JobCreated",
    "JobScheduled",
    "JobStatusChanged",
    "JobTagsChanged",
    "JobUpdated",
    "MaintenanceDue",
    "PaymentReceived",
    "Scheduled",
    "SmsReceived",
    "StaleJob",
    "TaskCompleted",
    "TaskCreated",
    "Trigger",
]

_AnyTrigger = (
    JobCreated
    | JobStatusChanged
    | JobCompleted
    | JobScheduled
    | JobTagsChanged
    | JobUpdated
    | ClientCreated
    | ClientUpdated
    | ClientTagsChanged
    | EstimateSent
    | EstimateAccepted
    | EstimateDeclined
    | EstimateStatusChanged
    | InvoiceSent
    | InvoicePaid
    | PaymentReceived
    | TaskCreated
    | TaskCompleted
    | SmsReceived
    | Custom
    | Scheduled
    | InvoiceOverdue
    | MaintenanceDue
    | StaleJob
    | AppointmentReminder
)

Trigger = Annotated[_AnyTrigger, Field(discriminator="type")]
"""What sets an automation off; ``type`` says which."""


def _triggers_by_event() -> dict[EventType, tuple[str, ...]]:
    found: dict[EventType, tuple[str, ...]] = {}
    for trigger in get_args(_AnyTrigger):
        name = trigger.model_fields["type"].default
        found[trigger.event_type] = (*found.get(trigger.event_type, ()), name)
    return found


TRIGGERS_BY_EVENT: Mapping[EventType, tuple[str, ...]] = MappingProxyType(_triggers_by_event())
"""Which trigger types to look for when an event of a type arrives."""
