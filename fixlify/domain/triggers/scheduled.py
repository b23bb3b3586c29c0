"""The trigger of a clock: a named frequency or a cron line, for an audience."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AliasChoices, BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.durations import Duration
from fixlify.domain.events import Event, EventType
from fixlify.domain.models import Frozen
from fixlify.domain.timetable import MONTHS, MOST_DAYS, WEEKDAYS, Timetable, zone_problem
from fixlify.domain.timetable.words import DayOfMonth, Hour, Minute, Month, Weekday

LONGEST_CATCH_UP: Final = timedelta(hours=24)
_AUDIENCE_TAKES: Final = timedelta(hours=1)


class Frequency(StrEnum):
    """How often the clock strikes."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"


class Audience(StrEnum):
    """What a run is for: one for each that meets the conditions, or the organization itself."""

    CLIENTS = "clients"
    JOBS = "jobs"
    INVOICES = "invoices"
    ORGANIZATION = "organization"


_NEEDS: Final[Mapping[Frequency, tuple[str, ...]]] = MappingProxyType(
    {
        Frequency.DAILY: ("hour",),
        Frequency.WEEKLY: ("hour", "day_of_week"),
        Frequency.MONTHLY: ("hour", "day_of_month"),
        Frequency.YEARLY: ("hour", "month", "day_of_month"),
    }
)


def _plural(value: Any) -> Any:
    """Return an audience's own name for another number of it: ``client`` is ``clients``."""
    if isinstance(value, str):
        for audience in Audience:
            if value.strip().casefold().removesuffix("s") == audience.removesuffix("s"):
                return audience
    return value


class Scheduled(Frozen):
    """The clock struck: at a ``frequency``, or as a ``cron`` line says.

    Days 29 to 31 of a monthly timetable, and 29 February of a yearly one, are the last day of
    a month that is too short. ``time_zone`` None is the organization's. ``catch_up`` is how
    late a run may still happen after an outage.
    """

    type: Literal["scheduled"] = "scheduled"
    event_type: ClassVar = EventType.SCHEDULED

    # The order matters: each field is checked against those above it.
    cron: str | None = None
    frequency: Annotated[Frequency | None, Field(validate_default=True)] = None
    hour: Annotated[Hour | None, Field(validate_default=True)] = None
    minute: Annotated[Minute | None, Field(validate_default=True)] = None
    day_of_week: Annotated[
        Weekday | None,
        Field(validate_default=True, validation_alias=AliasChoices("day_of_week", "dayOfWeek")),
    ] = None
    month: Annotated[Month | None, Field(validate_default=True)] = None
    day_of_month: Annotated[
        DayOfMonth | None,
        Field(validate_default=True, validation_alias=AliasChoices("day_of_month", "dayOfMonth")),
    ] = None
    time_zone: Annotated[
        str | None,
        Field(validation_alias=AliasChoices("time_zone", "timeZone", "timezone")),
    ] = None
    audience: Annotated[Audience, BeforeValidator(_plural)] = Audience.ORGANIZATION
    catch_up: Annotated[Duration, Field(validation_alias=AliasChoices("catch_up", "catchUp"))] = (
        timedelta(hours=1)
    )

    @field_validator("cron")
    @classmethod
    def _can_fire(cls, cron: str | None) -> str | None:
        if cron is not None:
            Timetable.from_cron(cron)
        return cron

    @field_validator("frequency")
    @classmethod
    def _says_when_once(cls, frequency: Frequency | None, info: ValidationInfo) -> Frequency | None:
        if "cron" not in info.data:
            return frequency
        cron = info.data["cron"]
        if cron is None and frequency is None:
            raise PydanticCustomError(
                "when", "say when: a 'frequency' (daily, weekly, monthly, yearly) or a 'cron' line"
            )
        if cron is not None and frequency is not None:
            raise PydanticCustomError(
                "when", "give either a 'frequency' or a 'cron' line, not both; remove one"
            )
        return frequency

    @field_validator("hour", "minute", "day_of_week", "month", "day_of_month")
    @classmethod
    def _belongs_to_the_frequency(cls, value: Any, info: ValidationInfo) -> Any:
        key = str(info.field_name)
        if not {"cron", "frequency"} <= info.data.keys():
            # Wrong already; what this key should be depends on it.
            return value
        frequency: Frequency | None = info.data["frequency"]
        if frequency is None:
            if value is not None:
                raise PydanticCustomError(
                    "ignored", "the cron line says this; remove '{key}'", {"key": key}
                )
            return None
        if key == "minute":
            return value or 0
        needed = _NEEDS[frequency]
        if value is None and key in needed:
            raise PydanticCustomError(
                "needed",
                "frequency {frequency} needs it; add {key}",
                {"frequency": frequency.value, "key": key},
            )
        if value is not None and key not in needed:
            raise PydanticCustomError(
                "ignored",
                "frequency {frequency} does not use it; remove it",
                {"frequency": frequency.value},
            )
        return value

    @field_validator("day_of_month")
    @classmethod
    def _is_in_the_month(cls, day: int | None, info: ValidationInfo) -> int | None:
        month = info.data.get("month")
        if day is not None and month is not None and day > (most := MOST_DAYS[month - 1]):
            raise PydanticCustomError(
                "no_such_day",
                "{month} never has a day {day}; use {most} at most",
                {"month": MONTHS[month - 1].capitalize(), "day": day, "most": most},
            )
        return day

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, zone: str | None) -> str | None:
        if zone is not None and (problem := zone_problem(zone)) is not None:
            raise PydanticCustomError("time_zone", "{problem}", {"problem": problem})
        return zone

    @field_validator("catch_up")
    @classmethod
    def _is_not_stale(cls, catch_up: timedelta) -> timedelta:
        if catch_up > LONGEST_CATCH_UP:
            raise PydanticCustomError(
                "catch_up", "a run may be 24h late at most; later it would send stale messages"
            )
        return catch_up

    @property
    def timetable(self) -> Timetable:
        """Which minutes of the zone's wall clock it strikes at."""
        match self:
            case Scheduled(cron=str(line)):
                return Timetable.from_cron(line)
            case Scheduled(frequency=Frequency.DAILY, hour=int(hour), minute=int(minute)):
                return Timetable.daily(hour, minute)
            case Scheduled(
                frequency=Frequency.WEEKLY,
                hour=int(hour),
                minute=int(minute),
                day_of_week=str(name),
            ):
                return Timetable.weekly(WEEKDAYS.index(name), hour, minute)
            case Scheduled(
                frequency=Frequency.MONTHLY,
                hour=int(hour),
                minute=int(minute),
                day_of_month=int(day),
            ):
                return Timetable.monthly(day, hour, minute)
            case Scheduled(
                hour=int(hour), minute=int(minute), month=int(month), day_of_month=int(day)
            ):
                return Timetable.yearly(month, day, hour, minute)
        raise AssertionError("a schedule that was never validated")

    @property
    def good_for(self) -> timedelta:
        """How long after the clock struck for somebody it may still be acted on."""
        # Those of a large audience wait for each other, however punctual their run.
        return max(self.catch_up, _AUDIENCE_TAKES)

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off."""
        return event.type is self.event_type

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: the local time."""
        return str(event.data.get("local", ""))
