"""Until when quiet hours, business hours and holidays hold a message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from fixlify.domain.rules.model import MessageClass, Rules
from fixlify.domain.rules.spans import MIDNIGHT, open_at

SEARCHED: Final = timedelta(days=400)
"""How far ahead a moment is looked for at which a message may go."""

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)


class Hold(NamedTuple):
    """A message must wait: until when (aware, UTC), and by which rule."""

    until: datetime
    reason: str


class _Bar(NamedTuple):
    """One rule on the client's wall clock.

    ``reason`` tells why it holds a moment there, or None. It can let go at ``turns``, and where
    the clocks are changed; never in between.
    """

    reason: Callable[[datetime], str | None]
    turns: frozenset[time]


def hold_for_hours(
    rules: Rules, message_class: MessageClass, now: datetime, zone: ZoneInfo
) -> Hold | None:
    """Return how long hours and days hold a message, or None where it may go now.

    Args:
        rules: Those in effect for it.
        message_class: Which of them bind it.
        now: Aware.
        zone: The client's; every hour and day is one of its wall clock, so that what is
            quiet is quiet there, also in nights that are longer or shorter than others.

    Returns:
        The earliest moment from *now* on at which none of the rules holds any more, and those
        that held until then, in their order. Where there is none within ``SEARCHED``, the
        end of that, where somebody is to look again.
    """
    if now.tzinfo is None:
        raise ValueError("now must be aware: a wall clock without a zone is nobody's")
    now = now.astimezone(UTC)
    bars = _bars(rules, message_class, zone)
    moment, end = now, now + SEARCHED
    told: dict[str, None] = {}
    while True:
        wall = moment.astimezone(zone)
        held = [(bar, reason) for bar in bars if (reason := bar.reason(wall)) is not None]
        if not held:
            return Hold(moment, ", then ".join(told)) if told else None
        # The rule that holds longest is the one to tell of; the first of equals.
        moment, reason = max(
            ((_release(bar, moment, end, zone), reason) for bar, reason in held),
            key=lambda each: each[0],
        )
        told[reason] = None
        if moment >= end:
            return Hold(end, f"{', then '.join(told)}; nothing may go for {SEARCHED.days} days")


def _bars(rules: Rules, message_class: MessageClass, zone: ZoneInfo) -> list[_Bar]:
    """Return the rules that bind *message_class*."""
    bars: list[_Bar] = []
    if message_class is MessageClass.URGENT:
        return bars
    if (quiet := rules.quiet_hours) is not None:
        told = f"quiet hours {quiet} ({zone.key})"
        bars.append(
            _Bar(
                lambda wall: told if quiet.includes(wall.time()) else None,
                frozenset({quiet.to}),
            )
        )
    if message_class is not MessageClass.MARKETING:
        return bars
    if (hours := rules.business_hours) is not None:
        bars.append(
            _Bar(
                lambda wall: None if open_at(hours, wall) else "outside business hours",
                frozenset(span.from_ for span in hours.values()),
            )
        )
    if (holidays := rules.holidays) is not None:
        bars.append(
            _Bar(
                lambda wall: (
                    f"holiday: {name}" if (name := holidays.name_of(wall.date())) else None
                ),
                frozenset({MIDNIGHT}),
            )
        )
    return bars


def _release(bar: _Bar, after: datetime, end: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment after *after* at which *bar* holds nothing; *end* at the latest."""
    for moment in _turns(bar.turns, after, end, zone):
        if bar.reason(moment.astimezone(zone)) is None:
            return moment
    return end


def _turns(
    walls: frozenset[time], after: datetime, end: datetime, zone: ZoneInfo
) -> Iterator[datetime]:
    """Yield, in UTC and in their order, the moments at which a clock in *zone* shows *walls*.

    And those at which it is changed: in spring it may leap over a time of *walls*, in autumn
    it shows one twice, and comes back into hours that were over.
    """
    start = datetime.combine(after.date(), MIDNIGHT, UTC)
    while start < end:
        found = {_change(start, zone)}
        # No zone is more than a day away from UTC.
        for date in (start.date() - _DAY, start.date(), start.date() + _DAY):
            for wall in walls:
                for fold in (0, 1):
                    shown = datetime.combine(date, wall, zone).replace(fold=fold)
                    found.add(shown.astimezone(UTC))
        yield from sorted(
            each for each in found if start < each <= start + _DAY and after < each < end
        )
        start += _DAY


def _change(start: datetime, zone: ZoneInfo) -> datetime:
    """Return the second within a day of *start* at which the clocks in *zone* are changed.

    Where they are not, it is the end of that day.
    """
    before, after = start, start + _DAY
    offset = before.astimezone(zone).utcoffset()
    if after.astimezone(zone).utcoffset() == offset:
        return after
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
