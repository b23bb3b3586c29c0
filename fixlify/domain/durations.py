"""Durations as people write them: ``90s``, ``30m``, ``24h``, ``2d``, ``1w``, ``1d12h``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

LONGEST = timedelta(days=730)

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_PART = re.compile(r"(\d+)([wdhms])")
_WHOLE = re.compile(r"(?:\d+[wdhms])+")


def parse_duration(value: Any) -> timedelta:
    """Return the duration *value* spells.

    Raises:
        PydanticCustomError: It is not a duration, not positive, not in whole seconds, or beyond
            two years. A bare number is refused too: a delay in days once ran as seconds.
    """
    if isinstance(value, timedelta):
        duration = value
    elif isinstance(value, str) and _WHOLE.fullmatch(text := value.strip().lower()):
        try:
            duration = sum(
                (timedelta(**{_UNITS[unit]: int(count)}) for count, unit in _PART.findall(text)),
                timedelta(),
            )
        except (OverflowError, ValueError):
            # Beyond timedelta, or beyond the digits Python converts.
            duration = timedelta.max
    else:
        raise PydanticCustomError(
            "duration",
            "'{value}' is not a duration; write a number with a unit, such as 30m, 24h or 2d",
            {"value": str(value)[:40]},
        )
    if duration <= timedelta(0):
        raise PydanticCustomError("duration", "a duration must be longer than zero")
    if duration > LONGEST:
        raise PydanticCustomError("duration", "a duration may be two years (730d) at most")
    if duration.microseconds:
        raise PydanticCustomError("duration", "a duration is a number of whole seconds")
    return duration


def format_duration(duration: timedelta) -> str:
    """Return *duration* in the same notation, largest units first: ``1d12h``."""
    rest = int(duration.total_seconds())
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration, json_schema_input_type=str),
    PlainSerializer(format_duration, return_type=str),
]
"""A positive duration of two years at most, written and stored as ``24h``."""
