"""Bars and lines as SVG: readable in light and dark, without a script, and read aloud."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from benchmarks.suite import Bars, Lines

WIDTH: Final = 720
# Wide enough for this font at 13 pixels, and for most that stand in for it.
_CHARACTER: Final = 7.4
_LINE: Final = 17
_PADDING: Final = 20
_PLOT_HEIGHT: Final = 260
_BAR: Final = 20
_LABEL_CHARACTERS: Final = 34
_MOST_MARKS: Final = 40
# Told apart by dashes as well, for those who cannot by colour.
_DASHES: Final = ("", "8 4", "2 4", "10 4 2 4", "14 4", "5 3 2 3 2 3")
_COLOURS: Final = len(_DASHES)

# It paints its own background: what surrounds a picture does not always follow the reader's scheme.
_STYLE: Final = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 15px; }
.quiet { fill: #57606a; }
.ground { fill: #ffffff; }
.grid { stroke: #d8dee4; }
.axis { stroke: #6e7781; }
.bar { fill: #0969a8; }
.line { fill: none; stroke-width: 2; }
.mark { fill: #ffffff; stroke-width: 2; }
.c0 { stroke: #0969a8; } .c1 { stroke: #b64a00; } .c2 { stroke: #00795a; }
.c3 { stroke: #8a3ea8; } .c4 { stroke: #6e5a00; } .c5 { stroke: #a8325a; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .quiet { fill: #9198a1; }
  .ground { fill: #0d1117; }
  .grid { stroke: #2b323b; }
  .axis { stroke: #7d8590; }
  .bar { fill: #4aa3e0; }
  .mark { fill: #0d1117; }
  .c0 { stroke: #4aa3e0; } .c1 { stroke: #f0883e; } .c2 { stroke: #2fbf95; }
  .c3 { stroke: #c58af0; } .c4 { stroke: #d9b93b; } .c5 { stroke: #f27ba5; }
}
"""


def draw(chart: Bars | Lines) -> str:
    """Return *chart* as an SVG document.

    Raises:
        ValueError: It has nothing to draw, or a value that is no number; the chart is named.
    """
    return _draw_bars(chart) if isinstance(chart, Bars) else _draw_lines(chart)


def number(value: float) -> str:
    """Return *value* as people read it: three digits where it is small, none after it if large.

    >>> [number(each) for each in (0, 0.01234, 4.5, 72.25, 12345.6)]
    ['0', '0.0123', '4.5', '72.2', '12,346']
    """
    size = abs(value)
    digits = 0 if size >= 100 or not value else 2 - math.floor(math.log10(size))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _draw_bars(chart: Bars) -> str:
    if not chart.bars:
        raise ValueError(f"the chart “{chart.title}” has no bars")
    _check(chart.title, (value for _, value in chart.bars))
    labels = [wrap(label, _LABEL_CHARACTERS) or [""] for label, _ in chart.bars]
    left = _PADDING + max(len(line) for lines in labels for line in lines) * _CHARACTER + 12
    values = [number(value) for _, value in chart.bars]
    right = WIDTH - _PADDING - max(map(len, values)) * _CHARACTER - 8
    longest = max(value for _, value in chart.bars)

    told = "; ".join(
        f"{label}: {value} {chart.unit}"
        for (label, _), value in zip(chart.bars, values, strict=True)
    )
    heights = [max(len(lines) * _LINE, _BAR) + 10 for lines in labels]
    top = _PADDING + 52
    svg = _document(chart.title, told, top + sum(heights) + _PADDING - 6)
    _text(svg, _PADDING, _PADDING + 32, chart.unit, kind="quiet")
    middle = float(top)
    for (_, value), lines, shown, height in zip(chart.bars, labels, values, heights, strict=True):
        centre = middle + height / 2
        first = centre + 4.5 - (len(lines) - 1) * _LINE / 2
        for below, line in enumerate(lines):
            _text(svg, left - 10, first + below * _LINE, line, anchor="end")
        length = (right - left) * value / longest if longest else 0
        _shape(
            svg, "rect", kind="bar", x=left, y=centre - _BAR / 2, width=length, height=_BAR, rx=2
        )
        _text(svg, left + length + 7, centre + 4.5, shown)
        middle += height
    _rule(svg, "axis", (left, top), (left, middle))
    return _finished(svg)


