"""Printing: tables and sentences for people, one JSON document for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import click
from rich.console import Console

_Command = TypeVar("_Command", bound=Callable[..., Any])

# A client's name may hold anything; only line breaks and tabs may reach a terminal.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

console = Console(highlight=False)
"""Standard output; plain where it is not a terminal."""

errors = Console(stderr=True, highlight=False)
"""Standard error, for progress and what went wrong."""


def json_option(command: _Command) -> _Command:
    """Add ``--json`` to *command*, as the parameter ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def print_json(document: Any) -> None:
    """Print *document* as JSON; ids and amounts become text, instants UTC in ISO 8601."""
    click.echo(json.dumps(document, indent=2, default=_as_text, ensure_ascii=False))


def _as_text(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def printable(text: str) -> str:
    """Return *text* without the characters that would steer a terminal."""
    return _CONTROL.sub("\ufffd", text)


def counted(count: int, noun: str) -> str:
    """Return *count* with its *noun*: ``1 message``, ``2 messages``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def local(instant: datetime | None, *, exact: bool = False) -> str:
    """Return *instant* as a person reads it: today's times without the date, local zone.

    With *exact* it goes down to the millisecond.
    """
    if instant is None:
        return ""
    there = instant.astimezone()
    today = datetime.now().astimezone().date()
    time = f"{there:%H:%M:%S}" + (f".{there.microsecond // 1000:03}" if exact else "")
    if there.date() == today:
        return time
    return f"{there:%Y-%m-%d} {time}" if exact else f"{there:%Y-%m-%d %H:%M}"


def local_zone() -> str:
    """Return what the zone of ``local`` is called here and now: ``UTC``, ``CET``."""
    return datetime.now().astimezone().tzname() or "local time"


def elapsed(duration: timedelta | None) -> str:
    """Return *duration* in the two units that matter: ``18 ms``, ``1.2 s``, ``3 h 5 min``."""
    if duration is None:
        return ""
    seconds = duration.total_seconds()
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 60:
        return f"{seconds:.1f} s"
    rest, parts = int(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
