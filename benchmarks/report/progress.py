"""What a run shows meanwhile, and what it prints at its end, for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.table import Table

from benchmarks.report.page import Load
from benchmarks.report.promises import PROMISES
from benchmarks.report.results import Results
from benchmarks.suite import Tell


class Progress:
    """Says on a console which suite is measured, for how long, and how many there are.

    On a terminal one line changes; elsewhere each stage is a line.
    """

    def __init__(self, console: Console, suites: int) -> None:
        self._console = console
        self._suites = suites
        self._begun = 0

    @contextmanager
    def suite(self, name: str) -> Iterator[Tell]:
        """Show the suite *name* until the block ends; what is told is what it does now."""
        self._begun += 1
        heading = f"[{self._begun}/{self._suites}] {name}"
        began = monotonic()
        if self._console.is_terminal:
            with self._console.status(heading) as status:
                yield lambda told: status.update(f"{heading}: {told} ({monotonic() - began:.0f} s)")
        else:
            self._say(heading)
            yield lambda told: self._say(f"  {monotonic() - began:4.0f} s  {told}")
        self._say(f"{heading} done in {monotonic() - began:.1f} s")

    def failed(self, name: str, error: str, last_words: str) -> None:
        """Say that a suite failed, and what it wrote before."""
        if last_words:
            self._say(last_words)
        self._say(f"{name} failed: {error}")

    def _say(self, words: str) -> None:
        self._console.print(words, markup=False, soft_wrap=True)


def print_results(console: Console, results: Results, load_suite: Load) -> None:
    """Print the tables of every section, and the promises that were measured."""
    for name, figures in results.figures.items():
        if "skipped" in figures:
            console.print(f"\n{name}: skipped: {figures['skipped']}", markup=False)
            continue
        section = load_suite(name).section(figures)
        console.print(f"\n{section.title}", style="bold", markup=False)
        for table in section.tables:
            shown = Table(show_edge=False, box=None, pad_edge=False)
            for order, column in enumerate(table.columns):
                shown.add_column(column, justify="right" if order else "left")
            for row in table.rows:
                shown.add_row(*row)
            console.print(shown)
    verdicts = [promise.judge(results) for promise in PROMISES]
    console.print()
    for verdict in verdicts:
        if verdict.kept is not None:
            met = "met" if verdict.kept else "NOT met"
            promise = verdict.promise
            console.print(
                f"{promise.text}: {verdict.measured} ({promise.target}) {met}", markup=False
            )
    for name, error in results.failed.items():
        console.print(f"{name} failed: {error}", markup=False)
