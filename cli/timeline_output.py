"""A timeline as people see it, along a rail with the time; and as programs read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.text import Text

from cli.output import printable
from cli.timeline_lines import Line, Mark
from fixlify.storage.timeline import Timeline
from starter.explaining import NotSetOff

_WIDEST: Final = 100
_RAIL: Final = "│"
_TIME: Final = 5

# A symbol and a style for each; the symbol alone tells it, too.
_LOOKS: Final[Mapping[Mark, tuple[str, str]]] = MappingProxyType(
    {
        Mark.HAPPENED: ("●", "bold cyan"),
        Mark.SET_OFF: ("→", "cyan"),
        Mark.DONE: ("✓", "green"),
        Mark.NOTED: ("◆", "blue"),
        Mark.WAITING: ("…", "cyan"),
        Mark.HELD: ("‖", "yellow"),
        Mark.NOT_DONE: ("-", "yellow"),
        Mark.FAILED: ("✗", "red"),
        Mark.ASIDE: ("·", "dim"),
    }
)


def print_timeline(
    console: Console, heading: str, lines: Sequence[Line], zone: ZoneInfo, note: str | None
) -> None:
    """Draw *lines* below *heading*, a date where a day begins; *note* says what was left out."""
    width = min(console.width, _WIDEST)
    console.print(Text(printable(heading), "bold"))
    console.print(Text(f"All times are those of {zone.key}.", "dim"))
    if note:
        console.print(Text(note, "yellow"))
    day: date | None = None
    time, run = "", None
    for line in lines:
        there = line.at.astimezone(zone) if line.at else None
        if there and there.date() != day:
            day, time, run = there.date(), "", None
            console.print(Text(f"\n{'':{_TIME}}   {there:%A, %-d %B %Y}", "bold"))
        shown = f"{there:%H:%M}" if there else "now"
        if line.run and line.run != run:
            _row(console, "", _RAIL, "dim", Text(printable(line.run), "bold"), width)
        _entry(console, line, shown if shown != time else "", width)
        time, run = shown, line.run


def _entry(console: Console, line: Line, time: str, width: int) -> None:
    symbol, style = _LOOKS[line.mark]
    indent = "  " if line.run else ""
    head, _, rest = line.text.partition(": ")
    text = Text(head if rest else line.text, "bold" if line.mark is Mark.HAPPENED else "")
    if rest:
        text.append(f": {rest}", _quiet(line.mark))
    if line.run:
        _row(console, time, _RAIL, "dim", text, width, sign=(symbol, style), indent=indent)
    else:
        _row(console, time, symbol, style, text, width)
    for mark, detail in line.details:
        sign = _LOOKS[mark]
        _row(console, "", _RAIL, "dim", Text(detail, _quiet(mark)), width, sign=sign, indent="  ")


def _quiet(mark: Mark) -> str:
    return {Mark.FAILED: "red", Mark.ASIDE: "dim", Mark.NOT_DONE: "yellow"}.get(mark, "")


def _row(
    console: Console,
    time: str,
    rail: str,
    rail_style: str,
    text: Text,
    width: int,
    *,
    sign: tuple[str, str] | None = None,
    indent: str = "",
) -> None:
    """Print one row; where *text* is too long for it, on along the rail below."""
    first = Text.assemble((f"{time:>{_TIME}}", "dim"), " ", (rail, rail_style), " ", indent)
    below = Text.assemble(" " * _TIME, " ", (_RAIL, "dim"), " ", indent)
    if sign is not None:
        first.append(*sign)
        first.append(" ")
        below.append("  ")
    room = max(width - first.cell_len, 16)
    for number, part in enumerate(text.wrap(console, room) or [Text()]):
        part.rstrip()
        row = Text.assemble(below if number else first, part)
        row.rstrip()
        console.print(row, soft_wrap=True)


def timeline_document(
    about: Mapping[str, Any],
    timeline: Timeline,
    lines: Sequence[Line],
    unmatched: Mapping[int, Sequence[NotSetOff]],
    zone: ZoneInfo,
) -> dict[str, Any]:
    """Return a timeline for ``--json``: the lines as they are drawn, and what is behind them."""
    return {
        "about": about,
        "time_zone": zone.key,
        "more": timeline.more,
        "lines": [_line_document(line, zone) for line in lines],
        "events": [
            {
                **asdict(event),
                "not_set_off": [asdict(each) for each in unmatched.get(event.id, ())],
            }
            for event in timeline.events
        ],
        "runs": [{**asdict(run), "event_id": run.event_id} for run in timeline.runs],
        "consent": [asdict(change) for change in timeline.consent],
    }


def _line_document(line: Line, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "at": line.at,
        "local": _local(line.at, zone),
        "mark": line.mark,
        "text": line.text,
        "details": [{"mark": mark, "text": text} for mark, text in line.details],
        "automation": line.run,
        "execution_id": line.execution_id,
    }


def _local(at: datetime | None, zone: ZoneInfo) -> str | None:
    return at.astimezone(zone).isoformat(timespec="seconds") if at else None
