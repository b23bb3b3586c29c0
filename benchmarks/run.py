"""Measure everything, or some of it, and write the page: ``python -m benchmarks.run --help``."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import Any, Final

import click
from rich.console import Console

from benchmarks import catalog
from benchmarks.alone import SuiteFailedError, measure_alone
from benchmarks.report import machine, page, results
from benchmarks.report.progress import Progress, print_results
from benchmarks.report.results import CannotMergeError, Results, Stamp
from benchmarks.suite import Figures, Scale, Tell

DOCS: Final = Path(__file__).parents[1] / "docs" / "benchmarks"

Measure = Callable[[str, Scale, Tell], Awaitable[Figures]]


async def measure_suite(name: str, scale: Scale, tell: Tell) -> Figures:
    """Measure the suite *name* of the catalog in a process of its own.

    Raises:
        SuiteFailedError: It failed.
    """
    return await measure_alone(catalog.SUITES[name], scale, tell)


async def measure_all(
    names: Sequence[str],
    scale: Scale,
    progress: Progress,
    measure: Measure = measure_suite,
    about: dict[str, Any] | None = None,
) -> Results:
    """Measure the suites one after the other; one that fails is named, and costs no other.

    *about* describes the machine; without it, the one this runs on.
    """
    described = machine.describe_machine() if about is None else about
    commit = machine.commit()
    run = Results(described, _now(), commit, scale.quick)
    for name in names:
        taken_at, began = _now(), monotonic()
        try:
            with progress.suite(name) as tell:
                run.figures[name] = await measure(name, scale, tell)
        except SuiteFailedError as error:
            run.failed[name] = str(error)
            progress.failed(name, str(error), error.last_words)
        else:
            run.stamps[name] = Stamp(taken_at, commit, round(monotonic() - began, 1))
    return run


def publish(run: Results, folder: Path, *, partial: bool) -> Path:
    """Write *run* and its page, for a *partial* one into what is there; return the page's path.

    Raises:
        CannotMergeError: What is there is of another machine, or quick.
    """
    earlier = results.read(folder) if partial else None
    whole = run.on_top_of(earlier) if earlier else run
    results.write(whole, folder)
    return page.write(whole, folder)


@click.command()
@click.option("--quick", is_flag=True, help="All in under five minutes, shorter and coarser.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--only", "names", multiple=True, metavar="NAME", type=click.Choice(tuple(catalog.SUITES)),
    help="Measure this suite; may be given several times.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
    help="Where results.json and the charts go, and beside it the page.",
)  # fmt: skip
@click.option("--page", "only_page", is_flag=True, help="Write the page again; measure nothing.")
@click.option("--list", "listing", is_flag=True, help="List the suites.")
def main(
    quick: bool,
    as_json: bool,
    names: tuple[str, ...],
    output: Path | None,
    only_page: bool,
    listing: bool,
) -> None:
    """Measure, and print what was found.

    Without options every suite is measured in full, which takes about half an hour, and
    docs/benchmarks.md, its charts and docs/benchmarks/results.json are written anew.

    With --quick or --only nothing is written, unless --output names a folder: the results of
    --only then go on top of the full ones of the same machine that are there, so that
    "--only herd --output docs/benchmarks" measures one section anew.

    Exits with 1 if a suite failed; the others keep their figures.
    """
    if listing:
        _list(as_json)
        return
    if only_page:
        _render(output or DOCS)
        return
    if quick and output is not None and output.resolve() == DOCS:
        raise click.UsageError("quick figures are not published; choose another --output.")
    if output is None and not quick and not names:
        output = DOCS
    # In the order of the catalog, each once.
    wanted = [name for name in catalog.SUITES if not names or name in names]

    errors = Console(stderr=True, highlight=False)
    try:
        run = asyncio.run(measure_all(wanted, Scale(quick), Progress(errors, len(wanted))))
    except KeyboardInterrupt:
        raise click.ClickException("stopped; nothing was written.") from None
    refused = _published(run, output, partial=bool(names)) if output is not None else None
    if as_json:
        click.echo(json.dumps(run.as_json(), indent=2))
    else:
        print_results(Console(highlight=False), run, catalog.load)
    if refused is not None:
        # Printed they are, so that they are not lost.
        raise click.ClickException(str(refused))
    sys.exit(1 if run.failed else 0)


def _published(run: Results, output: Path, *, partial: bool) -> CannotMergeError | None:
    try:
        written = publish(run, output, partial=partial)
    except CannotMergeError as refused:
        return refused
    click.echo(f"Written: {written}", err=True)
    return None


def _render(folder: Path) -> None:
    known = results.read(folder)
    if known is None:
        raise click.ClickException(f"{folder} has no {results.FILE}; measure first.")
    click.echo(f"Written: {page.write(known, folder)}", err=True)


def _list(as_json: bool) -> None:
    told = {name: _purpose(name) for name in catalog.SUITES}
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for name, purpose in told.items():
        click.echo(f"{name:16}{purpose}")


def _purpose(name: str) -> str:
    """Return the first sentence of the suite's module."""
    try:
        module = import_module(catalog.SUITES[name])
    except ImportError as error:
        return f"not there: {error}"
    return (module.__doc__ or "").strip().partition("\n")[0]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    main()
