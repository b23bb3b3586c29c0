"""Printing: tables and sentences for people, one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click
from rich.console import Console

_Command = TypeVar("_Command", bound=Callable[..., Any])

console = Console(highlight=False)
"""Standard output; plain where it is not a terminal."""

errors = Console(stderr=True, highlight=False)
"""Standard error, for progress and what went wrong."""


def json_option(command: _Command) -> _Command:
    """Add ``--json`` to *command*, as the parameter ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def print_json(document: Any) -> None:
    """Print *document* as JSON; ids, times and amounts become text."""
    click.echo(json.dumps(document, indent=2, default=str, ensure_ascii=False))


def local(instant: datetime | None) -> str:
    """Return *instant* as a person reads it: today's times without the date, local zone."""
    if instant is None:
        return ""
    there = instant.astimezone()
    today = datetime.now().astimezone().date()
    return f"{there:%H:%M:%S}" if there.date() == today else f"{there:%Y-%m-%d %H:%M}"
