"""Triggers of what falls due without anybody doing anything; sweeps look for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from fixlify.domain.durations import Duration
from fixlify.domain.events import Event, EventType
from fixlify.domain.lateness import MAINTENANCE_CATCH_UP, OVERDUE_CATCH_UP, STALE_CATCH_UP
from fixlify.domain.models import Frozen
from fixlify.domain.triggers.filters import Statuses, Words

LONGEST_DAYS = 365


def _one_or_many_days(value: Any) -> Any:
    days = value if isinstance(value, list | tuple) else [value]
    for day in days:
        if isinstance(day, bool) or not isinstance(day, int) or not 1 <= day <= LONGEST_DAYS:
            raise PydanticCustomError(
                "days",
                "must be a whole number of days between 1 and {most}, or a list of them",
                {"most": LONGEST_DAYS},
            )
    return list(days)


def _ascending(days: list[int]) -> list[int]:
    return sorted(set(days))


Days = Annotated[
    list[int],
    BeforeValidator(_one_or_many_days, json_schema_input_type=int | list[int]),
    Field(min_length=1, max_length=20),
    AfterValidator(_ascending),
]


class FoundBySweep(Frozen):
    """Set off by what a sweep found for this very automation."""

    event_type: ClassVar[EventType]

    @property
    def good_for(self) -> timedelta:
        """How long after it was found it may still be acted on."""
        raise NotImplementedError

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off."""
        return event.type is self.event_type


class InvoiceOverdue(FoundBySweep):
    """An open invoice is some number of days past its due date; each number once."""

    type: Literal["invoice_overdue"] = "invoice_overdue"
    event_type: ClassVar = EventType.INVOICE_OVERDUE
    days: Annotated[
        Days, Field(validation_alias=AliasChoices("days", "days_overdue", "daysOverdue"))
    ]

    @property
    def good_for(self) -> timedelta:
        """How long after it was found it may still be acted on."""
        return OVERDUE_CATCH_UP

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: the threshold."""
        return str(event.data.get("days", ""))


class MaintenanceDue(FoundBySweep):
    """A client's last completed service is some months ago, and nothing is booked since."""

    type: Literal["maintenance_due"] = "maintenance_due"
    event_type: ClassVar = EventType.MAINTENANCE_DUE
    months: Annotated[int, Field(ge=1, le=60, strict=True)]
    job_types: Annotated[
        Words | None, Field(validation_alias=AliasChoices("job_types", "job_type", "jobTypes"))
    ] = None

    @property
    def good_for(self) -> timedelta:
        """How long after it was found it may still be acted on."""
        return MAINTENANCE_CATCH_UP

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: the service it follows."""
        return str(event.data.get("last_job_id", ""))


class StaleJob(FoundBySweep):
    """A job has stood in a status for some days."""

    type: Literal["stale_job"] = "stale_job"
    event_type: ClassVar = EventType.STALE_JOB
    status: Statuses
    days: Annotated[int, Field(ge=1, le=LONGEST_DAYS, strict=True)]

    @property
    def good_for(self) -> timedelta:
        """How long after it was found it may still be acted on."""
        return STALE_CATCH_UP

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: since when it stands there."""
        return str(event.data.get("since", ""))


class AppointmentReminder(FoundBySweep):
    """A job's visit is near; a visit that moves is reminded of at its new time."""

    type: Literal["appointment_reminder"] = "appointment_reminder"
    event_type: ClassVar = EventType.APPOINTMENT_REMINDER
    before: Duration

    @property
    def tolerance(self) -> timedelta:
        """How late a reminder may go out: half its lead, two hours at most."""
        return min(self.before / 2, timedelta(hours=2))

    @property
    def good_for(self) -> timedelta:
        """How long after it was found it may still be acted on: never until after the visit."""
        return self.tolerance

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: the visit's time."""
        return str(event.data.get("visit", ""))
