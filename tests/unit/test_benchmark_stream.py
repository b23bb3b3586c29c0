"""Writes keep to their schedule, whatever becomes of those before."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, cast
from uuid import UUID

import psycopg

from benchmarks.lab.companies import Job
from benchmarks.lab.stream import Stream


class _StalledAtFirst:
    """A database whose first write lasts until the third has begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._third_began = asyncio.Event()

    async def execute(self, statement: str, parameters: tuple[UUID, str]) -> None:
        self.begun.append(parameters[1])
        if len(self.begun) == 3:
            self._third_began.set()
        if len(self.begun) == 1:
            await self._third_began.wait()


def _jobs(number: int) -> list[Job]:
    return [
        Job(UUID(int=1), f"J-{n}", f"{n}@example.com", f"+1212555{n:04}") for n in range(number)
    ]


async def test_a_write_that_stalls_moves_no_later_one() -> None:
    database = _StalledAtFirst()
    connection = cast(psycopg.AsyncConnection[Any], database)
    stream = Stream([connection, connection])

    async with asyncio.timeout(10):
        writes = await stream.offer(_jobs(4), per_second=1000)

    assert database.begun == ["J-0", "J-1", "J-2", "J-3"]
    assert [write.job.id for write in writes] == database.begun
    assert writes[0].committed >= writes[2].begun


async def test_the_schedule_is_fixed_at_the_start() -> None:
    connection = cast(psycopg.AsyncConnection[Any], _StalledAtFirst())
    writes = await Stream([connection, connection]).offer(_jobs(5), per_second=500)
    gaps = [later.due - write.due for write, later in pairwise(writes)]
    assert {round(gap, 6) for gap in gaps} == {0.002}
    assert all(write.due <= write.begun <= write.committed for write in writes)
