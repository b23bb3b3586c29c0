"""Hours, weekdays and months as people write them: ``mon``, ``Monday`` and ``1`` are one."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from fixlify.domain.names import did_you_mean
from fixlify.domain.timetable.recurrence import MONTHS, WEEKDAYS


def _from_to(least: int, most: int) -> BeforeValidator:
    def read(value: Any) -> int:
        number = _whole(value)
        if number is None or not least <= number <= most:
            raise PydanticCustomError(
                "number",
                "must be a whole number from {least} to {most}",
                {"least": least, "most": most},
            )
        return number

    return BeforeValidator(read, json_schema_input_type=int)


def _weekday(value: Any) -> str:
    number = _whole(value)
    if number is not None and 0 <= number <= len(WEEKDAYS):
        return WEEKDAYS[number % len(WEEKDAYS)]
    return _named("day of the week", value, WEEKDAYS)


def _month(value: Any) -> int:
    number = _whole(value)
    if number is not None and 1 <= number <= len(MONTHS):
        return number
    return MONTHS.index(_named("month", value, MONTHS)) + 1


def _whole(value: Any) -> int | None:
    """Return the number of *value* or of its text (YAML reads 09 as text), else None."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _named(kind: str, value: Any, names: tuple[str, ...]) -> str:
    """Return the one of *names* that *value* writes, in full or by its first three letters."""
    written = str(value).strip()[:40]
    for name in names:
        if written.casefold() in (name, name[:3]):
            return name
    raise PydanticCustomError(
        "unknown_name",
        "unknown {kind} '{value}'; {hint}",
        {"kind": kind, "value": written, "hint": did_you_mean(written, names)},
    )


Hour = Annotated[int, _from_to(0, 23)]
Minute = Annotated[int, _from_to(0, 59)]
DayOfMonth = Annotated[int, _from_to(1, 31)]

Weekday = Annotated[str, BeforeValidator(_weekday, json_schema_input_type=int | str)]
"""The English name in small letters; 0 and 7 are ``sunday``."""

Month = Annotated[int, BeforeValidator(_month, json_schema_input_type=int | str)]
"""January is 1."""
