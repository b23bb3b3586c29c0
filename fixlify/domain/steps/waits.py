"""Steps that wait: for a while, until a moment that may move, for something to happen."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, PlainSerializer, Tag, field_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.conditions import Condition
from fixlify.domain.durations import Duration, format_duration, parse_duration
from fixlify.domain.events import EventType
from fixlify.domain.facts import PARTS, is_event_field
from fixlify.domain.models import Frozen
from fixlify.domain.names import did_you_mean
from fixlify.domain.steps.base import StepBase
from fixlify.domain.times import TIME_OF_DAY, TimeOfDay, parse_time_of_day
from fixlify.domain.triggers import Trigger


def _parse_offset(value: Any) -> timedelta:
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and text[:1] in ("-", "+"):
        length = parse_duration(text[1:].strip())
        return -length if text[0] == "-" else length
    if isinstance(text, timedelta):
        return -parse_duration(-text) if text < timedelta(0) else parse_duration(text)
    return parse_duration(text)


def _format_offset(offset: timedelta) -> str:
    sign = "-" if offset < timedelta(0) else ""
    return f"{sign}{format_duration(abs(offset))}"


Offset = Annotated[
    timedelta,
    BeforeValidator(_parse_offset, json_schema_input_type=str),
    PlainSerializer(_format_offset, return_type=str),
]
"""A time before (``-24h``) or after (``2h``) something, two years at most, never zero."""


def moment_fields() -> tuple[str, ...]:
    """Return the fields that hold a date or a moment, beside those of events."""
    return tuple(
        f"{part}.{name}"
        for part, model in PARTS.items()
        for name, info in model.model_fields.items()
        if {info.annotation, *get_args(info.annotation)} & {date, datetime}
    )


class FieldMoment(Frozen):
    """A moment that a field holds, shifted by ``offset``; it moves when the field does.

    With ``time`` it is that time of the day it falls on, on the client's wall. A field without
    a time of day (``invoice.due_date``) means 09:00 unless ``time`` says otherwise.
    """

    field: str
    offset: Offset | None = None
    time: TimeOfDay | None = None

    @field_validator("field")
    @classmethod
    def _holds_a_moment(cls, field: str) -> str:
        if field in moment_fields() or is_event_field(field):
            return field
        raise PydanticCustomError(
            "unknown_field",
            "'{field}' holds no date; {hint}",
            {"field": field, "hint": did_you_mean(field, moment_fields())},
        )


def _read_moment(value: Any) -> Any:
    """Say what may stand in ``at``, in one sentence rather than one for each kind."""
    if isinstance(value, dict | FieldMoment | date | time):
        return value
    if isinstance(value, str):
        if TIME_OF_DAY.fullmatch(value.strip()):
            return parse_time_of_day(value)
        for read in (date.fromisoformat, datetime.fromisoformat):
            try:
                return read(value.strip())
            except ValueError:
                continue
    raise PydanticCustomError(
        "moment",
        "'{value}' is no moment; write {field: job.schedule_start, offset: -24h}, a date, "
        'or a time of day in quotes, such as "09:30"',
        {"value": str(value)[:40]},
    )


def _kind_of_moment(value: Any) -> str:
    if isinstance(value, time):
        return "clock"
    if isinstance(value, datetime):
        return "instant"
    return "day" if isinstance(value, date) else "moment"


def _written(at: FieldMoment | datetime | date | time) -> Any:
    if isinstance(at, FieldMoment):
        return at.model_dump(mode="json", exclude_none=True)
    return f"{at:%H:%M}" if isinstance(at, time) else at.isoformat()


Moment = Annotated[
    Annotated[FieldMoment, Tag("moment")]
    | Annotated[datetime, Tag("instant")]
    | Annotated[date, Tag("day")]
    | Annotated[time, Tag("clock")],
    Discriminator(_kind_of_moment),
    BeforeValidator(_read_moment, json_schema_input_type=FieldMoment | str),
    PlainSerializer(_written, return_type=Any),
]
"""A moment of a field, a date (09:00 on the client's wall), a date and time, a time of day.

Without a zone it is the client's wall clock. A time of day is the next one to come.
"""


class IfLate(StrEnum):
    """What becomes of the steps after a moment that is missing or past."""

    SEND = "send"
    SKIP = "skip"


class Within(Frozen):
    """Go on if the moment passed at most this long ago, else skip."""

    within: Duration


_POLICIES = (*IfLate, "{within: 2h}")


def _is_policy(value: Any) -> Any:
    if isinstance(value, dict | Within) or value in list(IfLate):
        return value
    raise PydanticCustomError(
        "if_late",
        "unknown policy '{value}'; {hint}",
        {"value": str(value)[:40], "hint": did_you_mean(str(value), _POLICIES)},
    )


def _kind_of_policy(value: Any) -> str:
    return "limit" if isinstance(value, dict | Within) else "word"


LatePolicy = Annotated[
    Annotated[IfLate, Tag("word")] | Annotated[Within, Tag("limit")],
    Discriminator(_kind_of_policy),
    BeforeValidator(_is_policy),
]
"""``send``, ``skip``, or ``{within: 2h}``."""


class Wait(StepBase):
    """Wait on a durable timer; the run survives restarts and deploys meanwhile."""

    type: Literal["wait"] = "wait"
    for_: Annotated[Duration, Field(alias="for")]


class WaitUntil(StepBase):
    """Wait for a moment, and for the moment it was moved to.

    ``if_late`` is asked where the moment is missing or past, when the step is reached as well
    as when the run wakes: what then is skipped are the steps up to the next wait.
    """

    type: Literal["wait_until"] = "wait_until"
    at: Moment
    if_late: LatePolicy = IfLate.SKIP


class OnTimeout(StrEnum):
    """What a run does when what it waited for did not happen."""

    EXIT = "exit"
    CONTINUE = "continue"


class WaitForEvent(StepBase):
    """Wait for something to happen to what the run is about, at most for ``timeout``.

    ``event`` is written as a trigger is. ``conditions`` are about the facts at that moment.
    """

    type: Literal["wait_for_event"] = "wait_for_event"
    event: Trigger
    conditions: Condition | None = None
    timeout: Duration
    on_timeout: OnTimeout = OnTimeout.CONTINUE

    @field_validator("event")
    @classmethod
    def _happens_to_somebody(cls, event: Trigger) -> Trigger:
        if event.event_type in _FOUND_FOR_ONE_AUTOMATION:
            raise PydanticCustomError(
                "event",
                "nothing happens to a subject when '{type}' fires: a sweep or a clock finds it "
                "for one automation; wait for a change, such as job_status_changed",
                {"type": event.type},
            )
        return event


_FOUND_FOR_ONE_AUTOMATION = {
    EventType.SCHEDULED,
    EventType.INVOICE_OVERDUE,
    EventType.MAINTENANCE_DUE,
    EventType.STALE_JOB,
    EventType.APPOINTMENT_REMINDER,
}
