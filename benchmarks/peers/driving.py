"""Put the same load on each of several systems: at a steady rate, and with so many in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Final

from benchmarks.lab.companies import Job
from benchmarks.lab.deliveries import Deliveries

Write = Callable[[Job], Awaitable[float]]
"""Completes a job and returns when that was committed, in seconds of ``time.monotonic``."""

DEADLINE: Final = timedelta(seconds=60)
_LOOK_AGAIN: Final = 0.002


async def latencies(
    write: Write,
    jobs: Sequence[Job],
    deliveries: Deliveries,
    pause: timedelta,
    deadline: timedelta = DEADLINE,
) -> list[float]:
    """Complete a job every *pause*, however long any takes; return what each took in ms.

    That is from the commit to the later of the two acceptances.

    Raises:
        TimeoutError: A message did not arrive within *deadline* of the last write.
    """
    begun = monotonic()
    writes: list[asyncio.Task[float]] = []
    for place, job in enumerate(jobs):
        await asyncio.sleep(begun + place * pause.total_seconds() - monotonic())
        writes.append(asyncio.create_task(_timed(write, job)))
    committed = await asyncio.gather(*writes)
    return [
        (await deliveries.wait_for_both(job, deadline) - moment) * 1000
        for job, moment in zip(jobs, committed, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Drained:
    """How long so many runs took with a fixed number of them in flight."""

    runs: int
    took: timedelta

    @property
    def per_second(self) -> float:
        """Runs a second."""
        return self.runs / self.took.total_seconds()


async def drain(
    write: Write, jobs: Sequence[Job], deliveries: Deliveries, in_flight: int
) -> Drained:
    """Complete all *jobs*, the next one whenever fewer than *in_flight* are under way.

    A job is under way from before its write until both messages about it were accepted, so
    whatever bounds a system has of its own, all systems have the same work before them.

    Raises:
        ExceptionGroup: Of the write that failed, or a TimeoutError: nothing was delivered for
            ``DEADLINE``.
    """
    begun = last_progress = monotonic()
    delivered_before = min(deliveries.emails, deliveries.texts)
    written = done = 0
    # A write that fails ends all of it.
    async with asyncio.TaskGroup() as group:
        while done < len(jobs):
            for job in jobs[written : done + in_flight]:
                group.create_task(_timed(write, job))
                written += 1
            await asyncio.sleep(_LOOK_AGAIN)
            now_done = min(deliveries.emails, deliveries.texts) - delivered_before
            if now_done > done:
                done, last_progress = now_done, monotonic()
            elif monotonic() - last_progress > DEADLINE.total_seconds():
                raise TimeoutError(f"only {done} of {len(jobs)} jobs were told about")
    accepted = [await deliveries.wait_for_both(job, DEADLINE) for job in jobs]
    return Drained(len(jobs), timedelta(seconds=max(accepted) - begun))


async def _timed(write: Write, job: Job) -> float:
    return await write(job)
