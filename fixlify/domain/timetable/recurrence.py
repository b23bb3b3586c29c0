"""Which minutes of a wall clock come again: read from a cron line or named, and described."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from datetime import datetime, time
from types import MappingProxyType
from typing import Final

from pydantic import ValidationInfo, field_validator, model_validator

from fixlify.domain.models import Frozen
from fixlify.domain.timetable.cron import read_cron, write_field, write_starred

WEEKDAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
MOST_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""How many days each month has at most, January first."""

_EVERY: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "minutes": tuple(range(60)),
        "hours": tuple(range(24)),
        "days_of_month": tuple(range(1, 32)),
        "months": tuple(range(1, 13)),
        "days_of_week": tuple(range(7)),
    }
)


class Timetable(Frozen):
    """Which minutes of a wall clock: one canonical form per meaning, equal when that is equal.

    Every field holds ascending numbers, weekday 0 is Sunday, and a field left out is every one.

    Attributes:
        either_day: A day needs to be in one of the two day fields, not in both; only where
            both are restricted.
        clip_to_last_day: In a month too short for the chosen day its last day takes the place;
            only for a single day that a month can lack, and on all days of the week.
    """

    minutes: tuple[int, ...] = _EVERY["minutes"]
    hours: tuple[int, ...] = _EVERY["hours"]
    days_of_month: tuple[int, ...] = _EVERY["days_of_month"]
    months: tuple[int, ...] = _EVERY["months"]
    days_of_week: tuple[int, ...] = _EVERY["days_of_week"]
    either_day: bool = False
    clip_to_last_day: bool = False

    @field_validator(*_EVERY)
    @classmethod
    def _in_range(cls, numbers: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        every = _EVERY[str(info.field_name)]
        if not numbers or not set(numbers) <= set(every):
            raise ValueError(f"needs numbers from {every[0]} to {every[-1]}, at least one")
        return tuple(sorted(set(numbers)))

    @model_validator(mode="after")
    def _means_something(self) -> Timetable:
        any_weekday = self.days_of_week == _EVERY["days_of_week"]
        both_restricted = self.days_of_month != _EVERY["days_of_month"] and not any_weekday
        longest = max(MOST_DAYS[month - 1] for month in self.months)
        shortest = 28 if 2 in self.months else min(MOST_DAYS[month - 1] for month in self.months)
        if self.either_day and not both_restricted:
            raise ValueError("either_day needs both day fields restricted")
        one_day = any_weekday and len(self.days_of_month) == 1
        if self.clip_to_last_day and not (one_day and self.days_of_month[0] > shortest):
            raise ValueError("clip_to_last_day needs a single day that a month can lack")
        if not (self.either_day or self.clip_to_last_day or self.days_of_month[0] <= longest):
            raise ValueError("never fires: the months have no such day")
        if both_restricted and not self.either_day and not _has_star(self):
            raise ValueError("no cron line says this: both days, and neither begins with a star")
        return self

    @classmethod
    def daily(cls, hour: int, minute: int) -> Timetable:
        """Return every day at that time."""
        return cls(minutes=(minute,), hours=(hour,))

    @classmethod
    def weekly(cls, day_of_week: int, hour: int, minute: int) -> Timetable:
        """Return one day of every week; 0 is Sunday."""
        return cls(minutes=(minute,), hours=(hour,), days_of_week=(day_of_week,))

    @classmethod
    def monthly(cls, day_of_month: int, hour: int, minute: int) -> Timetable:
        """Return one day of every month; 29 to 31 are the last day of a shorter one."""
        return cls(
            minutes=(minute,),
            hours=(hour,),
            days_of_month=(day_of_month,),
            clip_to_last_day=28 < day_of_month <= 31,
        )

    @classmethod
    def yearly(cls, month: int, day_of_month: int, hour: int, minute: int) -> Timetable:
        """Return one day of every year; 29 February is the 28th of a common year.

        Raises:
            ValueError: The month never has that day.
        """
        return cls(
            minutes=(minute,),
            hours=(hour,),
            days_of_month=(day_of_month,),
            months=(month,),
            clip_to_last_day=(month, day_of_month) == (2, 29),
        )

    @classmethod
    def from_cron(cls, expression: str) -> Timetable:
        """Return what a cron line of five fields says.

        Raises:
            ValueError: It is invalid, or never fires; the message says why and what to do.
        """
        return cls(**read_cron(expression)._asdict())

    def days(self, year: int, month: int) -> list[int]:
        """Return the days of a month it falls on, ascending; none in a month that is not its."""
        if month not in self.months:
            return []
        before, last = monthrange(year, month)
        found = []
        for day in range(1, last + 1):
            chosen = day in self.days_of_month or (
                self.clip_to_last_day and day == last < self.days_of_month[0]
            )
            on_weekday = (before + day) % 7 in self.days_of_week
            if (chosen or on_weekday) if self.either_day else (chosen and on_weekday):
                found.append(day)
        return found

    def times(self) -> list[time]:
        """Return its times of a day, ascending."""
        return [time(hour, minute) for hour in self.hours for minute in self.minutes]

    def includes(self, local: datetime) -> bool:
        """Whether it has the minute that *local*, read off a wall clock, lies in."""
        return (
            local.minute in self.minutes
            and local.hour in self.hours
            and local.day in self.days(local.year, local.month)
        )


def cron_line(timetable: Timetable) -> str:
    """Return the five fields; what a cron line cannot say, the clipping, is left out."""
    # A leading star is how cron says that both days must match; where one may, none has it.
    stars = not timetable.either_day
    days_of_month = write_field(timetable.days_of_month, _EVERY["days_of_month"], steps=stars)
    days_of_week = write_field(timetable.days_of_week, _EVERY["days_of_week"], steps=stars)
    if stars and not (days_of_month.startswith("*") or days_of_week.startswith("*")):
        if timetable.days_of_week[0] == 0:
            days_of_week = write_starred(timetable.days_of_week, _EVERY["days_of_week"])
        else:
            days_of_month = write_starred(timetable.days_of_month, _EVERY["days_of_month"])
    return " ".join(
        [
            write_field(timetable.minutes, _EVERY["minutes"]),
            write_field(timetable.hours, _EVERY["hours"]),
            days_of_month,
            write_field(timetable.months, _EVERY["months"]),
            days_of_week,
        ]
    )


def describe(timetable: Timetable) -> str:
    """Return a sentence for people, ``weekly on Monday at 09:00``; else the cron line."""
    line = cron_line(timetable)
    minute, hour, day, month, weekday = line.split()
    if line == "* * * * *":
        return "every minute"
    if minute.isdigit() and line.endswith(" * * * *"):
        return f"hourly at :{int(minute):02}"
    if not (minute.isdigit() and hour.isdigit()):
        return line
    at = f"at {int(hour):02}:{int(minute):02}"
    last = " (or the last day)" if timetable.clip_to_last_day else ""
    match (day.isdigit(), month.isdigit(), weekday.isdigit()):
        case (False, False, False) if line.endswith(" * * *"):
            return f"daily {at}"
        case (False, False, True) if (day, month) == ("*", "*"):
            return f"weekly on {WEEKDAYS[int(weekday)].capitalize()} {at}"
        case (True, False, False) if (month, weekday) == ("*", "*"):
            return f"monthly on day {day}{last} {at}"
        case (True, True, False) if weekday == "*":
            return f"yearly on {day} {MONTHS[int(month) - 1].capitalize()}{last} {at}"
    return line


def _has_star(timetable: Timetable) -> bool:
    return timetable.days_of_month[0] == 1 or timetable.days_of_week[0] == 0
