"""What stories about waiting ask of a company and its engine."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from fixlify.domain.runs import RunOutcome
from tests.engine import Engine, eventually
from tests.office import Office
from workflows.automation import AutomationWorkflow

Handle = WorkflowHandle[AutomationWorkflow, RunOutcome]

_DAY = timedelta(days=1)
_UNDER_WAY = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
}


async def quiet(handle: Handle) -> None:
    """Wait until the run has nothing to do but to wait."""

    async def rests() -> bool:
        return (await handle.fetch_history()).events[-1].event_type not in _UNDER_WAY

    await eventually(rests)


class WaitingRoom:
    """A company whose runs wait, on a server that skips the time between."""

    def __init__(self, office: Office, engine: Engine, clock: WorkflowEnvironment) -> None:
        self.office = office
        self.engine = engine
        self.clock = clock

    async def now(self) -> datetime:
        """Return Temporal's time, which is ahead of everybody else's; in whole seconds, UTC."""
        return (await self.clock.get_current_time()).astimezone(UTC).replace(microsecond=0)

    async def sleep_until(self, moment: datetime) -> None:
        """Let the time pass until *moment*."""
        await self.clock.sleep(moment - await self.now())

    async def begin(self, automation: str, job_id: str = "J-2019", **columns: Any) -> str:
        """Set *automation* off with a job that becomes scheduled; return the job's id."""
        await self.office.apply(automation)
        job = await self.office.add_job(job_id, status="requested", **columns)
        await self.office.write_status(job, "scheduled")
        await self.engine.relay_everything()
        return job

    async def move_visit(self, job_id: str, start: datetime | None) -> None:
        """Write the visit's new start, as an app of the company does."""
        await self.office.query("UPDATE jobs SET schedule_start = %s WHERE id = %s", start, job_id)

    async def waits_for(self, *words: str) -> str:
        """Wait until the one run says that it waits for all *words*; return what it says."""

        async def says() -> str | None:
            (execution,) = await self.office.executions()
            said: str = execution["waiting_for"] or ""
            return said if all(word in said for word in words) else None

        said: str = await eventually(says)
        return said

    async def waits_for_relayed(self, *words: str) -> str:
        """Relay what happened, then wait as `waits_for` does."""
        await self.engine.relay_everything()
        return await self.waits_for(*words)

    async def waits_until(self, step: str, moment: datetime) -> None:
        """Wait until the one run is armed for *moment* at *step*."""
        await self.waits_for(f"{step} until {moment:%Y-%m-%d %H:%M} UTC")

    async def ended(self) -> dict[str, Any]:
        """Wait, without letting Temporal's time pass, until the one run has ended."""
        await self.engine.relay_everything()

        async def is_over() -> dict[str, Any] | None:
            (execution,) = await self.office.executions()
            return execution if execution["completed_at"] else None

        execution: dict[str, Any] = await eventually(is_over)
        return execution

    async def all_ended(self) -> list[dict[str, Any]]:
        """Wait, without letting Temporal's time pass, until every run has ended."""

        async def are_over() -> list[dict[str, Any]] | None:
            await self.engine.relay_everything()
            executions = await self.office.executions()
            over = all(execution["completed_at"] for execution in executions)
            left = await self.office.query(
                "SELECT FROM automation_events WHERE processed_at IS NULL"
            )
            return executions if over and not left else None

        executions: list[dict[str, Any]] = await eventually(are_over)
        return executions

    async def end(self, at_most: timedelta = timedelta(days=90)) -> dict[str, Any]:
        """Let the time pass, day by day, until the one run has ended; return its execution."""
        await self.engine.relay_everything()
        for _ in range(at_most // _DAY):
            (execution,) = await self.office.executions()
            if execution["completed_at"]:
                return execution
            await self.clock.sleep(_DAY)
        return await self.ended()

    async def close(self) -> None:
        """End what still waits: its timers would fire in other tests, whose clock this one is."""
        for execution in await self.office.executions():
            handle = self.engine.handle(execution["id"])

            with suppress(RPCError):
                # Or the server would keep its clock stopped for a task nobody finishes.
                await quiet(handle)
                await handle.terminate()

    async def steps(self) -> dict[str, tuple[str, str | None]]:
        """Return how the steps of the runs ended, and why, by their id."""
        rows = await self.office.query(
            "SELECT step_id, status, reason FROM automation_step_logs ORDER BY position"
        )
        return {row["step_id"]: (row["status"], row["reason"]) for row in rows}
