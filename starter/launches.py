"""Launch what is pending: at once where there is room, and what waits for it in turns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, Protocol
from uuid import UUID

from fixlify.storage.database import Database
from fixlify.storage.executions import PendingExecution
from fixlify.storage.launching import BOUNDS, InFlight, mark_launched, take_executions

# How much of what waits is launched at once: half of what is started side by side, so that what
# happened just now finds a place beside it.
LAUNCH_BATCH: Final = 10
# How soon room is looked for, and how late where little is found or nothing waits.
SOON: Final = timedelta(milliseconds=25)
AT_LAST: Final = timedelta(seconds=1)
# An execution taken this lately is still being launched by the relay that took it.
SETTLED: Final = timedelta(seconds=2)
# Temporal keeps what it accepted; this only matters if it was set up anew.
RELAUNCH_AFTER: Final = timedelta(minutes=5)


class WorkflowLauncher(Protocol):
    """Starts workflows; ``starter.launch.Launcher`` does."""

    async def launch(self, executions: Sequence[PendingExecution]) -> list[UUID]:
        """Start a workflow for each execution and return the ids of those that have one."""


class Launches:
    """Launches pending executions within bounds; lives as long as its relay.

    Room comes as runs begin, which only Postgres tells. So it is looked for, as often as finds
    about half a batch of it, and once a second for what a crash or a stop left behind.
    """

    def __init__(
        self, database: Database, launcher: WorkflowLauncher, bounds: InFlight = BOUNDS
    ) -> None:
        self.bounds = bounds
        self.room = bounds.overall
        """How many more may be launched, of all organizations, until the next look."""
        self._database = database
        self._launcher = launcher
        self._pause = SOON
        self._some_wait = False
        self._next_look = 0.0
        self._sooner = asyncio.Event()

    async def launch(self, executions: Sequence[PendingExecution], waiting: int = 0) -> int:
        """Launch what was just taken, and know that *waiting* others have to wait.

        Returns:
            How many have a workflow now.
        """
        self.room -= len(executions)
        if waiting and not self._some_wait:
            self._some_wait = True
            self._pause = SOON
            self._next_look = _now() + SOON.total_seconds()
            self._sooner.set()
        return await self._launch(executions)

    async def look_when_due(self) -> None:
        """Wait until it is time, launch some of what waits, and decide when to look again."""
        while (left := self._next_look - _now()) > 0:
            self._sooner.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._sooner.wait()
        launched = await self.launch_waiting()
        many = min(LAUNCH_BATCH, self.bounds.per_organization)
        self._pause = next_pause(self._pause, launched, many)
        if launched >= many:
            self._next_look = _now()
        else:
            pause = self._pause if self._some_wait else AT_LAST
            self._next_look = _now() + pause.total_seconds()

    async def launch_waiting(self) -> int:
        """Launch what waited for room, and what a crash, a stop or Temporal left behind.

        Returns:
            How many have a workflow now, of ``LAUNCH_BATCH`` at most.
        """
        async with self._database.statement() as connection:
            taken = await take_executions(
                connection,
                LAUNCH_BATCH,
                self.bounds,
                settled=SETTLED,
                relaunch_after=RELAUNCH_AFTER,
            )
        self.room = self.bounds.overall - taken.in_flight - len(taken.executions)
        self._some_wait = taken.more
        return await self._launch(taken.executions)

    async def _launch(self, executions: Sequence[PendingExecution]) -> int:
        if not executions:
            return 0
        launched = await self._launcher.launch(executions)
        async with self._database.statement() as connection:
            await mark_launched(connection, launched)
        return len(launched)


def next_pause(pause: timedelta, launched: int, many: int) -> timedelta:
    """Return how long to wait for room after a *pause* that found it for so many.

    *many* is no more than one organization may have in flight, and a pause doubles only where it
    found room for less than half of that: no worker is idle meanwhile.
    """
    if launched >= many:
        return max(pause / 2, SOON)
    if launched >= many / 2:
        return pause
    return min(pause * 2, AT_LAST)


def _now() -> float:
    return asyncio.get_running_loop().time()
