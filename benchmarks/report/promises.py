"""What the engine promises of its speed, and whether the figures keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.report.charts import number
from benchmarks.report.results import Results


@dataclass(frozen=True, slots=True)
class Promise:
    """A bound on one figure of one suite: at most *bound*, or at least where *at_least*."""

    text: str
    suite: str
    figure: str
    bound: float
    unit: str = ""
    at_least: bool = False

    @property
    def target(self) -> str:
        """The bound as people read it: ``≤ 30 ms``."""
        sign = "≥" if self.at_least else "≤" if self.bound else "="
        return f"{sign} {_with_unit(self.bound, self.unit)}"

    def judge(self, results: Results) -> Verdict:
        """Return what *results* say of it."""
        value = results.figure(self.suite, self.figure)
        if value is None:
            return Verdict(self, _why_missing(results, self.suite), None)
        kept = value >= self.bound if self.at_least else value <= self.bound
        return Verdict(self, _with_unit(value, self.unit), kept)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A promise, what was measured of it, and whether that keeps it; None if it was not."""

    promise: Promise
    measured: str
    kept: bool | None

    @property
    def word(self) -> str:
        """``met``, ``not met``, or a dash."""
        return {True: "met", False: "**not met**", None: "-"}[self.kept]


PROMISES: Final[Sequence[Promise]] = (
    Promise(
        "Business commit until both providers accepted, at ten a second: p50",
        "latency", "warm_p50_ms", 30, "ms",
    ),
    Promise("The same: p99", "latency", "warm_p99_ms", 80, "ms"),
    Promise(
        "Sustained runs a second, beside bare Temporal with activities that do nothing",
        "throughput", "ratio_to_bare", 0.85, "times", at_least=True,
    ),
    Promise("Billable Temporal actions of an email and a text", "growth", "actions_per_run", 5),
    Promise("A burst from one organization: lost", "herd", "lost", 0),
    Promise(
        "Meanwhile, another organization's p99", "herd", "small_org_p99_ms", 1_000, "ms"
    ),
    Promise(
        "Business writes a second with the triggers, beside without",
        "write_overhead", "ratio", 0.9, "times", at_least=True,
    ),
)  # fmt: skip
"""In the order in which the page tells them."""


def _with_unit(value: float, unit: str) -> str:
    return f"{number(value)} {unit}".strip()


def _why_missing(results: Results, suite: str) -> str:
    if suite in results.failed:
        return "failed"
    return "skipped" if "skipped" in results.figures.get(suite, {}) else "not measured"
