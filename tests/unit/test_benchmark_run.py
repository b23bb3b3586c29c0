"""A run measures each suite by itself, names those that fail, and keeps the others' figures."""

from __future__ import annotations

import asyncio
import io
import json
import textwrap
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner
from rich.console import Console

from benchmarks import catalog
from benchmarks.alone import SuiteFailedError, measure_alone
from benchmarks.report import results
from benchmarks.report.progress import Progress
from benchmarks.report.results import Results
from benchmarks.run import DOCS, main, measure_all, publish
from benchmarks.suite import Figures, Scale, Tell
from tests.engine import eventually

QUICK = Scale(quick=True)


def _progress() -> tuple[Progress, io.StringIO]:
    shown = io.StringIO()
    return Progress(Console(file=shown, width=200), suites=2), shown


async def _measure(name: str, scale: Scale, tell: Tell) -> Figures:
    tell(f"looking at {name}")
    if name == "herd":
        raise SuiteFailedError("TimeoutError: it did not drain", "the worker's last words")
    return {"p50_ms": 12.5}


async def test_a_suite_that_fails_is_named_and_costs_no_other_its_figures() -> None:
    progress, shown = _progress()
    run = await measure_all(["herd", "latency"], QUICK, progress, _measure, about={"cores": 2})
    written = run.as_json()
    assert written["failed"] == {"herd": "TimeoutError: it did not drain"}
    assert written["latency"] == {"p50_ms": 12.5}
    assert "herd" not in written
    assert written["measured"].keys() == {"latency"}
    assert written["machine"] == {"cores": 2}
    assert written["quick"] is True
    assert {"taken_at", "commit"} < written.keys()
    said = shown.getvalue()
    assert "[1/2] herd" in said
    assert "the worker's last words\nherd failed: TimeoutError: it did not drain" in said
    assert "looking at latency" in said


def test_a_partial_run_goes_on_top_of_what_is_there_and_a_whole_one_does_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "figures"
    template = {"template": "thanks", "first_us": 9, "p50_us": 3, "p99_us": 5}
    rendering = {"rounds": 1, "first_us": 9, "p50_us": 3, "templates": [template]}

    def run(**figures: Figures) -> Results:
        return Results({}, "2026-11-22T08:00:00", "abc", quick=False, figures=dict(figures))

    publish(run(rendering=rendering, n8n={"skipped": "why"}), folder, partial=False)
    publish(run(n8n={"skipped": "another reason"}), folder, partial=True)
    there = results.read(folder)
    assert there is not None
    assert there.figures == {"rendering": rendering, "n8n": {"skipped": "another reason"}}
    written = publish(run(n8n={"skipped": "a third"}), folder, partial=False)
    assert "Rendering" not in written.read_text()


def test_every_suite_is_listed() -> None:
    for arguments in (["--list"], ["--list", "--json"]):
        printed = CliRunner().invoke(main, arguments)
        assert printed.exit_code == 0
        assert [name for name in catalog.SUITES if name not in printed.stdout] == []
    assert json.loads(printed.stdout).keys() == catalog.SUITES.keys()


def test_an_unknown_suite_is_answered_with_those_there_are() -> None:
    printed = CliRunner().invoke(main, ["--only", "latencies"])
    assert printed.exit_code == 2
    assert "latencies" in printed.output
    assert "'latency'" in printed.output


def test_quick_figures_are_never_published() -> None:
    printed = CliRunner().invoke(main, ["--quick", "--output", str(DOCS)])
    assert printed.exit_code == 2
    assert "quick figures are not published" in printed.output


def test_a_page_without_results_says_what_to_do(tmp_path: Path) -> None:
    printed = CliRunner().invoke(main, ["--page", "--output", str(tmp_path)])
    assert printed.exit_code == 1
    assert "has no results.json; measure first" in printed.output


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module on the path that ``_write`` fills."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "suite_of_a_test"


def _write(tmp_path: Path, body: str) -> None:
    code = "import asyncio, os\nasync def measure(scale, tell):\n"
    (tmp_path / "suite_of_a_test.py").write_text(code + textwrap.indent(body, "    "))


async def test_a_suite_is_measured_in_a_process_of_its_own(tmp_path: Path, suite: str) -> None:
    """What it prints is no answer, and disturbs none."""
    _write(
        tmp_path, "print('hello')\ntell('one')\nreturn {'quick': scale.quick, 'pid': os.getpid()}"
    )
    told: list[str] = []
    figures = await measure_alone(suite, QUICK, told.append)
    assert figures["quick"] is True
    assert told == ["one"]
    assert not psutil.pid_exists(figures["pid"])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise TimeoutError('only 3 of 10')", "^TimeoutError: only 3 of 10$"),
        ("return {'p50_ms': float('nan')}", "Out of range float values are not JSON"),
        ("return {'p50_ms': object()}", "not JSON serializable"),
        ("os._exit(7)", "^its process ended with code 7 and no figures$"),
    ],
)
async def test_what_gives_no_figures_says_why(
    tmp_path: Path, suite: str, body: str, reason: str
) -> None:
    _write(tmp_path, f"os.write(2, b'last words')\n{body}")
    with pytest.raises(SuiteFailedError, match=reason) as failure:
        await measure_alone(suite, QUICK, lambda _: None)
    assert failure.value.last_words.startswith("last words")


async def test_a_suite_that_is_not_there_is_one_that_failed() -> None:
    with pytest.raises(SuiteFailedError, match="No module named 'no_such_suite'"):
        await measure_alone("no_such_suite", QUICK, lambda _: None)


async def test_whoever_is_stopped_stops_the_suite_and_lets_it_clean_up(
    tmp_path: Path, suite: str
) -> None:
    body = """
    tell(str(os.getpid()))
    try:
        await asyncio.Event().wait()
    finally:
        open({!r}, 'w').close()
    """
    cleaned = tmp_path / "cleaned"
    _write(tmp_path, textwrap.dedent(body).format(str(cleaned)))
    told: list[str] = []
    measuring = asyncio.create_task(measure_alone(suite, QUICK, told.append))

    async def has_begun() -> bool:
        return bool(told)

    await eventually(has_begun)
    measuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await measuring
    assert not psutil.pid_exists(int(told[0]))
    assert cleaned.exists()
