"""Times of day as people write them: ``"09:30"``."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

TIME_OF_DAY: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def parse_time_of_day(value: Any) -> time:
    """Return the time *value* spells.

    Raises:
        PydanticCustomError: It is none.
    """
    if isinstance(value, time):
        return value
    found = TIME_OF_DAY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        # YAML reads a bare 10:00 as 600, in base 60.
        raise PydanticCustomError(
            "time",
            "'{value}' is no time of day; write it in quotes, such as \"09:30\"",
            {"value": str(value)[:40]},
        )
    return time(int(found[1]), int(found[2]))


TimeOfDay = Annotated[
    time,
    BeforeValidator(parse_time_of_day, json_schema_input_type=str),
    PlainSerializer(lambda at: f"{at:%H:%M}", return_type=str),
]
"""A time on the wall, in whole minutes, written ``"09:30"``."""
