"""Look once for what fell due, when a schedule says so, and say what came of it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from activities.failures import UNUSABLE_DATA
    from activities.sweeps import NOBODY_SERVED, SweepActivities
    from fixlify.domain import queues
    from fixlify.domain.durations import format_duration
    from fixlify.domain.sweeps import FailedSweep, Sweep, SweepFindings, SweepRun

SWEEP_TIMEOUT = timedelta(minutes=10)
SWEEP_HEARTBEAT = timedelta(seconds=30)
SWEEP_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)
)
# The next run finds what this one did not; it cannot begin before this one ends.
SWEEP_DEADLINE = timedelta(minutes=30)

LEFT_OUT = "SweepLeftOut"
"""The type of the error of a run that its workers came to too late."""

RECORD_TIMEOUT = timedelta(seconds=15)
RECORD_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=10)
)
# A record that cannot be written must not keep the next run from beginning.
RECORD_DEADLINE = timedelta(minutes=5)

_SCHEDULED_START = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


@workflow.defn(name="sweep")
class SweepWorkflow:
    """One run of one schedule."""

    @workflow.run
    async def run(self, sweep: Sweep) -> SweepFindings:
        run = SweepRun(
            run_id=workflow.info().run_id, sweep=sweep, scheduled_at=self._scheduled_at()
        )
        try:
            findings = await self._look(run)
        except (ActivityError, ApplicationError, asyncio.CancelledError) as error:
            reason = _reason(error)
            await self._record_failure(FailedSweep(run=run, reason=reason))
            if is_cancelled_exception(error):
                raise
            raise ApplicationError(reason, type="SweepFailed", non_retryable=True) from error
        workflow.set_current_details(_told(findings))
        return findings

    def _scheduled_at(self) -> datetime:
        """Return when this was due; a run that nobody scheduled is due now."""
        due = workflow.info().typed_search_attributes.get(_SCHEDULED_START)
        return due or workflow.now()

    async def _look(self, run: SweepRun) -> SweepFindings:
        at_most = run.sweep.catch_up
        waited = workflow.now() - workflow.info().workflow_start_time
        if at_most is not None and waited > at_most:
            raise ApplicationError(
                f"left out: no worker took it for {_minutes(waited)} minutes, and its catch-up is "
                f"{format_duration(at_most)}; `fixlify schedules backfill` runs it all the same",
                type=LEFT_OUT,
            )
        return await workflow.execute_activity_method(
            SweepActivities.run_sweep,
            run,
            task_queue=queues.SWEEPS,
            start_to_close_timeout=SWEEP_TIMEOUT,
            heartbeat_timeout=SWEEP_HEARTBEAT,
            schedule_to_close_timeout=SWEEP_DEADLINE,
            retry_policy=SWEEP_RETRY,
            summary=run.sweep.schedule_id,
        )

    async def _record_failure(self, failed: FailedSweep) -> None:
        """Write why nothing came of it, whatever happens meanwhile."""
        workflow.set_current_details(f"**Failed**: {failed.reason}")
        writing = asyncio.ensure_future(self._write(failed))
        while not writing.done():
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                continue
        writing.result()

    async def _write(self, failed: FailedSweep) -> None:
        try:
            await workflow.execute_local_activity_method(
                SweepActivities.record_failed_sweep,
                failed,
                start_to_close_timeout=RECORD_TIMEOUT,
                schedule_to_close_timeout=RECORD_DEADLINE,
                retry_policy=RECORD_RETRY,
            )
        except FailureError:
            # The next run of the schedule notes that this one ended without a result.
            workflow.logger.warning("The failure of a sweep could not be recorded.")


def _reason(error: BaseException) -> str:
    if is_cancelled_exception(error):
        return "the run was cancelled"
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ApplicationError):
        ours = cause.type in (NOBODY_SERVED, UNUSABLE_DATA, LEFT_OUT)
        # A database's errors go on for pages; people need what went wrong, not the statement.
        return cause.message if ours else "gave up: " + cause.message.partition("\n")[0]
    return f"gave up: not done within {_minutes(SWEEP_DEADLINE)} minutes"


def _minutes(duration: timedelta) -> int:
    return duration // timedelta(minutes=1)


def _told(findings: SweepFindings) -> str:
    """Return the findings for the Web UI, in Markdown."""
    lines = [f"Looked at {findings.looked_at}, found **{findings.found}** new."]
    lines += [f"- {problem}" for problem in findings.problems]
    return "\n".join(lines)
