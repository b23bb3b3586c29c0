"""Charts are well-formed, say everything in words as well, and refuse what cannot be drawn."""

from __future__ import annotations

import math
import re
from xml.etree.ElementTree import Element, fromstring

import pytest

from benchmarks.report.charts import WIDTH, draw, number
from benchmarks.suite import Bars, Lines

SVG = "{http://www.w3.org/2000/svg}"
BARS = Bars("Latency", "milliseconds", [("ours", 23.4), ("the origin", 30_123.0)])
LINES = Lines(
    "Draining",
    "seconds since the burst",
    "runs that ended",
    {"the large one": [(0, 0), (10, 900), (20, 1_000)], "the small one": [(0, 0), (20, 20)]},
)


def _parsed(drawn: str) -> Element:
    return fromstring(drawn)  # noqa: S314 - our own drawing


def _words(svg: Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


@pytest.mark.parametrize("chart", [BARS, LINES])
def test_a_chart_is_read_aloud_and_names_its_units(chart: Bars | Lines) -> None:
    svg = _parsed(draw(chart))
    assert svg.get("role") == "img"
    title, told = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
    assert title is not None
    assert title.text == chart.title
    assert told is not None
    assert told.text
    assert f"{title.get('id')} {told.get('id')}" == svg.get("aria-labelledby")
    units = {chart.unit} if isinstance(chart, Bars) else {chart.x, chart.y}
    assert units < set(_words(svg))


@pytest.mark.parametrize("chart", [BARS, LINES])
def test_a_chart_has_colours_for_the_dark(chart: Bars | Lines) -> None:
    assert "@media (prefers-color-scheme: dark)" in draw(chart)


def test_the_longest_bar_fills_the_space_and_the_others_are_in_proportion() -> None:
    svg = _parsed(draw(Bars("Bytes", "bytes", [("a", 50), ("b", 100), ("c", 0)])))
    widths = [float(bar.get("width", "")) for bar in svg.iter(f"{SVG}rect") if bar.get("x")]
    assert widths[0] == pytest.approx(widths[1] / 2, abs=0.1)
    assert widths[2] == 0
    assert widths[1] < WIDTH


def test_nothing_is_drawn_outside_the_picture_however_long_the_labels() -> None:
    name = "a name that somebody thought should be as long as a whole sentence, which it is"
    for chart in (
        Bars("Long", "ms", [(name, 1e12), ("short", 1)]),
        Lines("Long", "x", "y", {f"{name[:60]} {n}": [(n, 1e12), (2, 3)] for n in range(6)}),
    ):
        svg = _parsed(draw(chart))
        height = float(svg.get("height", ""))
        for text in svg.iter(f"{SVG}text"):
            width = len(text.text or "") * 6.5
            x, y = float(text.get("x", "")), float(text.get("y", ""))
            left = {"start": x, "middle": x - width / 2, "end": x - width}[
                text.get("text-anchor", "")
            ]
            assert left >= 0, text.text
            assert left + width <= WIDTH, text.text
            assert 0 < y < height, text.text
        bars = [float(bar.get("width", "")) for bar in svg.iter(f"{SVG}rect") if bar.get("x")]
        assert not bars or max(bars) > WIDTH / 4, "labels leave the bars some room"


def test_labels_of_others_are_text_and_no_markup() -> None:
    svg = _parsed(draw(Bars("<script>", "a & b", [('"><script>alert(1)</script>', 1)])))
    assert not list(svg.iter(f"{SVG}script"))
    assert "<script>" in _words(svg)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_refused_by_the_charts_name(value: float) -> None:
    with pytest.raises(ValueError, match="“Latency” has a value that is not a number"):
        draw(Bars("Latency", "ms", [("ours", value)]))
    with pytest.raises(ValueError, match="“Draining” has a value that is not a number"):
        draw(Lines("Draining", "s", "runs", {"ours": [(0, 1), (value, 2)]}))


def test_an_empty_chart_is_refused() -> None:
    with pytest.raises(ValueError, match="“Latency” has no bars"):
        draw(Bars("Latency", "ms", []))
    with pytest.raises(ValueError, match="“Draining” has no points"):
        draw(Lines("Draining", "s", "runs", {"ours": []}))


@pytest.mark.parametrize(
    "points", [[(0, 0)], [(3, 7)], [(0, 0), (1, 0)], [(-5, -3), (5, 3)], [(1e-6, 1e-6), (2e-6, 0)]]
)
def test_points_of_any_size_are_inside_their_axes(points: list[tuple[float, float]]) -> None:
    drawn = draw(Lines("Any", "x", "y", {"ours": points}))
    svg = _parsed(drawn)
    assert "nan" not in drawn
    height = float(svg.get("height", ""))
    for mark in svg.iter(f"{SVG}circle"):
        assert 0 <= float(mark.get("cx", "")) <= WIDTH
        assert 0 <= float(mark.get("cy", "")) <= height


def test_a_chart_is_the_same_every_time() -> None:
    """Otherwise the page would differ from what its results render to."""
    assert draw(LINES) == draw(LINES)


def test_every_line_has_its_key() -> None:
    svg = _parsed(draw(LINES))
    assert set(LINES.lines) < set(_words(svg))
    dashes = [line.get("stroke-dasharray") for line in svg.iter(f"{SVG}polyline")]
    assert len(set(dashes)) == 2, "lines are told apart by more than their colour"


def test_numbers_are_short_and_exact_enough() -> None:
    assert [number(each) for each in (0, 0.01234, 0.5, 4, 23.44, 999.4, 12345.6, -1.25)] == [
        "0", "0.0123", "0.5", "4", "23.4", "999", "12,346", "-1.25",
    ]  # fmt: skip
    assert not re.search("e", number(1e15))
