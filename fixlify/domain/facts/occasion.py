"""What set an automation off, as conditions and templates see it: ``event.…``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

EventValue = str | int | float | bool | None

# What may follow "event."; which keys there are is for each event to say.
_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")

# Ours beside the event's own data; what they say is of no use in a message.
_BOOKKEEPING: Final = frozenset({"event_id", "event_type", "job_id"})


def is_event_field(field: str) -> bool:
    """Whether *field* is ``event.`` and a key that an event may have."""
    part, _, key = field.partition(".")
    return part == "event" and _KEY.fullmatch(key) is not None


def event_values(data: Mapping[str, Any]) -> dict[str, EventValue]:
    """Return the texts, numbers and flags of an event's *data*, by key.

    Lists and objects are left out, but for the ``data`` of a custom event: its entries stand
    beside the event's ``name``, which wins over an entry of that name. *data* may also be an
    execution's ``trigger_data``.
    """
    reported = data.get("data")
    own = {key: value for key, value in data.items() if key not in _BOOKKEEPING}
    values = {**reported, **own} if isinstance(reported, Mapping) else own
    return {key: value for key, value in values.items() if _is_shown(key, value)}


def _is_shown(key: Any, value: Any) -> bool:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        return False
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, EventValue)
