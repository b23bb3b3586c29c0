"""What narrows a trigger: statuses, tags, columns, amounts; each read leniently, never ignored."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.models import Frozen
from fixlify.domain.names import did_you_mean, normalized


def one_or_many(value: Any) -> Any:
    """Return *value* as a list of texts; refuse what YAML made of a bare yes or 7."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list | tuple | None):
        # YAML reads a bare yes, no, on and off as true and false.
        raise PydanticCustomError("statuses", "must be one status or a list of them, as text")
    return value


def _named(words: list[str]) -> list[str]:
    for word in words:
        if normalized(word) is None:
            raise ValueError("a status needs at least one letter or digit")
    return words


Statuses = Annotated[
    list[str],
    BeforeValidator(one_or_many, json_schema_input_type=str | list[str]),
    Field(min_length=1),
    AfterValidator(_named),
]
"""One status or a list of them; any spelling of each is the same."""


def _one_or_many_words(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list | tuple | None):
        raise PydanticCustomError("words", "must be one word or a list of them, as text")
    return value


def _visible(words: list[str]) -> list[str]:
    for word in words:
        if normalized(word) is None:
            raise ValueError("needs at least one letter or digit")
    return words


Words = Annotated[
    list[str],
    BeforeValidator(_one_or_many_words, json_schema_input_type=str | list[str]),
    Field(min_length=1),
    AfterValidator(_visible),
]
"""One word or phrase or a list of them (tags, keywords, methods, job types)."""


def columns_of(table: str, *columns: str) -> AfterValidator:
    """Return the validator of a list of columns of *table*; others are refused."""

    def known(names: list[str]) -> list[str]:
        for name in names:
            if name not in columns:
                raise PydanticCustomError(
                    "unknown_column",
                    "a {table} has no '{name}'; {hint}",
                    {"table": table, "name": name, "hint": did_you_mean(name, columns)},
                )
        return names

    return AfterValidator(known)


class AmountRange(Frozen):
    """An amount of money between two bounds, both included."""

    at_least: Decimal | None = None
    at_most: Decimal | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_a_range(cls, data: Any) -> Any:
        if not isinstance(data, dict | AmountRange):
            raise PydanticCustomError(
                "amount", "write a range: {at_least: 100}, {at_most: 500}, or both"
            )
        return data

    @model_validator(mode="after")
    def _holds_something(self) -> AmountRange:
        if self.at_least is None and self.at_most is None:
            raise PydanticCustomError("amount", "give 'at_least', 'at_most', or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise PydanticCustomError("amount", "'at_least' is more than 'at_most'")
        return self

    def includes(self, amount: Any) -> bool:
        """Whether *amount*, a number or its text, lies in the range; what is no number does not."""
        try:
            value = Decimal(str(amount))
        except InvalidOperation:
            return False
        if not value.is_finite():
            return False
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )


def one_of(status: str | None, wanted: Iterable[str] | None) -> bool:
    """Whether *status* is among *wanted*, in any spelling; None wants any."""
    return wanted is None or normalized(status) in {normalized(each) for each in wanted}
