"""A list in columns that fits the terminal, each line with an optional note below it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from cli.output import printable

_GAP: Final = "  "
_INDENT: Final = "    "
_NARROWEST: Final = 8
_NOTE_LINES: Final = 2

STYLES: Final = {
    "active": "green",
    "completed": "green",
    "sent": "green",
    "delivered": "green",
    "created": "green",
    "failed": "red",
    "bounced": "red",
    "undelivered": "red",
    "unknown": "red",
    "unreadable": "red",
    "running": "cyan",
    "waiting": "cyan",
    "pending": "cyan",
    "sending": "cyan",
    "queued": "cyan",
    "updated": "cyan",
    "skipped": "yellow",
    "suppressed": "yellow",
    "held": "yellow",
    "paused": "yellow",
}
"""How statuses look; the others are plain."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; one that *shrinks* gives way where the terminal is narrow."""

    title: str
    shrinks: bool = False
    right: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the list, and what is said below it."""

    cells: Sequence[str]
    note: str | None = None


def print_listing(console: Console, columns: Sequence[Column], lines: Sequence[Line]) -> None:
    """Print *lines* under the columns' titles.

    On a terminal what is too long ends in an ellipsis; elsewhere it is whole.
    """
    width = console.width if console.is_terminal else sys.maxsize
    rows = [[_one_line(cell) for cell in line.cells] for line in lines]
    widths = [
        max(cell_len(text) for text in (column.title, *(row[place] for row in rows)))
        for place, column in enumerate(columns)
    ]
    _fit(widths, columns, width)
    titles = _row([column.title for column in columns], columns, widths, width)
    titles.stylize("dim")
    _print(console, titles)
    for row, line in zip(rows, lines, strict=True):
        _print(console, _row(row, columns, widths, width))
        for note in _notes(line.note, width):
            _print(console, Text(note, style="dim"))


def _fit(widths: list[int], columns: Sequence[Column], width: int) -> None:
    """Take what does not fit from the columns that shrink, the widest first."""
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    shrinking = [place for place, column in enumerate(columns) if column.shrinks]
    while excess > 0 and shrinking:
        widest = max(shrinking, key=lambda place: widths[place])
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1
        excess -= 1


def _row(
    cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], width: int
) -> Text:
    row = Text()
    for cell, column, cell_width in zip(cells, columns, widths, strict=True):
        text = _cropped(cell, cell_width)
        padding = " " * (cell_width - cell_len(text))
        row.append(padding + text if column.right else text + padding, STYLES.get(cell, ""))
        row.append(_GAP)
    row.rstrip()
    row.truncate(width, overflow="ellipsis")
    return row


def _notes(note: str | None, width: int) -> list[str]:
    return wrap(
        _one_line(note or ""),
        max(width, _NARROWEST),
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        max_lines=_NOTE_LINES,
        placeholder=" …",
    )


def _print(console: Console, line: Text) -> None:
    console.print(line, soft_wrap=True)


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _cropped(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)) + "…"
