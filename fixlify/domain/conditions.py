"""Conditions over facts: ``all`` / ``any`` / ``not`` trees of field comparisons."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.facts import ORIGIN_ALIASES, Facts, fact_names, is_event_field
from fixlify.domain.models import Frozen
from fixlify.domain.names import did_you_mean, folded, normalized


class Operator(StrEnum):
    """How a field is compared; the words of the replaced system."""

    EQUALS = "equals"
    NOT_EQUALS = "not_equals"
    CONTAINS = "contains"
    NOT_CONTAINS = "not_contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    GREATER_THAN = "greater_than"
    GREATER_THAN_OR_EQUAL = "greater_than_or_equal"
    LESS_THAN = "less_than"
    LESS_THAN_OR_EQUAL = "less_than_or_equal"
    IN = "in"
    NOT_IN = "not_in"
    IS_EMPTY = "is_empty"
    IS_NOT_EMPTY = "is_not_empty"


_WITHOUT_VALUE = {Operator.IS_EMPTY, Operator.IS_NOT_EMPTY}
_WITH_LIST = {Operator.IN, Operator.NOT_IN}

Scalar = str | int | float | bool | date | datetime


class Check(Frozen):
    """One comparison. Text is compared as statuses are: case and separators do not matter."""

    field: str
    operator: Operator
    value: Scalar | list[Scalar] | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_a_comparison(cls, data: Any) -> Any:
        """Say what a condition is where nothing of one was recognized (a misspelled ``all``)."""
        if isinstance(data, dict) and not {"field", "operator"} & data.keys():
            words = ("field", "operator", "all", "any", "not")
            hints = [f"'{key}': {did_you_mean(str(key), words)}" for key in data]
            raise PydanticCustomError(
                "condition",
                "a condition has 'field' and 'operator', or one of 'all', 'any' and 'not'{hints}",
                {"hints": "".join(f"; {hint}" for hint in hints)},
            )
        return data

    @field_validator("field")
    @classmethod
    def _field_exists(cls, field: str) -> str:
        if field in fact_names() or is_event_field(field):
            return field
        if field in ORIGIN_ALIASES:
            return ORIGIN_ALIASES[field]
        if field.startswith("event."):
            raise PydanticCustomError(
                "unknown_field",
                "no event has a '{field}'; a key is lower-case letters, digits and '_'",
                {"field": field},
            )
        raise PydanticCustomError(
            "unknown_field",
            "unknown field '{field}'; {hint}",
            {"field": field, "hint": did_you_mean(field, fact_names())},
        )

    @field_validator("value", mode="before")
    @classmethod
    def _value_is_comparable(cls, value: Any) -> Any:
        """Refuse what nothing can be compared with, in one sentence rather than one per type."""
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, float) and not math.isfinite(item):
                raise PydanticCustomError("value", "a number must be finite")
            if not isinstance(item, str | int | float | bool | date) and item is not value:
                raise PydanticCustomError("value", "a list holds text, numbers, dates and flags")
            if not isinstance(item, str | int | float | bool | date | None):
                raise PydanticCustomError(
                    "value", "a value is text, a number, a date, a flag, or a list of those"
                )
        return value

    @model_validator(mode="after")
    def _value_fits_operator(self) -> Check:
        if self.operator in _WITHOUT_VALUE:
            if self.value is not None:
                raise PydanticCustomError(
                    "value", "'{operator}' takes no value", {"operator": self.operator.value}
                )
        elif self.value is None:
            raise PydanticCustomError(
                "value", "'{operator}' needs a value", {"operator": self.operator.value}
            )
        elif (self.operator in _WITH_LIST) != isinstance(self.value, list):
            shape = "a list" if self.operator in _WITH_LIST else "one value, not a list"
            raise PydanticCustomError(
                "value",
                "'{operator}' needs {shape}",
                {"operator": self.operator.value, "shape": shape},
            )
        elif self.value == []:
            raise PydanticCustomError(
                "value", "'{operator}' needs at least one value", {"operator": self.operator.value}
            )
        return self

    def holds(self, facts: Facts) -> bool:
        """Whether the comparison is true; an empty field is never greater, less or equal."""
        return _COMPARISONS[self.operator](facts.lookup(self.field), self.value)

    def failures(self, facts: Facts) -> list[str]:
        """Return why it does not hold, with the value that was found; empty when it holds."""
        if self.holds(facts):
            return []
        found = facts.lookup(self.field)
        expected = "" if self.value is None else f" {self.value!r}"
        return [f"{self.field} {self.operator.value}{expected} (it is {_shown(found)})"]


class AllOf(Frozen):
    """True when every part is; an empty list is true."""

    all: list[Condition]

    def holds(self, facts: Facts) -> bool:
        """Whether every part holds."""
        return all(part.holds(facts) for part in self.all)

    def failures(self, facts: Facts) -> list[str]:
        """Return the failures of every part that does not hold."""
        return [failure for part in self.all for failure in part.failures(facts)]


class AnyOf(Frozen):
    """True when at least one part is."""

    any: Annotated[list[Condition], Field(min_length=1)]

    def holds(self, facts: Facts) -> bool:
        """Whether some part holds."""
        return any(part.holds(facts) for part in self.any)

    def failures(self, facts: Facts) -> list[str]:
        """Return one line naming every part when none holds."""
        if self.holds(facts):
            return []
        parts = [failure for part in self.any for failure in part.failures(facts)]
        return [f"none of: {'; '.join(parts)}"]


class NotOf(Frozen):
    """True when its part is not."""

    not_: Annotated[Condition, Field(alias="not")]

    def holds(self, facts: Facts) -> bool:
        """Whether the part does not hold."""
        return not self.not_.holds(facts)

    def failures(self, facts: Facts) -> list[str]:
        """Return one line when the part holds."""
        return [] if self.holds(facts) else [f"not: {_described(self.not_)}"]


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return next((word for word in ("all", "any", "not") if word in value), "check")
    kinds: dict[type, str] = {AllOf: "all", AnyOf: "any", NotOf: "not"}
    return kinds.get(type(value), "check")


Condition = Annotated[
    Annotated[AllOf, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[NotOf, Tag("not")]
    | Annotated[Check, Tag("check")],
    Discriminator(_kind),
]
"""A tree of comparisons; ``holds(facts)`` decides, ``failures(facts)`` explains."""

for _model in (AllOf, AnyOf, NotOf):
    _model.model_rebuild()


# Whose values are a person's: what is said of a run travels into its history.
_PERSONAL = re.compile(
    r"(client|technician)\.(name|first_name|last_name|company|email|phone|address)"
    r"|job\.address|(job|estimate|task)\.(title|description)|sms\..*|event\..*"
)


def satisfied(condition: AllOf | AnyOf | NotOf | Check, facts: Facts) -> str:
    """Return which parts of a condition that holds make it hold, with the values found.

    The value of a personal field is left out: its condition alone is named.
    """
    match condition:
        case Check() if _PERSONAL.fullmatch(condition.field):
            return _described(condition)
        case Check():
            return f"{_described(condition)} (it is {_shown(facts.lookup(condition.field))})"
        case AllOf():
            return " and ".join(satisfied(part, facts) for part in condition.all) or "always"
        case AnyOf():
            holding = [part for part in condition.any if part.holds(facts)]
            return " and ".join(satisfied(part, facts) for part in holding)
        case NotOf():
            return _described(condition)


def _described(condition: AllOf | AnyOf | NotOf | Check) -> str:
    match condition:
        case Check():
            value = "" if condition.value is None else f" {condition.value!r}"
            return f"{condition.field} {condition.operator.value}{value}"
        case AllOf():
            return " and ".join(_described(part) for part in condition.all)
        case AnyOf():
            return " or ".join(_described(part) for part in condition.any)
        case NotOf():
            return f"not ({_described(condition.not_)})"


def _shown(value: Any) -> str:
    if _is_empty(value):
        return "empty"
    return repr(str(value)) if not isinstance(value, tuple) else repr(list(value))


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == ()


def _equal(found: Any, wanted: Any) -> bool:
    if _is_empty(found):
        return False
    if isinstance(found, tuple):
        return any(_equal(item, wanted) for item in found)
    if isinstance(found, bool) or isinstance(wanted, bool):
        return str(found).casefold() == str(wanted).casefold()
    pair = _comparable(found, wanted)
    if pair is not None:
        return bool(pair[0] == pair[1])
    return normalized(str(found)) == normalized(str(wanted))


def _comparable(found: Any, wanted: Any) -> tuple[Any, Any] | None:
    """Return both as numbers or both as instants, or None when they are neither."""
    if isinstance(found, Decimal | int | float):
        try:
            pair = Decimal(str(found)), Decimal(str(wanted))
        except InvalidOperation:
            return None
        # Comparing with "not a number" raises, and one condition would stop the whole batch.
        return None if any(number.is_nan() for number in pair) else pair
    if isinstance(found, date):
        instant = _instant(wanted)
        return None if instant is None else (_instant(found), instant)
    return None


def _instant(value: Any) -> datetime | None:
    """Return *value* as an aware instant; a date is its first moment, naive means UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(found: Any, wanted: Any) -> bool:
        pair = None if _is_empty(found) else _comparable(found, wanted)
        return pair is not None and compare(*pair)

    return holds


