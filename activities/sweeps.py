"""Look for what fell due, and keep the history of having looked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.failures import usable_data
from fixlify.domain.sweeps import (
    FailedSweep,
    SweepFindings,
    SweepKind,
    SweepProgress,
    SweepRun,
)
from fixlify.storage.analytics import recompute_analytics
from fixlify.storage.database import Database
from fixlify.storage.schedule_runs import (
    CompletedRun,
    begin_run,
    complete_run,
    fail_run,
    last_completed,
    set_next_run,
)
from fixlify.storage.sweeps import PAGE_SIZE, sweep

NOBODY_SERVED: Final = "NobodyServed"
"""The type of the error of a sweep that could serve none of its automations."""

HEARTBEAT_INTERVAL: Final = timedelta(seconds=8)
# What was being committed while the last run counted, it did not see.
OVERLAP: Final = timedelta(minutes=10)


def _now() -> datetime:
    return datetime.now(UTC)


class SweepActivities:
    """Sweeps and the record of their runs; lives as long as the worker.

    Args:
        database: Acting as the engine role.
        clock: What time it is.
        page_size: How many rows are looked at in one transaction.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime] = _now,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self._database = database
        self._clock = clock
        self._page_size = page_size

    @activity.defn(name="run_sweep")
    async def run_sweep(self, run: SweepRun) -> SweepFindings:
        """Look for everything that *run* is to find, and record an event for each occurrence.

        A second attempt goes on where the last heartbeat says the first one was. Whatever is
        looked at again is not recorded again, so a second run finds nothing new.

        Raises:
            ApplicationError: Not retryable; stored data cannot be used, or not one of the
                automations could be served, which the message tells of.
        """
        async with usable_data():
            async with self._database.transaction() as connection:
                await begin_run(connection, run)
                earlier = await last_completed(connection, run)
                await set_next_run(
                    connection, run.sweep.schedule_id, max(run.scheduled_at, self._clock())
                )
            findings = await self._look(run, earlier)
            async with self._database.statement() as connection:
                await complete_run(connection, run, findings)
        return findings

    @activity.defn(name="record_failed_sweep")
    async def record_failed_sweep(self, failed: FailedSweep) -> None:
        """Write why a run came to nothing; a second call changes nothing."""
        async with usable_data(), self._database.statement() as connection:
            await fail_run(connection, failed.run, failed.reason)

    async def _look(self, run: SweepRun, earlier: CompletedRun | None) -> SweepFindings:
        progress = _resumed()
        async with _heartbeat(lambda: progress):
            if run.sweep.kind is SweepKind.ANALYTICS:
                return await self._recompute(earlier)
            pages = sweep(
                self._database,
                run,
                as_of=self._as_of(run),
                swept_until=None if earlier is None else earlier.scheduled_at,
                progress=progress,
                page_size=self._page_size,
            )
            async for progress in pages:
                activity.heartbeat(progress)
        if progress.findings.problems and not progress.served:
            raise ApplicationError(
                "\n".join(progress.findings.problems), type=NOBODY_SERVED, non_retryable=True
            )
        return progress.findings

    async def _recompute(self, earlier: CompletedRun | None) -> SweepFindings:
        since = None if earlier is None else earlier.started_at - OVERLAP
        async with self._database.transaction() as connection:
            return SweepFindings(looked_at=await recompute_analytics(connection, since))

    def _as_of(self, run: SweepRun) -> datetime:
        # However late the run is, what it finds goes out now. A clock that lags behind the
        # server's must not look at the minute, or the day, before the one that was meant.
        return max(run.scheduled_at, self._clock())


def _resumed() -> SweepProgress:
    """Return how far an earlier attempt came; what cannot be read begins anew, which is safe."""
    details = activity.info().heartbeat_details
    if not details:
        return SweepProgress()
    try:
        return SweepProgress.model_validate(details[0])
    except ValidationError:
        return SweepProgress()


@asynccontextmanager
async def _heartbeat(progress: Callable[[], SweepProgress]) -> AsyncIterator[None]:
    """Tell Temporal between pages, too, that this worker is alive and how far it is."""

    async def beat() -> None:
        while True:
            activity.heartbeat(progress())
            await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
