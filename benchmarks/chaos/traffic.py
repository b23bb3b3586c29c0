"""Write what companies write all day, into a database that comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from time import monotonic
from types import MappingProxyType
from typing import Any, Final

import psycopg

from benchmarks.chaos.companies import LOOPS, Companies
from benchmarks.chaos.evidence import Change
from benchmarks.lab.companies import Job
from fixlify.domain.names import normalized

CHANGES_A_SECOND: Final = 3.5
# Of the changes: written twice in a row, as impatient people click.
DOUBLE_CLICKS: Final = 0.12
OPT_OUTS_A_MINUTE: Final = 5
_RECONNECT_PAUSE: Final = timedelta(milliseconds=50)
_WRITE_PATIENCE: Final = timedelta(seconds=15)

# Where a job goes from each status, and how often.
WAYS: Final = MappingProxyType(
    {
        "scheduled": {"in_progress": 5, "cancelled": 1},
        "in_progress": {"completed": 6, "cancelled": 1, "on_hold": 1},
        "completed": {"in_progress": 2, "scheduled": 1},
        "cancelled": {"scheduled": 1},
        "on_hold": {"in_progress": 1},
        "waiting_for_parts": {"in_progress": 1},
    }
)
# Each app of a company spells in its own way; all of these are one status.
SPELLINGS: Final = MappingProxyType(
    {
        "in_progress": ("in_progress", "in-progress", "In Progress"),
        "completed": ("completed", "Completed", "COMPLETED"),
        "cancelled": ("cancelled", "Cancelled"),
        "on_hold": ("on_hold", "on hold"),
    }
)
_WRITE: Final = """
    UPDATE jobs SET status = %(after)s
    FROM (SELECT status FROM jobs WHERE organization_id = %(company)s AND id = %(job)s FOR UPDATE)
        AS was
    WHERE organization_id = %(company)s AND id = %(job)s
    RETURNING was.status
"""
_READ: Final = "SELECT status FROM jobs WHERE organization_id = %s AND id = %s"
_OPT_OUT: Final = """
    INSERT INTO client_opt_outs (organization_id, client_id, channel, source)
    SELECT organization_id, client_id, %s, 'the office' FROM jobs
    WHERE organization_id = %s AND id = %s
    ON CONFLICT DO NOTHING
"""


@dataclass(slots=True)
class Traffic:
    """One company's app after the other, through one connection; lives as long as one run.

    Its choices are those of *seed*; what a write finds depends on what the engine did before.

    Attributes:
        changes: every write that was committed, or may have been.
        write_failures: writes that failed although the database was there.
        opted_out: how many clients said that they want no more.
    """

    companies: Companies
    connect: Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]
    was_there_since: Callable[[float], bool]
    """Whether the database has been there since a moment of ``time.monotonic``."""
    seed: int
    changes: list[Change] = field(default_factory=list)
    write_failures: list[str] = field(default_factory=list)
    opted_out: int = 0
    _connection: psycopg.AsyncConnection[Any] | None = None

    async def run(self, lasting: timedelta) -> None:
        """Write at a steady pace for so long; what a fault held up is not made good for."""
        choose = Random(f"{self.seed} traffic")  # noqa: S311 - repeatable, not secret
        loop = asyncio.get_running_loop()
        end = loop.time() + lasting.total_seconds()
        due, next_no = loop.time(), loop.time() + choose.expovariate(OPT_OUTS_A_MINUTE / 60)
        try:
            while (now := loop.time()) < end:
                await asyncio.sleep(max(0.0, due - now))
                due = max(due, loop.time() - 1) + choose.expovariate(CHANGES_A_SECOND)
                job = choose.choice(choose.choice(self.companies.everyone).jobs)
                if loop.time() >= next_no:
                    next_no += choose.expovariate(OPT_OUTS_A_MINUTE / 60)
                    await self._opt_out(job, choose.choice(("email", "sms")))
                else:
                    await self._change(job, choose)
        finally:
            await self._hang_up()

    async def _change(self, job: Job, choose: Random) -> None:
        before = await self._status(job)
        if before is None:
            return
        ways = ways_from(before, loops=job.organization_id == self.companies.loops.organization_id)
        after = choose.choices(list(ways), list(ways.values()))[0]
        written = choose.choice(SPELLINGS.get(after, (after,)))
        await self._write(job, before, written)
        if choose.random() < DOUBLE_CLICKS:
            await self._write(job, written, choose.choice(SPELLINGS.get(after, (after,))))

    async def _write(self, job: Job, before: str, after: str) -> None:
        at, began = datetime.now(UTC), monotonic()
        parameters = {"company": job.organization_id, "job": job.id, "after": after}

        def done(before: str, *, certain: bool) -> None:
            self.changes.append(Change(job.organization_id, job.id, before, after, at, certain))

        try:
            rows = await self._execute(_WRITE, parameters)
        except _NotConnectedError:
            return
        except (psycopg.Error, OSError, TimeoutError) as error:
            if self.was_there_since(began):
                self.write_failures.append(f"{job.id} to {after}: {error}")
            done(before, certain=False)
            await self._hang_up()
        else:
            # The engine may have written since we looked.
            done(rows[0][0], certain=True)

    async def _status(self, job: Job) -> str | None:
        """Return the job's status as it stands; None while nobody can say."""
        try:
            rows = await self._execute(_READ, (job.organization_id, job.id))
        except (psycopg.Error, OSError, TimeoutError, _NotConnectedError):
            await self._hang_up()
            return None
        return str(rows[0][0])

    async def _opt_out(self, job: Job, channel: str) -> None:
        try:
            await self._execute(_OPT_OUT, (channel, job.organization_id, job.id))
        except (psycopg.Error, OSError, TimeoutError, _NotConnectedError):
            # Said again by nobody: a client says it once, and it was not taken down.
            await self._hang_up()
        else:
            self.opted_out += 1

    async def _execute(self, statement: str, parameters: Any) -> Sequence[Any]:
        async with asyncio.timeout(_WRITE_PATIENCE.total_seconds()):
            if self._connection is None:
                try:
                    self._connection = await self.connect()
                except (psycopg.Error, OSError):
                    await asyncio.sleep(_RECONNECT_PAUSE.total_seconds())
                    raise _NotConnectedError from None
            cursor = await self._connection.execute(statement.encode(), parameters)
            return await cursor.fetchall() if cursor.description else []

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class _NotConnectedError(Exception):
    """Nothing was written, because there was nobody to write to."""


def ways_from(status: str, *, loops: bool) -> dict[str, int]:
    """Return where a job goes from *status*, and how often, where automations loop or not."""
    ways = WAYS.get(normalized(status) or "", {"in_progress": 1})
    return {way: weight for way, weight in ways.items() if loops or way not in LOOPS}
