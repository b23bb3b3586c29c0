"""Launch what is pending: at once where there is room, and what waits for it in turns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from math import inf
from typing import Final, Protocol
from uuid import UUID

from fixlify.storage.database import Database
from fixlify.storage.executions import PendingExecution
from fixlify.storage.launching import BOUNDS, InFlight, mark_launched, take_executions

# How much of what waits is launched before the next look at what happened just now: as many as
# are started side by side.
LAUNCH_BATCH: Final = 20
# How soon room is looked for. Where little is found the pause doubles, until the relay's own look
# once a second is enough: without a worker, say.
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
    about half a batch of it; once a second, with everything else that was left behind, is for
    the relay to see to.
    """

    def __init__(
        self, database: Database, launcher: WorkflowLauncher, bounds: InFlight = BOUNDS
    ) -> None:
        self.bounds = bounds
        self.room = bounds.overall
        """How many more may be launched, of all organizations, until the next look."""
        self.next_look = inf
        """When to look for what waits, by the clock of the event loop; never where none does."""
        self._database = database
        self._launcher = launcher
        self._pause = SOON
        self._some_wait = False

    async def launch(self, executions: Sequence[PendingExecution], waiting: int = 0) -> int:
        """Launch what was just taken, and know that *waiting* others have to wait.

        Returns:
            How many have a workflow now.
        """
        self.room -= len(executions)
        if waiting and not self._some_wait:
            self._some_wait = True
            self._pause = SOON
            self.next_look = _now() + SOON.total_seconds()
        return await self._launch(executions)

    async def look_when_due(self, *, anyway: bool) -> None:
        """Launch some of what waits, if it is time or *anyway*, and decide when to look again."""
        if _now() < self.next_look and not anyway:
            return
        launched = await self.launch_waiting()
        many = min(LAUNCH_BATCH, self.bounds.per_organization)
        self._pause = next_pause(self._pause, launched, many)
        if launched >= many:
            self.next_look = _now()
        elif self._some_wait and self._pause < AT_LAST:
            self.next_look = _now() + self._pause.total_seconds()
        else:
            self.next_look = inf

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
