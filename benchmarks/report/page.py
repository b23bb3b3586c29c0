"""The page of the figures: Markdown with its charts beside it, rendered from the results alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.catalog import SUITES, load
from benchmarks.report.charts import draw
from benchmarks.report.promises import PROMISES
from benchmarks.report.results import FILE, Results
from benchmarks.suite import Section, Suite, Table

Load = Callable[[str], Suite]

_MACHINE: Final[Mapping[str, str]] = {
    "cpu": "Processor",
    "cores": "Cores",
    "memory_gib": "Memory, GiB",
    "fsync_ms": "Writing 8 KiB to the disk (fsync), ms",
    "load_average_1m": "Load average before the run, one minute",
    "kernel": "Kernel",
    "python": "Python",
    "postgres": "Postgres",
    "temporal_server": "Temporal server",
    "temporal_sdk": "Temporal SDK for Python",
}
_OPENING: Final = """\
<!-- Written by `make bench` from the results; do not edit. -->

# Benchmarks

Every figure on this page was written by the run that measured it, on the one machine described
below, where the engine, Postgres, Temporal, the mail server, the telephone company and whatever
produces the load share the cores. The mail server and the telephone company are stand-ins on the
same machine, reached over SMTP and HTTP by the code that reaches the real ones; they accept at
once, so what a real provider takes comes on top. Where two systems are compared, they took turns
in one run, and a figure is the median of the turns.
"""
_REPEATING: Final = """\
## How to repeat it

`make bench` measures everything anew and writes this page and [{file}]({folder}/{file}), which
holds the same figures and more. `make bench ARGS=--quick` takes under five minutes and writes
nothing. Each section names the command for it alone.
"""


def render(results: Results, folder: str, load_suite: Load = load) -> dict[str, str]:
    """Return the files of the page by their paths, relative to the one the page is in.

    ``FOLDER.md`` is the page, ``FOLDER/NAME-1.svg`` the first chart of a suite.

    Raises:
        ValueError: A chart has nothing to draw, or a value that is no number.
    """
    files: dict[str, str] = {}
    repeating = _REPEATING.format(file=FILE, folder=folder)
    parts = [_OPENING, _promises(results), repeating, _machine(results)]
    for name in [*SUITES, *sorted({*results.figures, *results.failed} - {*SUITES})]:
        figures = results.figures.get(name)
        if figures is None:
            if name in results.failed:
                parts.append(f"## {_title(name)}\n\nFailed: {results.failed[name]}\n")
            continue
        if "skipped" in figures:
            parts.append(f"## {_title(name)}\n\nSkipped: {figures['skipped']}\n")
            continue
        section = load_suite(name).section(figures)
        charts = {
            f"{folder}/{name}-{order}.svg": draw(chart)
            for order, chart in enumerate(section.charts, start=1)
        }
        files |= charts
        parts.append(_section(name, section, list(charts), results))
    files[f"{folder}.md"] = "\n".join(parts)
    return files


def write(results: Results, folder: Path, load_suite: Load = load) -> Path:
    """Write the page beside *folder* and its charts into it; return the page's path.

    A chart of an earlier page that this one does not have is removed.
    """
    files = render(results, folder.name, load_suite)
    folder.mkdir(parents=True, exist_ok=True)
    for chart in folder.glob("*.svg"):
        chart.unlink()
    for path, text in files.items():
        (folder.parent / path).write_text(text)
    return page_of(folder)


def page_of(folder: Path) -> Path:
    """Return where the page of the results in *folder* is: ``docs/benchmarks.md``, say."""
    return folder.with_name(f"{folder.name}.md")


def _promises(results: Results) -> str:
    verdicts = [promise.judge(results) for promise in PROMISES]
    rows = [(each.promise.text, each.promise.target, each.measured, each.word) for each in verdicts]
    return _table(Table(("Promise", "Target", "Measured", ""), rows))


def _machine(results: Results) -> str:
    rows = [(title, str(results.machine.get(name, "?"))) for name, title in _MACHINE.items()]
    rows += [("Commit", results.commit), ("Taken", _moment(results.taken_at))]
    return "## The machine\n\n" + _table(Table(("", ""), rows))


def _section(name: str, section: Section, charts: Sequence[str], results: Results) -> str:
    parts = [f"## {section.title}\n", *(f"{paragraph}\n" for paragraph in section.text)]
    parts += [_table(table) for table in section.tables]
    parts += [
        f"![{chart.title}]({path})\n" for chart, path in zip(section.charts, charts, strict=True)
    ]
    repeat = f"Repeat it: `{section.command}`."
    if stamp := results.stamps.get(name):
        repeat += f" Taken {_moment(stamp.taken_at)} at {stamp.commit}, in {stamp.seconds:.0f} s."
    if name in results.failed:
        repeat += f" A later run of it failed: {results.failed[name]}"
    return "\n".join([*parts, repeat + "\n"])


def _table(table: Table) -> str:
    """Return *table* in Markdown: words to the left, figures to the right."""
    lines = [table.columns, ["---"] + ["---:"] * (len(table.columns) - 1), *table.rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _title(name: str) -> str:
    title = name.replace("_", " ")
    # Whoever writes their name with a digit knows how they write it.
    return title.capitalize() if title.isalpha() or " " in title else title


def _moment(taken_at: str) -> str:
    return taken_at[:16].replace("T", " ") + " UTC"
