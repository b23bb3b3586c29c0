"""How long a message is tried, with which pauses, and what is done in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class InDoubt:
    """What is done about a message whose fate nobody knows: decision 0015.

    Attributes:
        look_after: how long after it a provider's list is first looked at, and then again.
        certain_after: how long after a text was handed over it surely never arrived, if the
            list does not have it. The request itself is given up long before.
        send_again_after: how long an email waits for news of itself before it is sent again.
        at_most_once: classes of email that are not sent again.
    """

    look_after: timedelta = timedelta(seconds=15)
    certain_after: timedelta = timedelta(minutes=2)
    send_again_after: timedelta = timedelta(seconds=30)
    at_most_once: frozenset[MessageClass] = frozenset()


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
