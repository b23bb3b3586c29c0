"""Business writes at a steady rate, whatever becomes of those before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import psycopg

from benchmarks.lab.companies import Job, complete

# A write takes two milliseconds: as many as this are only needed when the database stalls.
CONNECTIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Write:
    """One job completed: when that was due, begun and committed, of ``time.monotonic``.

    ``committed`` is when this process learnt of the commit.
    """

    job: Job
    due: float
    begun: float
    committed: float


class Stream:
    """An open loop: the schedule is fixed at its start and waits for nothing.

    Lives as long as its connections. A write that is late is done at once and moves no later
    one, so that a stall is seen by everything that was due during it.
    """

    def __init__(self, connections: Sequence[psycopg.AsyncConnection[Any]]) -> None:
        self._free: asyncio.LifoQueue[psycopg.AsyncConnection[Any]] = asyncio.LifoQueue()
        for connection in connections:
            self._free.put_nowait(connection)

    async def offer(self, jobs: Sequence[Job], per_second: float) -> list[Write]:
        """Complete *jobs* at this rate; return the writes in their order, all committed."""
        first = monotonic()
        async with asyncio.TaskGroup() as writes:
            begun = []
            for place, job in enumerate(jobs):
                due = first + place / per_second
                await asyncio.sleep(max(due - monotonic(), 0))
                begun.append(writes.create_task(self._write(job, due)))
        return [write.result() for write in begun]

    async def _write(self, job: Job, due: float) -> Write:
        connection = await self._free.get()
        try:
            begun = monotonic()
            await complete(connection, job)
            return Write(job, due, begun, committed=monotonic())
        finally:
            self._free.put_nowait(connection)


@asynccontextmanager
async def open_stream(url: str, connections: int = CONNECTIONS) -> AsyncIterator[Stream]:
    """Open a stream of writes into the database at *url*, with connections of its own."""
    async with AsyncExitStack() as stack:
        yield Stream(
            [
                await stack.enter_async_context(
                    await psycopg.AsyncConnection.connect(url, autocommit=True)
                )
                for _ in range(connections)
            ]
        )
