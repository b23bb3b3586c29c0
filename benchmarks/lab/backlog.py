"""How fast a backlog is worked off, and what a run of it costs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Final

from benchmarks.lab.clock import monotonic_of
from benchmarks.lab.companies import Job, complete
from benchmarks.lab.processes import Usage, usage
from benchmarks.lab.stack import Lab

EDGE: Final = 0.1
"""Of the runs, how many are left out at each end: one is the start-up, the other the tail."""

_LOOK_AGAIN: Final = 0.05

_ENDED: Final = """
    SELECT subject_id, extract(epoch FROM completed_at)::float8
    FROM automation_execution_logs
    WHERE organization_id = %s AND subject_id = ANY(%s) AND completed_at IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Drained:
    """One backlog worked off: the steady rate, and milliseconds of CPU per run by process."""

    runs: int
    seconds: float
    per_second: float
    cpu_ms: Mapping[str, float]


def steady_rate(moments: Sequence[float], edge: float = EDGE) -> float:
    """Return how many a second ended in the middle of a backlog.

    Args:
        moments: When each ended, in seconds of any clock and any order.
        edge: The part of them that is left out at each end.

    Raises:
        ValueError: Too few ended, or all at one moment: no rate can be told from that.
    """
    ordered = sorted(moments)
    left_out = int(len(ordered) * edge)
    counted = ordered[left_out : len(ordered) - left_out]
    if len(counted) < 2 or counted[0] == counted[-1]:
        raise ValueError(f"no rate can be told from {len(moments)} runs; measure more of them")
    return (len(counted) - 1) / (counted[-1] - counted[0])


def cpu_per_run(
    before: Mapping[str, Usage], after: Mapping[str, Usage], runs: int
) -> dict[str, float]:
    """Return milliseconds of processor time per run, by kind of process."""
    none = Usage(memory=0, cpu=0.0)
    return {
        kind: round((used.cpu - before.get(kind, none).cpu) / runs * 1000, 1)
        for kind, used in sorted(after.items())
    }


async def drain(lab: Lab, jobs: Sequence[Job], deadline: timedelta) -> Drained:
    """Complete *jobs* of one company as fast as one connection writes, and see all runs end.

    A run has ended when both its messages are accepted and its outcome is recorded.

    Raises:
        TimeoutError: Not all had ended within *deadline*; it says how many.
    """
    before, begun = usage(), monotonic()
    for job in jobs:
        await complete(lab.connection, job)
    moments = await ends_of(lab, jobs, begun + deadline.total_seconds())
    return Drained(
        runs=len(jobs),
        seconds=max(moments) - begun,
        per_second=steady_rate(moments),
        cpu_ms=cpu_per_run(before, usage(), len(jobs)),
    )


async def ends_of(lab: Lab, jobs: Sequence[Job], until: float) -> list[float]:
    """Wait for the runs of *jobs*, of one company, and return when each ended.

    Moments, and *until*, are seconds of ``time.monotonic``.

    The database is not asked before the providers have everything.

    Raises:
        TimeoutError: Something was missing; it says how much.
    """
    missing = list(jobs)
    while missing := [job for job in missing if lab.deliveries.both(job) is None]:
        await _pause(until, f"the messages about {len(missing)} of {len(jobs)} jobs are missing")
    organization_id, by_id = jobs[0].organization_id, {job.id: job for job in jobs}
    while True:
        cursor = await lab.connection.execute(_ENDED, (organization_id, list(by_id)))
        ended = await cursor.fetchall()
        if len(ended) == len(jobs):
            break
        await _pause(until, f"only {len(ended)} of {len(jobs)} executions ended")
    return [
        max(lab.deliveries.both(by_id[subject]) or 0.0, monotonic_of(completed))
        for subject, completed in ended
    ]


async def _pause(until: float, complaint: str) -> None:
    if monotonic() > until:
        raise TimeoutError(complaint)
    await asyncio.sleep(_LOOK_AGAIN)
