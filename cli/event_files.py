"""Events to send, from options and files: each with its place, as the intake wants them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from fixlify.domain.errors import EventsRefusedError, Problem
from fixlify.domain.intake import CustomEvent, parse_events, parse_request
from fixlify.domain.strict_json import JsonTextError, read_json

STDIN: Final = Path("-")


def read_events(path: Path, now: datetime) -> dict[str, CustomEvent]:
    """Return the events in the file at *path*, ``-`` for standard input, by their places.

    It holds what the API takes, or one event per line; of those there may be any number.

    Raises:
        EventsRefusedError: With every problem, or because the file cannot be read.
    """
    try:
        text = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
    except OSError as error:
        raise EventsRefusedError([Problem("", f"cannot be read: {error.strerror}")]) from error
    try:
        return parse_request(read_json(text), now)
    except JsonTextError as error:
        if not _holds_lines(text):
            message = str(error) if text.strip() else "holds no event"
            raise EventsRefusedError([Problem("", message)]) from error
    return parse_events(_lines(text), now)


def _holds_lines(text: bytes) -> bool:
    """Whether *text* looks like one event per line, and not like one document over several."""
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        read_json(lines[0] if len(lines) > 1 else b"")
    except JsonTextError:
        return False
    return True


def _lines(text: bytes) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                yield f"line {number}", read_json(line)
            except JsonTextError as error:
                raise EventsRefusedError([Problem(f"line {number}", str(error))]) from error


def event_of_options(
    name: str,
    subject: Mapping[str, str] | None,
    pairs: Sequence[str],
    data_json: str | None,
    event_id: str | None,
    now: datetime,
) -> dict[str, CustomEvent]:
    """Return the one event that the options of ``events send`` describe.

    Raises:
        EventsRefusedError: With every problem.
        click.UsageError: The options contradict each other.
    """
    document: dict[str, Any] = {"name": name, "data": _data(pairs, data_json)}
    if subject is not None:
        document["subject"] = subject
    if event_id is not None:
        document["id"] = event_id
    return parse_events([("", document)], now)


def _data(pairs: Sequence[str], data_json: str | None) -> Any:
    if data_json is not None:
        if pairs:
            raise click.UsageError("Give --data or --data-json, not both.")
        try:
            return read_json(data_json.encode("utf-8", "surrogatepass"))
        except JsonTextError as error:
            raise click.BadParameter(f"it {error}", param_hint="--data-json") from None
    data: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"'{pair}' is not key=value", param_hint="--data")
        if key in data:
            raise click.BadParameter(f"'{key}' is there twice", param_hint="--data")
        data[key] = _value(value)
    return data


def _value(text: str) -> Any:
    """Return a number, true, false, null or quoted text as that, and anything else as text."""
    try:
        value = read_json(text.encode("utf-8", "surrogatepass"))
    except JsonTextError:
        return text
    return text if isinstance(value, dict | list) else value
