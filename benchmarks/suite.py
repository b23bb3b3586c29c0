"""What a part of the benchmark is: something measured, and how it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Tell = Callable[[str], None]
"""Called with one sentence at each stage of something long."""

Figures = Mapping[str, Any]
"""What was measured, as JSON has it; every name ends with its unit (``p50_ms``) or is a ratio."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How long to measure: *quick* is for a guard, the other for the published figures."""

    quick: bool = False

    def choose(self, quick: int, full: int) -> int:
        """Return the number for this scale."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people; the first column names what the others are about."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Bars:
    """A chart of one figure for several things, longest bar first or in the order given."""

    title: str
    unit: str
    bars: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Lines:
    """A chart of figures over something that grows: points are (x, y)."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Section:
    """What the page says of one suite.

    ``text`` tells what was measured and how, and what the figures do and do not say;
    ``command`` repeats it.
    """

    title: str
    text: Sequence[str]
    command: str
    tables: Sequence[Table] = ()
    charts: Sequence[Bars | Lines] = field(default=())


class Suite(Protocol):
    """One part of the benchmark; a module of ``benchmarks.suites`` or ``benchmarks.peers``.

    A module is one by having these names.
    """

    NAME: str
    """Its key in the results: ``latency``."""

    async def measure(self, scale: Scale, tell: Tell) -> Figures:
        """Measure, on a stack of its own, and return the figures.

        A suite that cannot run here (a package is missing, say) returns ``{"skipped": why}``.
        """

    def section(self, figures: Figures) -> Section:
        """Return what the page says of *figures*, which ``measure`` returned."""
