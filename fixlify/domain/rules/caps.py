"""Until when a cap on the number of messages to one client holds the next one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from fixlify.domain.rules.hours import Hold
from fixlify.domain.rules.model import Cap, Channel, MessageClass, Rules


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