def _contains(found: Any, wanted: Any) -> bool:
    if isinstance(found, tuple):
        return _equal(found, wanted)
    return not _is_empty(found) and folded(str(wanted)) in folded(str(found))


def _bounded(compare: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def holds(found: Any, wanted: Any) -> bool:
        if isinstance(found, tuple):
            return any(holds(item, wanted) for item in found)
        return not _is_empty(found) and compare(folded(str(found)), folded(str(wanted)))

    return holds


_COMPARISONS: Mapping[Operator, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        Operator.EQUALS: _equal,
        Operator.NOT_EQUALS: lambda found, wanted: not _equal(found, wanted),
        Operator.CONTAINS: _contains,
        Operator.NOT_CONTAINS: lambda found, wanted: not _contains(found, wanted),
        Operator.STARTS_WITH: _bounded(str.startswith),
        Operator.ENDS_WITH: _bounded(str.endswith),
        Operator.GREATER_THAN: _ordered(lambda found, wanted: bool(found > wanted)),
        Operator.GREATER_THAN_OR_EQUAL: _ordered(lambda found, wanted: bool(found >= wanted)),
        Operator.LESS_THAN: _ordered(lambda found, wanted: bool(found < wanted)),
        Operator.LESS_THAN_OR_EQUAL: _ordered(lambda found, wanted: bool(found <= wanted)),
        Operator.IN: lambda found, wanted: any(_equal(found, item) for item in wanted),
        Operator.NOT_IN: lambda found, wanted: not any(_equal(found, item) for item in wanted),
        Operator.IS_EMPTY: lambda found, _: _is_empty(found),
        Operator.IS_NOT_EMPTY: lambda found, _: not _is_empty(found),
    }
)
