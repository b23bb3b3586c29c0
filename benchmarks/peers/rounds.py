"""What several rounds of several systems come to: medians, and ratios within each round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.lab.figures import Spread, middle

OURS: Final = "fixlify"


@dataclass(frozen=True, slots=True)
class Measured:
    """One system in one round.

    ``latency`` is in milliseconds, ``runs_per_second`` at a fixed number in flight, and ``cpu``
    the milliseconds of processor time a run took then, by kind of process.
    """

    latency: Spread
    runs_per_second: float
    cpu: Mapping[str, float]

    @property
    def engine_cpu(self) -> float:
        """What a run takes of all processes but the driver, which is no part of any system."""
        return sum(ms for kind, ms in self.cpu.items() if kind != "driver")


Round = Mapping[str, Measured]
"""What was measured one after the other, by system."""


def medians(rounds: Sequence[Round], system: str) -> Mapping[str, Any]:
    """Return the median of the rounds of each figure of *system*."""
    measured = [each[system] for each in rounds]
    return {
        "p50_ms": middle([each.latency.p50 for each in measured], 1),
        "p95_ms": middle([each.latency.p95 for each in measured], 1),
        "p99_ms": middle([each.latency.p99 for each in measured], 1),
        "max_ms": max(each.latency.max for each in measured),
        "runs_per_second": middle([each.runs_per_second for each in measured], 1),
        "cpu_ms_per_run": {
            kind: middle([each.cpu[kind] for each in measured], 1) for kind in measured[0].cpu
        },
        "engine_cpu_ms_per_run": middle([each.engine_cpu for each in measured], 1),
    }


def ratios(rounds: Sequence[Round], peer: str) -> Mapping[str, float]:
    """Return ours to the *peer*'s, each the median of the ratios within a round.

    Below one we are faster in latency and cheaper in processor time, above one in throughput.
    """
    pairs = [(each[OURS], each[peer]) for each in rounds]
    return {
        "p50": middle([ours.latency.p50 / theirs.latency.p50 for ours, theirs in pairs]),
        "p99": middle([ours.latency.p99 / theirs.latency.p99 for ours, theirs in pairs]),
        "runs_per_second": middle(
            [ours.runs_per_second / theirs.runs_per_second for ours, theirs in pairs]
        ),
        "engine_cpu": middle([ours.engine_cpu / theirs.engine_cpu for ours, theirs in pairs]),
    }


def who_is_ahead(ratio: Mapping[str, float], peer: str) -> str:
    """Return in words what ``ratios`` says; a tie is the *peer*'s."""
    is_ours = {
        "latency (p50)": ratio["p50"] < 1,
        "throughput": ratio["runs_per_second"] > 1,
        "processor time a run": ratio["engine_cpu"] < 1,
    }
    theirs = [name for name, ours in is_ours.items() if not ours]
    ours = [name for name, ours in is_ours.items() if ours]
    return " ".join(
        f"{who} is ahead in {', '.join(names)}."
        for who, names in ((peer, theirs), ("Fixlify", ours))
        if names
    )
