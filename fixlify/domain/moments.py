"""When a ``wait_until`` ends, by the facts as they are, and what is to be done if that is past."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from fixlify.domain.durations import format_duration
from fixlify.domain.facts import Facts
from fixlify.domain.steps import FieldMoment, IfLate, WaitUntil, Within
from fixlify.domain.timetable.zones import first_zone

GRACE: Final = timedelta(minutes=5)
"""How long after its moment nobody would call a message late."""

MORNING: Final = time(9)
"""What a date without a time of day means, on the client's wall."""

_DAY = timedelta(days=1)


class Arrival(NamedTuple):
    """When to go on; in UTC.

    Go on at ``until``, at once where it is None; skip what hangs on the moment where ``late``
    says why. What is sent then is worth nothing after ``good_until``.
    """

    until: datetime | None
    late: str | None = None
    good_until: datetime | None = None


def find_arrival(
    step: WaitUntil, facts: Facts, now: datetime, armed: datetime | None = None
) -> Arrival:
    """Return when *step* is over.

    Args:
        step: What is waited for.
        facts: As they are now; the client's zone tells what a wall clock means.
        now: Aware.
        armed: What an earlier look at the same wait returned. A time of day is the one that
            was to come then; a date that was taken away since may come back until then.
    """
    zone = client_zone(facts)
    found = _find(step.at, facts, zone, now, armed)
    if found is None:
        return _without_moment(step, armed, now)
    until, good_until = found
    if isinstance(step.if_late, Within):
        # A moment of the calendar's last days is worth something until the end of it.
        with suppress(OverflowError):
            end = until + step.if_late.within
            good_until = end if good_until is None else min(end, good_until)
    return Arrival(until, _lateness(step, until, now), good_until)


def client_zone(facts: Facts) -> ZoneInfo:
    """Return the client's own zone; the organization's where that is none, else UTC."""
    own = facts.client.time_zone if facts.client else None
    return first_zone(own, facts.organization.time_zone)


def _find(
    at: FieldMoment | datetime | date | time,
    facts: Facts,
    zone: ZoneInfo,
    now: datetime,
    armed: datetime | None,
) -> tuple[datetime, datetime | None] | None:
    try:
        if isinstance(at, FieldMoment):
            return _of_field(at, facts, zone)
        if isinstance(at, time):
            return armed or _next_time(at, zone, now), None
        if isinstance(at, datetime):
            return _instant(at, zone), None
        return _on_the_wall(at, MORNING, zone), None
    except (OverflowError, ValueError):
        # Shifted beyond the calendar.
        return None


def _of_field(
    at: FieldMoment, facts: Facts, zone: ZoneInfo
) -> tuple[datetime, datetime | None] | None:
    value = _moment(facts.lookup(at.field))
    if value is None:
        return None
    offset = at.offset or timedelta()
    if isinstance(value, datetime):
        anchor = _instant(value, zone)
        until = anchor + offset
        if at.time is not None:
            until = _on_the_wall(until.astimezone(zone).date(), at.time, zone)
    else:
        anchor = _on_the_wall(value, at.time or MORNING, zone)
        # Days before a day are counted on the calendar, whatever the clocks did between.
        days, rest = divmod(offset, _DAY)
        until = _on_the_wall(value + days * _DAY, at.time or MORNING, zone) + rest
    # Before the visit is no time after it.
    return until, anchor if offset < timedelta() else None


def _moment(value: object) -> datetime | date | None:
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        for read in (date.fromisoformat, datetime.fromisoformat):
            try:
                return read(value)
            except ValueError:
                continue
    return None


def _instant(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return *moment* in UTC; without a zone of its own it is what the wall there says."""
    if moment.tzinfo is None:
        return _on_the_wall(moment.date(), moment.time(), zone)
    return moment.astimezone(UTC)


def _on_the_wall(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return that time there, in UTC; one that the spring gap swallows is moved past it."""
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)


def _next_time(at: time, zone: ZoneInfo, now: datetime) -> datetime:
    today = now.astimezone(zone).date()
    found = _on_the_wall(today, at, zone)
    return found if found >= now else _on_the_wall(today + _DAY, at, zone)


def _without_moment(step: WaitUntil, armed: datetime | None, now: datetime) -> Arrival:
    if armed is not None and armed > now:
        return Arrival(armed)
    if step.if_late is IfLate.SEND:
        return Arrival(None)
    field = step.at.field if isinstance(step.at, FieldMoment) else "the moment"
    return Arrival(None, late=f"{field} is empty")


def _lateness(step: WaitUntil, until: datetime, now: datetime) -> str | None:
    late_by = now - until
    if late_by <= GRACE or step.if_late is IfLate.SEND:
        return None
    if isinstance(step.if_late, Within):
        if late_by <= step.if_late.within:
            return None
        at_most = f"; at most {format_duration(step.if_late.within)} was asked for"
    else:
        at_most = ""
    minutes = timedelta(minutes=late_by // timedelta(minutes=1))
    return f"{format_duration(minutes)} too late for {until:%Y-%m-%d %H:%M} UTC{at_most}"
