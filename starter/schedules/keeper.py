"""Keep Temporal's schedules as they should be, for as long as a relay runs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError

from fixlify.storage.database import Database
from fixlify.storage.schedules import source_fingerprint
from starter.schedules.reconcile import SyncResult, sync

LOOK_INTERVAL: Final = timedelta(seconds=10)
"""How soon a new automation of the clock, or a new time zone, has its schedule."""
# Finds what was changed or lost in Temporal itself, and names the dates of a new year.
THOROUGH_INTERVAL: Final = timedelta(hours=1)

_log = structlog.get_logger(__name__)


class ScheduleKeeper:
    """Syncs at the start, whenever what schedules are made from changed, and every hour.

    Lives as long as its relay. Several may run at once: a sync holds a lock, and what one did
    the next finds done.
    """

    def __init__(
        self, client: Client, database: Database, look_interval: timedelta = LOOK_INTERVAL
    ) -> None:
        self._client = client
        self._database = database
        self._look_interval = look_interval
        self._seen: str | None = None
        self._next_thorough = 0.0

    async def run(self) -> None:
        """Keep until cancelled; a database or Temporal that is away is waited for."""
        away = False
        while True:
            try:
                await self.keep()
                away = False
            except (RPCError, SQLAlchemyError, OSError) as error:
                if not away:
                    _log.warning(
                        "The schedules cannot be synced now; trying again.",
                        error=str(error).partition("\n")[0],
                    )
                    away = True
            await asyncio.sleep(self._look_interval.total_seconds())

    async def keep(self) -> SyncResult | None:
        """Look once, and return what a sync did; None where there was no need for one."""
        clock = asyncio.get_running_loop().time
        async with self._database.statement() as connection:
            fingerprint = await source_fingerprint(connection)
        thorough = clock() >= self._next_thorough
        if not thorough and fingerprint == self._seen:
            return None
        result = await sync(self._client, self._database, thorough=thorough)
        self._seen = fingerprint
        if thorough:
            self._next_thorough = clock() + THOROUGH_INTERVAL.total_seconds()
        _report(result)
        return result


def _report(result: SyncResult) -> None:
    if result.changed:
        _log.info(
            "The schedules were synced.",
            created=len(result.created),
            updated=len(result.updated),
            paused=len(result.paused),
            unpaused=len(result.unpaused),
            deleted=len(result.deleted),
        )
    for problem in result.problems:
        _log.warning(
            "A schedule is not as it should be.",
            schedule_id=problem.schedule_id,
            problem=problem.message,
        )