def _draw_lines(chart: Lines) -> str:
    points = [point for line in chart.lines.values() for point in line]
    if not points:
        raise ValueError(f"the chart “{chart.title}” has no points")
    _check(chart.title, (value for point in points for value in point))
    told = "; ".join(
        f"{name}: from {number(line[0][1])} at {number(line[0][0])} to {number(line[-1][1])} at "
        f"{number(line[-1][0])}, at most {number(max(y for _, y in line))}"
        for name, line in chart.lines.items()
        if line
    )
    across, up = _ticks(x for x, _ in points), _ticks((y for _, y in points), from_zero=True)
    legend = _legend(list(chart.lines)) if len(chart.lines) > 1 else []
    rows = legend[-1].row + 1 if legend else 0
    top = _PADDING + 36 + rows * 22 + 26
    bottom = top + _PLOT_HEIGHT
    left = _PADDING + max(len(number(tick)) for tick in up) * _CHARACTER + 8
    right = WIDTH - _PADDING - len(number(across[-1])) * _CHARACTER / 2
    svg = _document(chart.title, f"{chart.y} over {chart.x}. {told}", bottom + 58)

    frame = _Frame(left, right, top, bottom, (across[0], across[-1]), (up[0], up[-1]))
    for tick in up:
        y = frame.place(across[0], tick)[1]
        _rule(svg, "axis" if tick == up[0] else "grid", (left, y), (right, y))
        _text(svg, left - 8, y + 4.5, number(tick), anchor="end", kind="quiet")
    for tick in across:
        at = frame.place(tick, up[0])[0]
        _text(svg, at, bottom + 20, number(tick), anchor="middle", kind="quiet")
    _text(svg, _PADDING, top - 14, chart.y, kind="quiet")
    _text(svg, (left + right) / 2, bottom + 44, chart.x, anchor="middle", kind="quiet")

    for order, line in enumerate(chart.lines.values()):
        placed = [frame.place(*point) for point in sorted(line)]
        _stroke(svg, order, placed)
        if len(placed) <= _MOST_MARKS:
            for x, y in placed:
                _shape(svg, "circle", kind=f"mark c{order % _COLOURS}", cx=x, cy=y, r=3)
    for key in legend:
        y = _PADDING + 34 + key.row * 22
        _stroke(svg, key.order, [(key.x, y - 4.5), (key.x + 26, y - 4.5)])
        _text(svg, key.x + 33, y, key.name)
    return _finished(svg)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values are on the picture."""

    left: float
    right: float
    top: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        along = (x - self.x[0]) / (self.x[1] - self.x[0])
        high = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            self.left + along * (self.right - self.left),
            self.bottom - high * (self.bottom - self.top),
        )


@dataclass(frozen=True, slots=True)
class _Key:
    name: str
    order: int
    x: float
    row: int


def _legend(names: Sequence[str]) -> list[_Key]:
    """Place the names side by side, on as many rows as they need."""
    keys, x, row = [], float(_PADDING), 0
    for order, name in enumerate(names):
        width = 33 + len(name) * _CHARACTER + 18
        if x > _PADDING and x + width > WIDTH - _PADDING:
            x, row = float(_PADDING), row + 1
        keys.append(_Key(name, order, x, row))
        x += width
    return keys


def _ticks(values: Iterable[float], *, from_zero: bool = False) -> list[float]:
    """Return round numbers, the first not above the least value, the last not below the largest."""
    known = list(values)
    least, most = min(known), max(known)
    if from_zero:
        least, most = min(0.0, least), max(0.0, most)
    if least == most:
        most = least + (abs(least) or 1)
    rough = (most - least) / 5
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(s * magnitude for s in (1, 2, 2.5, 5, 10) if s * magnitude >= rough * 0.999)
    first, last = math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)
    return [round(n * step, 10) for n in range(first, last + 1)]


def _check(title: str, values: Iterable[float]) -> None:
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"the chart “{title}” has a value that is not a number")


def _document(title: str, told: str, height: float) -> Element:
    svg = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {WIDTH} {math.ceil(height)}",
            "width": str(WIDTH),
            "height": str(math.ceil(height)),
            "role": "img",
            "aria-labelledby": "title told",
        },
    )
    SubElement(svg, "title", {"id": "title"}).text = title
    SubElement(svg, "desc", {"id": "told"}).text = told
    SubElement(svg, "style").text = _STYLE
    _shape(svg, "rect", kind="ground", width=WIDTH, height=math.ceil(height), rx=6)
    _text(svg, _PADDING, _PADDING + 11, title, kind="title")
    return svg


def _finished(svg: Element) -> str:
    indent(svg)
    return tostring(svg, encoding="unicode") + "\n"


def _shape(svg: Element, tag: str, *, kind: str, **places: float) -> None:
    SubElement(svg, tag, {"class": kind, **{name: _px(at) for name, at in places.items()}})


def _text(
    svg: Element, x: float, y: float, words: str, *, anchor: str = "start", kind: str = ""
) -> None:
    attributes = {"x": _px(x), "y": _px(y), "text-anchor": anchor}
    SubElement(svg, "text", attributes | ({"class": kind} if kind else {})).text = words


def _rule(svg: Element, kind: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    _shape(svg, "line", kind=kind, x1=start[0], y1=start[1], x2=end[0], y2=end[1])


def _stroke(svg: Element, order: int, points: Sequence[tuple[float, float]]) -> None:
    attributes = {"class": f"line c{order % _COLOURS}"}
    if dashes := _DASHES[order % _COLOURS]:
        attributes["stroke-dasharray"] = dashes
    attributes["points"] = " ".join(f"{_px(x)},{_px(y)}" for x, y in points)
    SubElement(svg, "polyline", attributes)


def _px(at: float) -> str:
    return f"{at:.1f}".removesuffix(".0")
