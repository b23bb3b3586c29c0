"""One system's turn in a round: warmed up, at a steady rate, and with so many in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any, Final

import psycopg

from benchmarks.lab.companies import Job, complete
from benchmarks.lab.figures import Spread
from benchmarks.lab.processes import usage
from benchmarks.lab.stack import Lab
from benchmarks.peers.driving import DEADLINE, Write, drain, latencies
from benchmarks.peers.rounds import Measured

PER_SECOND: Final = 10
IN_FLIGHT: Final = 32
"""Jobs under way at once while throughput is measured, whoever works on them."""

_LOOK_AGAIN: Final = 0.02


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many jobs a system completes in one round, and how many rounds there are."""

    rounds: int
    warm_up: int
    at_a_rate: int
    drained: int

    def jobs(self, systems: int) -> int:
        """Return how many jobs so many systems need for all of it."""
        return self.rounds * systems * (self.warm_up + self.at_a_rate + self.drained)


@dataclass(frozen=True, slots=True)
class Running:
    """A system at work: how a job is completed, what it has cost, and when it is done.

    ``cpu`` returns seconds of processor time by kind of process.
    """

    write: Write
    cpu: Callable[[], Mapping[str, float]]
    is_done: Callable[[], Awaitable[bool]]


async def turn(running: Running, lab: Lab, jobs: Iterator[Job], sizes: Sizes) -> Measured:
    """Let a system do its part of a round, and return what was measured."""

    def take(count: int) -> Sequence[Job]:
        return [next(jobs) for _ in range(count)]

    await drain(running.write, take(sizes.warm_up), lab.deliveries, IN_FLIGHT)
    pause = timedelta(seconds=1) / PER_SECOND
    took = await latencies(running.write, take(sizes.at_a_rate), lab.deliveries, pause)
    await _until_done(running)
    before = running.cpu()
    drained = await drain(running.write, take(sizes.drained), lab.deliveries, IN_FLIGHT)
    # What a system does after the messages are gone is part of what a run costs.
    await _until_done(running)
    after = running.cpu()
    return Measured(
        latency=Spread.of(took),
        runs_per_second=drained.per_second,
        cpu={kind: (after[kind] - before[kind]) * 1000 / drained.runs for kind in after},
    )


@asynccontextmanager
async def ours(lab: Lab, name: str) -> AsyncIterator[Running]:
    """Run one worker of ours; *name* is its folder."""
    async with lab.worker(name):
        yield Running(writer(lab), cpu, lambda: _nobody_waits(lab))


def writer(lab: Lab) -> Write:
    """Return what completes a job on the lab's connection."""

    async def write(job: Job) -> float:
        await complete(lab.connection, job)
        return monotonic()

    return write


def cpu() -> Mapping[str, float]:
    """Return the seconds of processor time of the stack, by kind of process."""
    return {kind: used.cpu for kind, used in usage().items()}


async def is_true(connection: psycopg.AsyncConnection[Any], question: str) -> bool:
    """Return the answer to a *question* in SQL."""
    cursor = await connection.execute(question.encode())
    return await cursor.fetchone() == (True,)


async def forget_what_happened(lab: Lab) -> None:
    """Leave nothing to relay: that jobs were entered is no news to anybody."""
    await lab.connection.execute(
        "UPDATE automation_events SET processed_at = now(), outcome = 'of before'"
    )


async def _nobody_waits(lab: Lab) -> bool:
    return await is_true(
        lab.connection,
        "SELECT NOT EXISTS (SELECT FROM automation_execution_logs WHERE completed_at IS NULL)",
    )


async def _until_done(running: Running) -> None:
    async with asyncio.timeout(DEADLINE.total_seconds()):
        while not await running.is_done():  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(_LOOK_AGAIN)
