"""The variables a template may use: their names, their kinds, and their values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, get_args, get_origin
from uuid import UUID

from jinja2 import Undefined

from fixlify.domain.errors import RenderError
from fixlify.domain.facts import ORIGIN_ALIASES, PARTS, Facts, fact_names, is_event_field
from fixlify.domain.names import nearest

LONGEST_VALUE = 10_000
"""Characters of one value. With the bound on steps it bounds the work of one rendering."""

# Everything but tab and line feed that no reader can see; what turns around the text after it,
# as only somebody with something to hide writes it; and halves of surrogate pairs, which no
# encoding takes. Joiners stay: Persian words and families of emoji are made with them.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\ud800-\udfff]"
)
# What stays and is nothing by itself: joiners, soft hyphens, marks of direction.
_NOTHING = " \t\n\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200c\u200d\u200e\u200f\u3164\uffa0"
_LINE_BREAK = re.compile("\r\n?|\x85|\u2028|\u2029")


class Kind(StrEnum):
    """What a variable holds, in words for a message."""

    TEXT = "text"
    MOMENT = "a date and time"
    DAY = "a date"
    AMOUNT = "an amount"
    NUMBER = "a number"
    FLAG = "yes or no"
    LIST = "a list"
    ANY = "text, a number, or yes or no"


@dataclass(frozen=True, slots=True)
class Variable:
    """One field of the facts. ``shown_as`` is the filter a name of the replaced system implies."""

    field: str
    kind: Kind
    shown_as: str | None = None

    @property
    def identifier(self) -> str:
        """The one word that stands for the field inside a compiled template."""
        return self.field.replace(".", "__")


class Empty(Undefined):
    """A field nobody filled in: false, equal to nothing, before and after nothing, unprintable."""

    __slots__ = ()

    @property
    def field(self) -> str:
        """The name of the field, as a template writes it."""
        return str(self._undefined_name)

    def refusal(self) -> RenderError:
        """Return the error of printing it."""
        return RenderError(
            f"'{self.field}' is empty; fill it in, or write {{{{ {self.field} | default('…') }}}}"
        )

    def __str__(self) -> str:
        raise self.refusal()

    def __eq__(self, other: object) -> bool:
        return other is None or other == "" or isinstance(other, Undefined)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(None)

    def _is_not_ordered(self, other: object) -> bool:
        return False

    __lt__ = __le__ = __gt__ = __ge__ = _is_not_ordered  # type: ignore[assignment]


# The names of the replaced system that never showed the whole of their field.
_SHOWN_AS = {
    "scheduled_date": "date",
    "scheduled_time": "time",
    "job.scheduledDate": "date",
    "job_completed_date": "date",
    "payment_date": "date",
    "task_due_date": "date",
    "task.dueDate": "date",
}


@cache
def _variables() -> dict[str, Variable]:
    fields: dict[str, Variable] = {}
    for part, model in PARTS.items():
        for name, info in model.model_fields.items():
            fields[f"{part}.{name}"] = Variable(f"{part}.{name}", _kind(info.annotation))
        for name, computed in model.model_computed_fields.items():
            fields[f"{part}.{name}"] = Variable(f"{part}.{name}", _kind(computed.return_type))
    aliases = {
        alias: replace(fields[field], shown_as=_SHOWN_AS.get(alias))
        for alias, field in ORIGIN_ALIASES.items()
    }
    return aliases | fields


def _members(annotation: Any) -> list[type]:
    """Return the classes of an optional annotation, or the one it is."""
    return [m for m in get_args(annotation) or (annotation,) if isinstance(m, type)]


_KINDS = {
    datetime: Kind.MOMENT,
    date: Kind.DAY,
    Decimal: Kind.AMOUNT,
    bool: Kind.FLAG,
    int: Kind.NUMBER,
}


def _kind(annotation: Any) -> Kind:
    if get_origin(annotation) is tuple:
        return Kind.LIST
    return next((_KINDS[m] for m in _members(annotation) if m in _KINDS), Kind.TEXT)


@cache
def groups() -> frozenset[str]:
    """Return the words before the dot: ``client``, ``event``, …, and ``company`` of old."""
    return frozenset({"event"} | {name.partition(".")[0] for name in _variables() if "." in name})


def fields_of(group: str) -> list[str]:
    """Return what may follow ``group.``, in our own words where there are any."""
    if group == "event":
        return ["event.name", "event.…"]
    ours = [name for name in fact_names() if name.startswith(f"{group}.")]
    return sorted(ours or [name for name in _variables() if name.startswith(f"{group}.")])


def variable(name: str) -> Variable | None:
    """Return the variable *name* stands for, in our own words or the replaced system's."""
    if is_event_field(name):
        return Variable(name, Kind.ANY)
    return _variables().get(name)


def hint(name: str, others: Iterable[str] = ()) -> str:
    """Return the end of an error message about the unknown *name*.

    Args:
        name: what the template says.
        others: further names that are valid where it says so.
    """
    group, dot, _ = name.partition(".")
    if dot and group == "event":
        return "the key of an event is lower-case letters, digits and '_'"
    if dot and group in groups():
        close = nearest(name, [n for n in _variables() if n.startswith(f"{group}.")])
        valid = fields_of(group)
    else:
        close = nearest(name, [*_variables(), *others])
        valid = [f"{group}.…" for group in sorted(groups())]
    return f"did you mean '{close}'?" if close else f"valid: {', '.join(valid)}"


def value_of(facts: Facts, field: str) -> Any:
    """Return what a template sees of *field*: clean text, or ``Empty``.

    Raises:
        RenderError: The text, or a list's texts together, are longer than ``LONGEST_VALUE``.
    """
    value = facts.lookup(field)
    if isinstance(value, str):
        _check_length(field, len(value))
        value = clean(value).strip()
        if not value.strip(_NOTHING):
            value = None
    elif isinstance(value, tuple):
        _check_length(field, sum(map(len, value)))
        value = tuple(clean(item) for item in value)
    elif isinstance(value, UUID):
        return str(value)
    return Empty(name=field) if value in (None, "", ()) else value


def _check_length(field: str, length: int) -> None:
    if length > LONGEST_VALUE:
        raise RenderError(f"'{field}' is longer than {LONGEST_VALUE:,} characters; shorten it")


def clean(text: str) -> str:
    """Return *text* with plain line breaks and without characters nobody can see or send.

    Nor those that turn around the order of what follows (U+202A-U+202E, U+2066-U+2069).
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNPRINTABLE.sub("", _LINE_BREAK.sub("\n", text))
