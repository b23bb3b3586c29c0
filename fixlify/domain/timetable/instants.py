"""The instants a timetable falls on in a zone, days on which the clocks change included."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import dropwhile, takewhile
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, NaiveDatetime

from fixlify.domain.models import Frozen
from fixlify.domain.timetable.recurrence import Timetable

# Python's dates end with 9999; the years at both ends are left to the zones' offsets.
_FIRST_YEAR, _LAST_YEAR = 2, 9998
_EARLIEST = datetime(_FIRST_YEAR, 1, 2, tzinfo=UTC)
_LATEST = datetime(_LAST_YEAR + 1, 1, 2, tzinfo=UTC)
_DAY = timedelta(days=1)


class Occurrence(Frozen):
    """One time of a timetable: ``local`` as the timetable writes it, ``at`` when it happens."""

    local: NaiveDatetime
    at: AwareDatetime


def occurrences(timetable: Timetable, zone: str, after: datetime) -> Iterator[Occurrence]:
    """Yield what follows *after*, an aware instant, in the order of instants, up to year 9998.

    A time that the spring gap swallows is moved forward by the gap (02:30 to 03:30), and is
    no occurrence of its own where the timetable has that time as well. An hour that comes
    twice in autumn counts the first time.

    Args:
        timetable: What comes again.
        zone: A name against which `zone_problem` has nothing.
        after: Occurrences at this very instant are left out.
    """
    clock, after = ZoneInfo(zone), _within_reach(after)
    first = _wall_clock(after, clock)
    locals_ = dropwhile(lambda local: local < first, _local_times(timetable, first.date()))
    return dropwhile(lambda occurrence: occurrence.at <= after, _in_order(locals_, clock))


def last_occurrence(timetable: Timetable, zone: str, at: datetime) -> Occurrence | None:
    """Return the newest occurrence that is not after *at*, or None where there was none yet."""
    clock, at = ZoneInfo(zone), _within_reach(at)
    for local in _local_times(timetable, _wall_clock(at, clock).date(), step=-1):
        found, _ = _read(local, clock)
        if found.at <= at:
            # Where the clocks changed, others happened since: an earlier local time that was
            # moved past this one, or a later one before the clocks were put back.
            since = occurrences(timetable, zone, found.at - timedelta.resolution)
            return deque(takewhile(lambda occurrence: occurrence.at <= at, since), maxlen=1).pop()
    return None


def unplanned(timetable: Timetable, zone: str, first_year: int, last_year: int) -> list[Occurrence]:
    """Return the occurrences of those local years that a plain calendar would leave out.

    A plain calendar compares the fields with the wall clock: it lets gaps swallow times and
    knows no last day of a month. Temporal's is one, so it is handed these as dates.
    """
    clock = ZoneInfo(zone)
    found = []
    for day in _days(timetable, date(first_year, 1, 1)):
        if day.year > last_year:
            break
        clipped = timetable.clip_to_last_day and day.day not in timetable.days_of_month
        if not clipped and not _has_gap(day, clock):
            continue
        for each in timetable.times():
            occurrence, earliest = _read(datetime.combine(day, each), clock)
            moved = occurrence.at > earliest
            if moved and timetable.includes(occurrence.at.astimezone(clock)):
                continue
            if moved or clipped:
                found.append(occurrence)
    return found


def _within_reach(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone; pass an aware datetime")
    return min(max(instant, _EARLIEST), _LATEST)


def _wall_clock(instant: datetime, clock: ZoneInfo) -> datetime:
    """Return what a clock of the zone shows then, or the less it would without today's gap.

    No gap is longer than a day, so all that happens after *instant* has a later local time.
    """
    utc = instant.astimezone(UTC)
    offset = min(_offset(utc - _DAY, clock), _offset(utc, clock))
    return utc.replace(tzinfo=None) + offset


def _offset(instant: datetime, clock: ZoneInfo) -> timedelta:
    return instant.astimezone(clock).utcoffset() or timedelta()


def _days(timetable: Timetable, start: date, step: int = 1) -> Iterator[date]:
    """Yield its days from *start* on; back from it with step -1."""
    first, last = _FIRST_YEAR * 12, _LAST_YEAR * 12 + 11
    month = min(max(start.year * 12 + start.month - 1, first), last)
    while first <= month <= last:
        year, index = divmod(month, 12)
        for number in timetable.days(year, index + 1)[::step]:
            day = date(year, index + 1, number)
            if day >= start if step > 0 else day <= start:
                yield day
        month += step


def _local_times(timetable: Timetable, start: date, step: int = 1) -> Iterator[datetime]:
    times = timetable.times()[::step]
    for day in _days(timetable, start, step):
        for each in times:
            yield datetime.combine(day, each)


def _read(local: datetime, clock: ZoneInfo) -> tuple[Occurrence, datetime]:
    """Return the occurrence, and the earliest instant that a later local time can have.

    The two are the same, except in a gap. Python reads a time there with the offset of
    before, which is the moving forward we want, and with fold=1 by the offset of after.
    """
    at = local.replace(tzinfo=clock).astimezone(UTC)
    again = local.replace(tzinfo=clock, fold=1).astimezone(UTC)
    return Occurrence(local=local, at=at), min(at, again)


def _in_order(locals_: Iterator[datetime], clock: ZoneInfo) -> Iterator[Occurrence]:
    """Yield occurrences of ascending local times by instant, merging in what gaps moved."""
    moved: deque[Occurrence] = deque()
    for local in locals_:
        occurrence, earliest = _read(local, clock)
        while moved and moved[0].at < earliest:
            yield moved.popleft()
        if occurrence.at > earliest:
            moved.append(occurrence)
            continue
        if moved and moved[0].at == occurrence.at:
            moved.popleft()
        yield occurrence
    yield from moved


def _has_gap(day: date, clock: ZoneInfo) -> bool:
    """Whether the clocks of the zone are put forward on *day*, or into it, or out of it."""
    begins = datetime.combine(day, time(), tzinfo=clock)
    ends = datetime.combine(day + _DAY, time(), tzinfo=clock).replace(fold=1)
    return (ends.utcoffset() or timedelta()) > (begins.utcoffset() or timedelta())
