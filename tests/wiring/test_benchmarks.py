"""Every suite can be run and told, and the page is what the results say."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from benchmarks import catalog
from benchmarks.report import page, results
from benchmarks.report.promises import PROMISES
from benchmarks.run import DOCS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", catalog.SUITES)
def test_a_suite_is_one(name: str) -> None:
    suite = catalog.load(name)
    assert name == suite.NAME
    assert inspect.iscoroutinefunction(suite.measure)
    assert list(inspect.signature(suite.measure).parameters) == ["scale", "tell"]
    assert list(inspect.signature(suite.section).parameters) == ["figures"]


def test_every_suite_is_in_the_catalog() -> None:
    """A module that has a name and measures, and that nobody runs, is forgotten."""
    found = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for folder in ("suites", "peers")
        for file in (ROOT / "benchmarks" / folder).glob("*.py")
        if "\nasync def measure(" in file.read_text() and "\nNAME" in file.read_text()
    }
    assert found == set(catalog.SUITES.values())


def test_every_promise_is_about_a_suite() -> None:
    assert {promise.suite for promise in PROMISES} <= catalog.SUITES.keys()


def test_the_page_is_what_the_results_say() -> None:
    """The run writes it and nobody edits it; ``python -m benchmarks.run --page`` mends it."""
    published = results.read(DOCS)
    if published is None:
        pytest.fail("docs/benchmarks/results.json is missing: make bench writes it")
    rendered = page.render(published, DOCS.name)
    there = {file.relative_to(DOCS.parent).as_posix() for file in DOCS.glob("*.svg")}
    assert there | {page.page_of(DOCS).name} == rendered.keys()
    for path, text in rendered.items():
        assert (DOCS.parent / path).read_text() == text, path


def test_published_figures_are_of_a_whole_run_and_name_every_suite() -> None:
    published = results.read(DOCS)
    assert published is not None
    assert not published.quick
    assert not published.failed
    assert published.figures.keys() == catalog.SUITES.keys()
