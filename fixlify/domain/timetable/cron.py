"""Cron lines: five fields, read with cronsim, and written back as a person would."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Final, NamedTuple

from cronsim import CronSim, CronSimError

LONGEST_LINE = 500

_EVERY_DAY_OF_MONTH: Final = tuple(range(1, 32))
_EVERY_DAY_OF_WEEK: Final = tuple(range(7))
# What each field is called, what it takes, and Quartz's extensions of it: what those mean, a
# calendar of plain numbers cannot hold.
_FIELDS: Final = (
    ("minute", "numbers from 0 to 59, such as 0, 0-29, 0,30 or */15", ""),
    ("hour", "numbers from 0 to 23, such as 9, 9-17, 9,12 or */2", ""),
    ("day of the month", "numbers from 1 to 31, such as 1, 1-7 or 1,15", "LW?"),
    ("month", "numbers from 1 to 12 or short names, such as 4, jan or jun-aug", ""),
    ("day of the week", "numbers from 0 to 7 or short names, such as 1, mon or mon-fri", "L#?"),
)
# cronsim wants to know where to begin; nothing here asks it what comes next.
_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)


class CronFields(NamedTuple):
    """What the five fields say, as ascending numbers; weekday 0 is Sunday.

    ``either_day`` is cron's own rule: where both day fields are restricted and neither is
    written with a leading star, a day needs to satisfy only one of them.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days_of_month: tuple[int, ...]
    months: tuple[int, ...]
    days_of_week: tuple[int, ...]
    either_day: bool


def read_cron(expression: str) -> CronFields:
    """Return what *expression* says; names (``mon``, ``JAN``) are read, and 7 is Sunday.

    Raises:
        ValueError: It is no cron line of five fields, uses an extension, or never fires.
    """
    if len(expression) > LONGEST_LINE:
        raise ValueError(f"a cron line has {LONGEST_LINE} characters at most; shorten it")
    fields = expression.split()
    if len(fields) == 6:
        raise ValueError("a cron line has five fields, without seconds; remove the first of six")
    if len(fields) != len(_FIELDS):
        raise ValueError(
            "a cron line has five fields, minute hour day-of-month month day-of-week, such as "
            f"'0 9 * * mon-fri'; this has {len(fields)}"
        )
    for place, field in enumerate(fields):
        _check(place, field)
    try:
        read = CronSim(" ".join(fields), _BEGINNING)
    except CronSimError as refused:
        # Every field is good alone, so it is the month that never has the day.
        raise ValueError(
            f"'{' '.join(fields)}' never fires: its months have no such day; change the third or "
            "the fourth field"
        ) from refused
    days_of_month = tuple(sorted(read.days))
    days_of_week = tuple(sorted({day % 7 for day in read.weekdays if isinstance(day, int)}))
    restricted = days_of_month != _EVERY_DAY_OF_MONTH and days_of_week != _EVERY_DAY_OF_WEEK
    if not read.day_and and not restricted:
        # Either of two suffices, and one of them is every day.
        days_of_month, days_of_week = _EVERY_DAY_OF_MONTH, _EVERY_DAY_OF_WEEK
    return CronFields(
        minutes=tuple(sorted(read.minutes)),
        hours=tuple(sorted(read.hours)),
        days_of_month=days_of_month,
        months=tuple(sorted(read.months)),
        days_of_week=days_of_week,
        either_day=not read.day_and and restricted,
    )


def _check(place: int, field: str) -> None:
    name, takes, extensions = _FIELDS[place]
    if any(extension in field.upper() for extension in extensions):
        raise ValueError(
            f"'{field[:40]}' as the {name} uses one of L, W, # and ?, which are not supported; "
            "name plain days (for the last day of a month use frequency monthly with "
            "day_of_month 31)"
        )
    alone = ["*"] * len(_FIELDS)
    alone[place] = field
    try:
        CronSim(" ".join(alone), _BEGINNING)
    except CronSimError as refused:
        raise ValueError(f"'{field[:40]}' is no {name}; write {takes}") from refused


def write_field(numbers: tuple[int, ...], every: tuple[int, ...], *, steps: bool = True) -> str:
    """Return one field: ``*``, ``*/15``, ``1-5`` or ``1,15``; *steps* allows the second."""
    if numbers == every:
        return "*"
    if steps and len(numbers) > 2 and numbers == every[:: numbers[1] - numbers[0]]:
        return f"*/{numbers[1] - numbers[0]}"
    return ",".join(_runs(numbers))


def write_starred(numbers: tuple[int, ...], every: tuple[int, ...]) -> str:
    """Return a day field with a leading star: how cron says that both day fields must match.

    *numbers* must hold the first of *every*, for a star begins there.
    """
    step = next(n for n in range(2, len(every) + 1) if set(every[::n]) <= set(numbers))
    rest = tuple(number for number in numbers if number not in every[::step])
    return ",".join([f"*/{step}", *_runs(rest)])


def _runs(numbers: tuple[int, ...]) -> Iterator[str]:
    for _, group in groupby(enumerate(numbers), key=lambda numbered: numbered[1] - numbered[0]):
        run = [number for _, number in group]
        if len(run) > 2:
            yield f"{run[0]}-{run[-1]}"
        else:
            yield from map(str, run)
