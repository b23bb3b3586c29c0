"""Lists fit the terminal, and say everything elsewhere."""

from __future__ import annotations

from io import StringIO

from rich.cells import cell_len
from rich.console import Console

from cli.listing import Column, Line, print_listing

COLUMNS = (Column("NAME", shrinks=True), Column("STATUS"), Column("TOOK", right=True))


def listed(*lines: Line, width: int | None = None) -> list[str]:
    """Print *lines* to a terminal of *width* columns, or to a file."""
    file = StringIO()
    terminal = width is not None
    console = Console(
        file=file, width=width, force_terminal=terminal, color_system=None, highlight=False
    )
    print_listing(console, COLUMNS, lines)
    return file.getvalue().splitlines()


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    assert listed(Line(("On the way", "active", "18 ms")), Line(("x", "paused", "3 s"))) == [
        "NAME        STATUS   TOOK",
        "On the way  active  18 ms",
        "x           paused    3 s",
    ]


def test_a_narrow_terminal_takes_from_the_columns_that_may_shrink() -> None:
    lines = listed(Line(("A very long name of an automation", "active", "18 ms")), width=40)
    assert lines[1] == "A very long name of an a…  active  18 ms"
    assert all(cell_len(line) <= 40 for line in lines)


def test_a_hopelessly_narrow_terminal_still_wraps_nothing() -> None:
    lines = listed(Line(("A very long name", "active", "18 ms"), "a note"), width=12)
    assert len(lines) == 3
    assert all(cell_len(line) <= 12 for line in lines)


def test_wide_characters_count_as_two_columns() -> None:
    lines = listed(Line(("預約提醒預約提醒預約提醒", "active", "18 ms")), width=30)
    assert all(cell_len(line) <= 30 for line in lines)
    assert lines[1].endswith("active  18 ms")


def test_elsewhere_than_on_a_terminal_nothing_is_cut() -> None:
    name, note = "n" * 300, "because " * 100
    lines = listed(Line((name, "failed", ""), note))
    assert name in lines[1]
    assert lines[2].split() == note.split()


def test_a_note_stands_below_its_line_in_two_lines_at_most() -> None:
    lines = listed(Line(("x", "skipped", ""), "because " * 100), width=40)
    assert len(lines) == 4
    assert lines[2].startswith("    because because")
    assert lines[3].endswith("…")


def test_what_would_steer_the_terminal_is_replaced() -> None:
    (_, line) = listed(Line(("Ada\x1b[2J\x07\nByron", "active", "\u202e18 ms")))
    assert line == "Ada\ufffd[2J\ufffd Byron  active  \ufffd18 ms"


def test_markup_in_data_is_only_text() -> None:
    (_, line) = listed(Line(("[bold]Ada[/bold]", "active", "")))
    assert line.startswith("[bold]Ada[/bold]  active")
