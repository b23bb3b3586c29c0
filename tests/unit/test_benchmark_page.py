"""The page says what was measured, what was not and why, and which promise is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.report import page, results
from benchmarks.report.promises import PROMISES
from benchmarks.report.results import CannotMergeError, Results, Stamp
from benchmarks.suite import Bars, Figures, Section, Suite, Table

MACHINE = {"cpu": "AMD EPYC", "cores": 2, "load_average_1m": 0.1}


class Told:
    """A suite that tells its figures as they are."""

    NAME = "herd"

    def section(self, figures: Figures) -> Section:
        return Section(
            "The herd | at nine",
            ("What a herd does.",),
            "python -m benchmarks.run --only herd",
            [Table(("Who", "p99, ms"), [("large | small", str(figures.get("small_org_p99_ms")))])],
            [Bars("Drained", "seconds", [("large", 12.5)])],
        )


def _load(name: str) -> Suite:
    return cast(Suite, Told())


def _results(**figures: Figures) -> Results:
    return Results(
        MACHINE,
        "2026-11-22T08:00:00+00:00",
        "abc123",
        quick=False,
        figures=dict(figures),
        stamps={name: Stamp("2026-11-22T08:01:00+00:00", "abc123", 61.4) for name in figures},
    )


def _render(run: Results) -> str:
    return page.render(run, "benchmarks", _load)["benchmarks.md"]


def test_a_section_has_its_text_figures_chart_and_command() -> None:
    files = page.render(_results(herd={"lost": 0, "small_org_p99_ms": 200}), "benchmarks", _load)
    assert set(files) == {"benchmarks.md", "benchmarks/herd-1.svg"}
    text = files["benchmarks.md"]
    assert "## The herd | at nine\n\nWhat a herd does.\n" in text
    assert "| large \\| small | 200 |" in text, "a cell's bar ends no cell"
    assert "![Drained](benchmarks/herd-1.svg)" in text
    assert (
        "Repeat it: `python -m benchmarks.run --only herd`. "
        "Taken 2026-11-22 08:01 UTC at abc123, in 61 s."
    ) in text


@pytest.mark.parametrize(
    ("figures", "row"),
    [
        ({"herd": {"small_org_p99_ms": 1_000}}, "| ≤ 1,000 ms | 1,000 ms | met |"),
        ({"herd": {"small_org_p99_ms": 1_001}}, "| ≤ 1,000 ms | 1,001 ms | **not met** |"),
        ({"herd": {"lost": 1}}, "| = 0 | 1 | **not met** |"),
        ({"herd": {"skipped": "no herd here"}}, "| = 0 | skipped | - |"),
        ({}, "| = 0 | not measured | - |"),
    ],
)
def test_each_promise_is_judged_by_its_figure(figures: dict[str, Figures], row: str) -> None:
    assert row in _render(_results(**figures))


@pytest.mark.parametrize("promise", PROMISES, ids=lambda each: f"{each.suite}.{each.figure}")
def test_a_promise_is_broken_just_beyond_its_bound(promise: Any) -> None:
    beyond = -0.01 if promise.at_least else 0.01
    for value, kept in ((promise.bound, True), (promise.bound + beyond, False)):
        run = _results(**{promise.suite: {promise.figure: value}})
        assert promise.judge(run).kept is kept


def test_a_suite_that_was_skipped_or_failed_says_why() -> None:
    run = _results(n8n={"skipped": "npm is not installed"})
    run.failed["dbos"] = "TimeoutError: only 3 of 10"
    text = _render(run)
    assert "## n8n\n\nSkipped: npm is not installed\n" in text
    assert "## Dbos\n\nFailed: TimeoutError: only 3 of 10\n" in text


def test_the_machine_is_described() -> None:
    text = _render(_results())
    assert "| Processor | AMD EPYC |" in text
    assert "| Commit | abc123 |" in text


def test_what_is_written_reads_back_as_the_same(tmp_path: Path) -> None:
    run = _results(herd={"lost": 0, "small_org_p99_ms": 200})
    run.failed["dbos"] = "it failed"
    results.write(run, tmp_path)
    assert results.read(tmp_path) == run
    assert results.read(tmp_path / "elsewhere") is None


def test_the_page_goes_beside_its_folder_and_old_charts_go(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "of-a-suite-that-was.svg").write_text("<svg/>")
    written = page.write(_results(herd={"lost": 0, "small_org_p99_ms": 2}), folder, _load)
    assert written == tmp_path / "figures.md"
    assert [file.name for file in folder.iterdir()] == ["herd-1.svg"]
    assert "](figures/herd-1.svg)" in written.read_text()


def test_one_suite_measured_anew_takes_the_place_of_its_own_figures() -> None:
    earlier = _results(herd={"lost": 1}, sweep={"seconds": 2})
    earlier.failed["herd"] = earlier.failed["dbos"] = "it failed"
    merged = _results(herd={"lost": 0}).on_top_of(earlier)
    assert merged.figures == {"herd": {"lost": 0}, "sweep": {"seconds": 2}}
    assert merged.failed == {"dbos": "it failed"}


def test_a_busier_machine_is_the_same_one_and_another_is_not() -> None:
    run = _results()
    busy = Results({**MACHINE, "load_average_1m": 9}, run.taken_at, run.commit, quick=False)
    run.on_top_of(busy)
    other = Results({**MACHINE, "cores": 64}, run.taken_at, run.commit, quick=False)
    with pytest.raises(CannotMergeError, match="another machine"):
        run.on_top_of(other)


def test_quick_figures_are_not_mixed_with_others() -> None:
    run = _results()
    quick = Results(MACHINE, run.taken_at, run.commit, quick=True)
    for one, other in ((run, quick), (quick, run)):
        with pytest.raises(CannotMergeError, match="quick"):
            one.on_top_of(other)
