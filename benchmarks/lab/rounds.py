"""One round of a steady rate: how long each run took, and whether the queue grew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from time import monotonic
from typing import Final

from benchmarks.lab.backlog import ends_of
from benchmarks.lab.companies import Job
from benchmarks.lab.stack import Lab
from benchmarks.lab.stages import Moments, moments_of
from benchmarks.lab.stream import Stream

DEADLINE: Final = timedelta(seconds=120)
"""How long after its last write a round may take to drain."""

# A queue that grows makes later runs wait longer. Twice as long, and by more than a hiccup of
# the machine, is growth.
_GROWTH: Final = 2.0
_HICCUP_MS: Final = 200.0
_FEWEST: Final = 20


@dataclass(frozen=True, slots=True)
class Round:
    """What one round showed.

    ``latencies`` are milliseconds from commit to both providers' yes, in the order of the
    writes. ``lateness`` is by how many milliseconds each commit was behind the schedule: the
    driver's and the database's, not the engine's. ``ends`` are moments of ``time.monotonic``.
    """

    latencies: Sequence[float]
    lateness: Sequence[float]
    moments: Sequence[Moments]
    ends: Sequence[float]

    @property
    def per_second(self) -> float:
        """How many runs ended in a second, from the first that did to the last."""
        took = max(self.ends) - min(self.ends)
        return (len(self.ends) - 1) / took if took else 0.0

    @property
    def saturated(self) -> bool:
        """Whether the rate was more than could be done; its latencies then only tell how long."""
        return grows(self.latencies)


def grows(latencies: Sequence[float]) -> bool:
    """Return whether the last quarter waited much longer than the first.

    Args:
        latencies: Milliseconds, in the order of the writes; of fewer than 20 nothing is said.
    """
    if len(latencies) < _FEWEST:
        return False
    quarter = len(latencies) // 4
    first, last = median(latencies[:quarter]), median(latencies[-quarter:])
    return last > first * _GROWTH and last - first > _HICCUP_MS


async def offer(lab: Lab, stream: Stream, jobs: Sequence[Job], per_second: float) -> Round:
    """Complete *jobs* of one company at this rate, and wait until all runs have ended.

    Raises:
        TimeoutError: They had not within ``DEADLINE``.
    """
    writes = await stream.offer(jobs, per_second)
    ends = await ends_of(lab, jobs, monotonic() + DEADLINE.total_seconds())
    moments = await moments_of(lab, writes)
    return Round(
        latencies=[(run.accepted - run.committed) * 1000 for run in moments],
        lateness=[(write.committed - write.due) * 1000 for write in writes],
        moments=moments,
        ends=ends,
    )
