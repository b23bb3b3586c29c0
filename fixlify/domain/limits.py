"""The channels that have a limit and a switch of their own, and how fast each may send."""

from __future__ import annotations

import re
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from fixlify.domain import queues


class LimitedChannel(StrEnum):
    """A way out of the house: what is paused, and what has a rate."""

    EMAIL = "email"
    SMS = "sms"
    WEBHOOK = "webhook"

    @property
    def queue(self) -> str:
        """The task queue of its sends."""
        return _QUEUES[self]


_QUEUES: Final = MappingProxyType(
    {
        LimitedChannel.EMAIL: queues.EMAIL,
        LimitedChannel.SMS: queues.SMS,
        LimitedChannel.WEBHOOK: queues.WEBHOOKS,
    }
)

UNLIMITED: Final = float("inf")
"""The rate of a channel that has no limit because somebody said so."""
FASTEST: Final = 10_000.0
"""The highest limit there may be, a second; beyond it there is none."""
# Slower than that a message would wait for a day for each that is before it.
_SLOWEST: Final = 1 / 86_400
_RATE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*/\s*(second|minute|hour|day)")
_SECONDS: Final = MappingProxyType({"second": 1, "minute": 60, "hour": 3_600, "day": 86_400})


def parse_rate(text: str) -> float:
    """Return how many a second *text* allows: ``20/second``, ``600/minute`` or ``none``.

    Raises:
        ValueError: It is no rate, or one that no channel can have; the message says what is.
    """
    wanted = text.strip().lower()
    if wanted == "none":
        return UNLIMITED
    found = _RATE.fullmatch(wanted)
    if found is None:
        raise ValueError(f"'{text[:40]}' is not a rate; write 20/second, 600/minute or none")
    rate = float(found[1]) / _SECONDS[found[2]]
    if not _SLOWEST <= rate <= FASTEST:
        raise ValueError(
            f"'{text[:40]}' is out of reach; a rate is between 1/day and {FASTEST:.0f}/second, "
            "and `fixlify channels pause` lets nothing go"
        )
    return rate


def format_rate(per_second: float | None) -> str:
    """Return a rate as people write it; ``none`` where there is no limit."""
    if per_second is None or per_second == UNLIMITED:
        return "none"
    for unit, seconds in _SECONDS.items():
        count = round(per_second * seconds, 6)
        if count >= 1 and count == int(count):
            return f"{int(count)}/{unit}"
    return f"{per_second:.6g}/second"
