"""How long a message is tried, and with which pauses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from fixlify.domain.failures import FailureKind
from fixlify.domain.rules import MessageClass

# An arrival that is announced an hour later is none; a bill reminder may wait out an outage.
DELIVERY_DEADLINES: Final[Mapping[MessageClass, timedelta]] = MappingProxyType(
    {
        MessageClass.URGENT: timedelta(hours=1),
        MessageClass.TRANSACTIONAL: timedelta(hours=6),
        MessageClass.MARKETING: timedelta(hours=24),
    }
)
"""How long a message of each class is tried, from its first attempt on."""

FIRST_PAUSE: Final[Mapping[FailureKind, timedelta]] = MappingProxyType(
    {FailureKind.TEMPORARY: timedelta(seconds=1), FailureKind.THROTTLED: timedelta(seconds=5)}
)
LONGEST_PAUSE: Final[Mapping[FailureKind, timedelta]] = MappingProxyType(
    {FailureKind.TEMPORARY: timedelta(minutes=1), FailureKind.THROTTLED: timedelta(minutes=5)}
)


def pause_before(attempt: int, kind: FailureKind, asked: timedelta | None) -> timedelta:
    """Return how long to wait before the next attempt.

    Args:
        attempt: The one that failed, from 1.
        kind: Why; it doubles from ``FIRST_PAUSE`` to ``LONGEST_PAUSE`` of its kind.
        asked: What the provider asked for, ``Retry-After``; never shortened.
    """
    first = FIRST_PAUSE.get(kind, FIRST_PAUSE[FailureKind.TEMPORARY])
    longest = LONGEST_PAUSE.get(kind, LONGEST_PAUSE[FailureKind.TEMPORARY])
    ours: timedelta = min(first * 2 ** min(attempt - 1, 20), longest)
    return max(ours, asked) if asked is not None else ours
