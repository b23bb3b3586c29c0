"""How late something that fell due may still be acted on, as ranges that rows are compared with.

Rows hold dates and times without end (``infinity``), which cannot be reckoned with. So what is
reckoned is the range, and rows are only ever compared.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

OVERDUE_CATCH_UP: Final = timedelta(days=2)
"""How late a reminder of an overdue invoice may go out."""
MAINTENANCE_CATCH_UP: Final = timedelta(days=7)
"""How late a reminder of maintenance may go out."""
STALE_CATCH_UP: Final = timedelta(days=1)
"""How late a job may be found to be stale."""
REMEMBERED: Final = timedelta(days=30)
"""How old what was missed may be to be recorded as missed."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Threshold:
    """The due dates of invoices that are ``days`` overdue, both ends included.

    Due from ``in_time_from`` to ``reached``, the reminder goes out; due from ``missed_from``
    until then, it should have gone out and did not.
    """

    days: int
    reached: date
    in_time_from: date
    missed_from: date


def thresholds(days: Iterable[int], today: date, listening_from: date | None) -> list[Threshold]:
    """Return the ranges of each number of *days* as they are *today*.

    Args:
        days: How many days after the due date to remind.
        today: In the organization's zone.
        listening_from: See ``first_sweep_day``; what fell due before was not missed.
    """
    found = []
    for count in days:
        reached = today - timedelta(days=count)
        in_time_from = reached - OVERDUE_CATCH_UP
        missed_from = _missed_from(today, listening_from) - timedelta(days=count)
        found.append(Threshold(count, reached, in_time_from, min(missed_from, in_time_from)))
    return found


def first_sweep_day(since: datetime | None, swept_at: datetime, zone: str) -> date | None:
    """Return the first local date on which a daily sweep serves what exists *since* then.

    Args:
        since: An instant, or None for what has always been, which is served every day.
        swept_at: When a sweep of that zone takes place, on any day: its time of day counts.
        zone: A name against which ``zone_problem`` has nothing.
    """
    if since is None:
        return None
    clock = ZoneInfo(zone)
    local = since.astimezone(clock)
    is_too_late = local.time() > swept_at.astimezone(clock).time()
    return local.date() + _DAY if is_too_late else local.date()


@dataclass(frozen=True, slots=True)
class Services:
    """The services that maintenance follows: those before ``until``, as instants.

    Those from ``in_time_from`` on are reminded of; for those from ``missed_from`` until then
    the reminder should have gone out and did not.
    """

    missed_from: datetime
    in_time_from: datetime
    until: datetime


def services_due(months: int, today: date, zone: str, listening_from: date | None) -> Services:
    """Return the services that were *months* calendar months ago, today or not long ago.

    A month after 31 January is the last of February; what is compared is the local date.

    Args:
        months: How long after a service the next one is due.
        today: In *zone*.
        zone: The organization's.
        listening_from: See ``first_sweep_day``; what fell due before was not missed.
    """
    in_time = today - MAINTENANCE_CATCH_UP
    in_time_from = _first_reaching(in_time, months)
    missed_from = _first_reaching(min(_missed_from(today, listening_from), in_time), months)
    return Services(
        _midnight(missed_from, zone),
        _midnight(in_time_from, zone),
        _midnight(_last_reaching(today, months) + _DAY, zone),
    )


def add_months(day: date, months: int) -> date:
    """Return the same day *months* months later, or the last of a month that is too short."""
    year, index = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, index + 1, min(day.day, monthrange(year, index + 1)[1]))


def _first_reaching(day: date, months: int) -> date:
    """Return the earliest date that is *day* or later when *months* have passed."""
    first = add_months(day, -months)
    while add_months(first - _DAY, months) >= day:
        first -= _DAY
    while add_months(first, months) < day:
        first += _DAY
    return first


def _last_reaching(day: date, months: int) -> date:
    """Return the latest date that is *day* or earlier when *months* have passed."""
    last = add_months(day, -months)
    while add_months(last, months) > day:
        last -= _DAY
    while add_months(last + _DAY, months) <= day:
        last += _DAY
    return last


def _missed_from(today: date, listening_from: date | None) -> date:
    oldest = today - REMEMBERED
    return oldest if listening_from is None else max(oldest, listening_from)


def _midnight(day: date, zone: str) -> datetime:
    # Where a gap swallows midnight, this is the instant at which the day begins all the same.
    return datetime.combine(day, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Visits:
    """The visits that a reminder some time before is due for: after ``after``, until ``until``.

    Those after ``in_time_after`` are reminded of; for the others it is too late. After an
    outage some of them may be over.
    """

    after: datetime
    in_time_after: datetime
    until: datetime


def visits_near(
    before: timedelta,
    tolerance: timedelta,
    now: datetime,
    swept_until: datetime | None,
    listening_since: datetime | None,
) -> Visits:
    """Return the visits whose reminder, *before* the visit, is due or was missed.

    Args:
        before: How long before the visit the reminder is due.
        tolerance: How late it may go out; less than *before*.
        now: An aware instant.
        swept_until: When this was last looked for; None where it never was. What fell due since
            then was missed even if the visit is over by now.
        listening_since: What was due before this was not missed.
    """
    until = now + before
    in_time_after = until - tolerance
    missed_after = now if listening_since is None else listening_since + before
    after = max(now, min(missed_after, in_time_after))
    if swept_until is not None:
        unswept = max(swept_until, listening_since or swept_until, now - REMEMBERED)
        after = min(after, unswept + before)
    return Visits(after, in_time_after, until)


@dataclass(frozen=True, slots=True)
class Standing:
    """Since when a stale job stands in its status: after ``after``, ``until`` at the latest.

    Those since ``in_time_after`` are acted on; for the others it is too late.
    """

    after: datetime
    in_time_after: datetime
    until: datetime


def standing_for(
    days: int, now: datetime, swept_until: datetime | None, listening_since: datetime | None
) -> Standing:
    """Return since when a job stands that has stood in its status for *days*, but not for long.

    Args:
        days: Of 24 hours.
        now: An aware instant.
        swept_until: When this was last looked for; None where it never was. What went stale
            since then and cannot be acted on any more was missed.
        listening_since: What went stale before this was not missed.
    """
    until = now - timedelta(days=days)
    in_time_after = until - STALE_CATCH_UP
    after = in_time_after
    if swept_until is not None:
        missed_after = max(swept_until, listening_since or swept_until, now - REMEMBERED)
        after = min(after, missed_after - timedelta(days=days))
    return Standing(after, in_time_after, until)
