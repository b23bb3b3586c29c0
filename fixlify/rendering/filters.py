"""The filters and tests a template may use, and how a value is printed without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context

from fixlify.domain.errors import RenderError
from fixlify.rendering.formats import STYLES, Formats, Style
from fixlify.rendering.variables import LONGEST_VALUE, Empty, Kind

LONGEST_LIST = 100
"""Items of a list that a template may loop over."""

FORMATS = "_formats"
"""Where a template's context keeps its ``Formats``; no template can name it."""

LOOP_OVER = "_loop_over"
JOIN_UP = "_join_up"
"""Filters that the compiler puts in for ``{% for %}`` and ``~``; no template can name them."""


class Written(str):
    """Text that already reads as it should; the formats leave it as it is.

    So ``{{ job.schedule_start | default('soon') | date }}`` says "soon".
    """

    __slots__ = ()


@pass_context
def printed(context: Context, value: Any) -> str:
    """Return what ``{{ value }}`` shows; also called for every expression without a filter.

    Raises:
        RenderError: It is empty, or nothing a person would read.
    """
    match value:
        case str():
            return value
        case Undefined():
            raise value.refusal() if isinstance(value, Empty) else RenderError("it is not defined")
        case datetime():
            return _formats(context).day_and_time(value)
        case date():
            return _formats(context).day(value)
        case Decimal():
            return _formats(context).number(value)
        case bool():
            raise RenderError("yes or no cannot be printed; ask for it with {% if %}")
        case int():
            return str(value)
        case float():
            return _formats(context).plain_number(value)
        case tuple() | list():
            joined: str = _join(context, value)
            return joined
        case _:
            raise RenderError("only text, dates, amounts and lists can be printed")


def _formats(context: Context) -> Formats:
    formats: Formats = context.parent[FORMATS]
    return formats


def _default(value: Any, fallback: Any = "", boolean: bool = True) -> Any:
    """Return *value*, or *fallback* where it is empty; *boolean* is there for Jinja's habit."""
    is_empty = isinstance(value, Undefined) or value is None or value in ("", ())
    if not is_empty:
        return value
    return Written(fallback) if isinstance(fallback, str) else fallback


def _moment(
    name: str, write: Callable[..., str], default_style: Style, type_: type[date] = datetime
) -> Callable[..., Any]:
    """Make the filter *name* of a method of ``Formats`` that writes moments, or days."""

    @pass_context
    def shown(context: Context, value: Any, style: str = default_style) -> Any:
        if isinstance(value, Written | Undefined):
            return value
        if not isinstance(value, type_):
            raise RenderError(f"'{name}' needs a date and time")
        if style not in STYLES:
            raise RenderError(f"'{name}' takes {', '.join(STYLES)}")
        return Written(write(_formats(context), value, style))

    return shown


@pass_context
def _money(context: Context, value: Any) -> Any:
    if isinstance(value, Written | Undefined):
        return value
    if not isinstance(value, Decimal | int | float):
        raise RenderError("'money' needs an amount")
    return Written(_formats(context).money(Decimal(str(value))))


def _text(change: Callable[..., str]) -> Callable[..., Any]:
    """Make a filter of a change of text; what is empty stays so."""

    @pass_context
    def changed(context: Context, value: Any, *arguments: Any, **keywords: Any) -> Any:
        if isinstance(value, Undefined):
            return value
        return change(printed(context, value), *arguments, **keywords)

    return changed


def _truncate(text: str, length: Any = 255) -> str:
    if not isinstance(length, int) or length < 4:
        raise RenderError("'truncate' needs a length of at least 4")
    # Three dots, not an ellipsis: that character would cost a text message 90 others.
    return text if len(text) <= length else text[: length - 3].rstrip() + "..."


@pass_context
def _join(context: Context, values: Any, separator: str = ", ") -> Any:
    """Return the values one after another, refusing as soon as they grow too long."""
    if isinstance(values, Undefined):
        return values
    if not isinstance(values, tuple | list):
        raise RenderError("'join' needs a list, such as client.tags")
    texts: list[str] = []
    length = 0
    for value in values:
        texts.append(printed(context, value))
        length += len(texts[-1]) + len(separator)
        if length > LONGEST_VALUE:
            raise RenderError(f"joined text may have {LONGEST_VALUE:,} characters at most")
    return separator.join(texts)


@pass_context
def _join_up(context: Context, values: list[Any]) -> Any:
    return _join(context, values, "")


def _loop_over(values: Any) -> Any:
    if isinstance(values, Undefined):
        return ()
    if not isinstance(values, tuple | list):
        raise RenderError("loops go over lists, such as client.tags")
    if len(values) > LONGEST_LIST:
        raise RenderError(f"loops go over {LONGEST_LIST} items at most")
    return values


def _item(place: int) -> Callable[[Any], Any]:
    def item(values: Any) -> Any:
        if isinstance(values, Undefined):
            return values
        if not isinstance(values, tuple | list):
            raise RenderError("'first' and 'last' need a list, such as client.tags")
        return values[place] if values else Empty(name="the list")

    return item


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | tuple | list) else 0


@dataclass(frozen=True, slots=True)
class Filter:
    """What a template may write after ``|``: its arguments, and what it makes sense of."""

    function: Callable[..., Any]
    arguments: tuple[str, ...] = ()
    needs: tuple[Kind, ...] = ()

    def takes(self, positional: int, keywords: list[str]) -> bool:
        """Whether it takes so many arguments by place and these by name."""
        return positional <= len(self.arguments) and set(keywords) <= set(
            self.arguments[positional:]
        )


_DEFAULT = Filter(_default, ("fallback", "boolean"))

FILTERS: Mapping[str, Filter] = MappingProxyType(
    {
        "capitalize": Filter(_text(str.capitalize)),
        "d": _DEFAULT,
        "date": Filter(
            _moment("date", Formats.day, "long", date), ("style",), (Kind.MOMENT, Kind.DAY)
        ),
        "datetime": Filter(
            _moment("datetime", Formats.day_and_time, "long"), ("style",), (Kind.MOMENT,)
        ),
        "default": _DEFAULT,
        "first": Filter(_item(0), needs=(Kind.LIST,)),
        "join": Filter(_join, ("separator",), (Kind.LIST,)),
        "last": Filter(_item(-1), needs=(Kind.LIST,)),
        "length": Filter(_length),
        "lower": Filter(_text(str.lower)),
        "money": Filter(_money, needs=(Kind.AMOUNT, Kind.ANY)),
        "time": Filter(_moment("time", Formats.time_of_day, "short"), ("style",), (Kind.MOMENT,)),
        "title": Filter(_text(str.title)),
        "trim": Filter(_text(str.strip)),
        "truncate": Filter(_text(_truncate), ("length",)),
        "upper": Filter(_text(str.upper)),
    }
)
"""Every filter by the name a template uses."""

HIDDEN_FILTERS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {LOOP_OVER: _loop_over, JOIN_UP: _join_up}
)

TESTS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "defined": lambda value: not isinstance(value, Undefined),
        "in": lambda value, values: value in values,
        "none": lambda value: value is None or isinstance(value, Undefined),
        "undefined": lambda value: isinstance(value, Undefined),
    }
)
"""Every test by the name a template uses after ``is``."""
