"""Until when a cap on the number of messages to one client holds the next one, and all rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fixlify.domain.rules.hours import SEARCHED, Hold, hold_for_hours
from fixlify.domain.rules.model import Cap, Channel, MessageClass, Rules


class Sent(NamedTuple):
    """A message that a client got: when (aware), over which channel, of which class."""

    at: datetime
    channel: Channel
    message_class: MessageClass


def caps_that_bind(rules: Rules, channel: Channel, message_class: MessageClass) -> tuple[Cap, ...]:
    """Return the caps that bind such a message; none binds what is urgent."""
    return tuple(cap for cap in rules.caps if cap.counts(channel, message_class))


def hold_for_cap(cap: Cap, sent: Sequence[datetime], now: datetime) -> Hold | None:
    """Return how long *cap* holds one more message, or None where it may go now.

    Args:
        cap: Which.
        sent: When the messages went that count for it (see ``Cap.counts``), in any order;
            older ones than its window do no harm. Aware.
        now: Aware. What was sent exactly one window ago counts no more.
    """
    counted = sorted(moment for moment in sent if moment > now - cap.per)
    if len(counted) < cap.at_most:
        return None
    # From then on only the newest `at_most - 1` are left.
    last_to_leave = counted[len(counted) - cap.at_most]
    return Hold((last_to_leave + cap.per).astimezone(UTC), f"cap: {cap}")


def hold_for_rules(
    rules: Rules,
    channel: Channel,
    message_class: MessageClass,
    sent: Sequence[Sent],
    now: datetime,
    zone: ZoneInfo,
) -> Hold | None:
    """Return how long hours, days and caps together hold a message, or None where it may go now.

    A cap may let go at night, and the morning find the cap free again; so both are asked until
    neither holds. What else is sent meanwhile nobody knows yet.

    Args:
        rules: Those in effect for it.
        channel: Over which it goes.
        message_class: Which of the rules bind it.
        sent: What the client got within the longest window, of any channel and class.
        now: Aware.
        zone: The client's.
    """
    caps = [
        (cap, [each.at for each in sent if cap.counts(each.channel, each.message_class)])
        for cap in caps_that_bind(rules, channel, message_class)
    ]
    moment = now
    told: dict[str, None] = {}
    while True:
        by_caps = [hold_for_cap(cap, counted, moment) for cap, counted in caps]
        holds = [hold_for_hours(rules, message_class, moment, zone), *by_caps]
        longest = max(
            (hold for hold in holds if hold is not None), key=lambda hold: hold.until, default=None
        )
        if longest is not None:
            told[longest.reason] = None
            moment = longest.until
        if longest is None or moment - now >= SEARCHED:
            return Hold(moment, ", then ".join(told)) if told else None
