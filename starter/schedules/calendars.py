"""A timetable as Temporal's calendars, with the dates that plain calendars leave out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from temporalio.client import ScheduleCalendarSpec, ScheduleRange, ScheduleSpec

from fixlify.domain.timetable import Timetable, cron_line, occurrences, unplanned

# A schedule is looked at every hour and holds its dates for years: an engine may rest that long.
YEARS_AHEAD: Final = 3

_EVERY_DAY: Final = tuple(range(1, 32))
_EVERY_WEEKDAY: Final = tuple(range(7))


def schedule_spec(
    timetable: Timetable, zone: str, dates: Sequence[datetime], jitter: timedelta | None = None
) -> ScheduleSpec:
    """Return what Temporal is to be told.

    Args:
        timetable: Which minutes of a wall clock.
        zone: On whose wall; a name against which ``zone_problem`` has nothing.
        dates: What ``explicit_dates`` returned.
        jitter: How much later than planned an action may begin.
    """
    return ScheduleSpec(
        calendars=[*_calendars(timetable), *_single_days(dates)],
        time_zone_name=zone,
        jitter=jitter,
    )


# Thousands of automations share a few timetables, and each takes years to go through.
@lru_cache(maxsize=1024)
def explicit_dates(timetable: Timetable, zone: str, first_year: int) -> tuple[datetime, ...]:
    """Return the wall-clock times of this and the next years that need naming, ascending.

    They are the times that a spring gap moved forward, the last days of months that are
    shorter than the timetable's day, and all of a day that the server passes over.
    """
    clock = ZoneInfo(zone)
    last_year = first_year + YEARS_AHEAD
    found = {each.at for each in unplanned(timetable, zone, first_year, last_year)}
    found.update(_passed_over(timetable, zone, first_year, last_year))
    return tuple(at.astimezone(clock).replace(tzinfo=None) for at in sorted(found))


def _passed_over(
    timetable: Timetable, zone: str, first_year: int, last_year: int
) -> Iterator[datetime]:
    """Yield the instants of days that have no midnight, where days of the week are chosen.

    The server steps from midnight to midnight to find the next weekday; where the clocks are
    put forward at midnight (Chile, Cuba, Egypt), it steps past that day (seen in 1.32).
    """
    if timetable.days_of_week == _EVERY_WEEKDAY:
        return
    clock = ZoneInfo(zone)
    for year in range(first_year, last_year + 1):
        for month in timetable.months:
            for day in timetable.days(year, month):
                midnight = datetime(year, month, day, tzinfo=clock)
                begins = midnight.astimezone(UTC)
                if begins.astimezone(clock).hour != 0:
                    ends = begins + timedelta(days=1)
                    for each in occurrences(timetable, zone, begins - timedelta(seconds=1)):
                        if each.at >= ends or each.at.astimezone(clock).day != day:
                            break
                        yield each.at


def _calendars(timetable: Timetable) -> Iterator[ScheduleCalendarSpec]:
    days = [(timetable.days_of_month, timetable.days_of_week)]
    if timetable.either_day:
        # Temporal wants every field to match; two calendars are what either of them means.
        days = [
            (timetable.days_of_month, _EVERY_WEEKDAY),
            (_EVERY_DAY, timetable.days_of_week),
        ]
    for days_of_month, days_of_week in days:
        yield ScheduleCalendarSpec(
            minute=_ranges(timetable.minutes),
            hour=_ranges(timetable.hours),
            day_of_month=_ranges(days_of_month),
            month=_ranges(timetable.months),
            day_of_week=_ranges(days_of_week),
            comment=cron_line(timetable),
        )


def _single_days(dates: Iterable[datetime]) -> Iterator[ScheduleCalendarSpec]:
    minutes: dict[date, dict[int, list[int]]] = {}
    for each in dates:
        minutes.setdefault(each.date(), {}).setdefault(each.hour, []).append(each.minute)
    for day, by_hour in minutes.items():
        hours: dict[tuple[int, ...], list[int]] = {}
        for hour, of_hour in by_hour.items():
            hours.setdefault(tuple(of_hour), []).append(hour)
        for same_minutes, in_hours in hours.items():
            yield ScheduleCalendarSpec(
                minute=_ranges(same_minutes),
                hour=_ranges(in_hours),
                day_of_month=_ranges([day.day]),
                month=_ranges([day.month]),
                year=_ranges([day.year]),
                comment=f"{day}, which the cron line leaves out",
            )


def _ranges(numbers: Sequence[int]) -> tuple[ScheduleRange, ...]:
    """Return ascending *numbers* as Temporal's ranges, in tuples as the server returns them."""
    steps = {after - before for before, after in pairwise(numbers)}
    if len(steps) == 1 and len(numbers) > 2:
        return (ScheduleRange(numbers[0], numbers[-1], steps.pop()),)
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return tuple(ScheduleRange(run[0], run[-1]) for run in runs)
