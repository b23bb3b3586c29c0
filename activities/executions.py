"""Begin an execution, note how far it is, and record how it ended."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.failures import EXECUTION_ENDED, usable_data
from activities.writing import MessageWriter
from fixlify.domain.ids import redrives_of
from fixlify.domain.planning import first_messages, plan_steps
from fixlify.domain.runs import (
    ContextRequest,
    RenderedMessages,
    RenderRequest,
    RunOutcome,
    RunPlan,
    RunProgress,
    SendReceipt,
    Withdrawal,
)
from fixlify.storage.database import Database
from fixlify.storage.executions import (
    NotBegun,
    begin_execution,
    finish_execution,
    record_progress,
)
from fixlify.storage.stops import withdraw_message


class ExecutionActivities:
    """The execution's row in Postgres, as its workflow sees it; lives as long as the worker."""

    def __init__(self, database: Database, writer: MessageWriter) -> None:
        self._database = database
        self._writer = writer

    @activity.defn(name="fetch_context")
    async def fetch_context(self, request: ContextRequest) -> RunPlan:
        """Take the execution for this workflow run and return its pinned plan.

        The messages it begins with are written on the way, if that is asked for: a run that
        has nothing to wait for needs one call less. A second call by the same run returns the
        same plan, and the same messages.

        Raises:
            ApplicationError: Not retryable; the execution has ended, or another run has it.
        """
        info = activity.info()
        async with usable_data(), self._database.statement() as connection:
            begun = await begin_execution(
                connection,
                request.execution_id,
                request.organization_id,
                workflow_id=info.workflow_id or "",
                run_id=info.workflow_run_id or "",
            )
            if isinstance(begun, NotBegun):
                type_ = EXECUTION_ENDED if begun.has_ended else "ExecutionTaken"
                how = () if begun.status is None else (begun.status.value, begun.told)
                raise ApplicationError(begun.reason, *how, type=type_, non_retryable=True)
            plan = RunPlan(
                automation_id=begun.automation_id,
                version=begun.version,
                subject_type=begun.subject_type,
                subject_id=begun.subject_id,
                steps=plan_steps(begun.pinned.definition.steps),
                done=begun.done,
            )
            if not request.writes or plan.done:
                return plan
            written = await self._write_first(connection, request, plan)
        return plan.model_copy(update={"written": written})

    async def _write_first(
        self, connection: AsyncConnection, request: ContextRequest, plan: RunPlan
    ) -> RenderedMessages | None:
        if not (step_ids := first_messages(plan.steps)):
            return None
        return await self._writer.write(
            connection,
            RenderRequest(
                execution_id=request.execution_id,
                organization_id=request.organization_id,
                automation_id=plan.automation_id,
                version=plan.version,
                subject_type=plan.subject_type,
                subject_id=plan.subject_id,
                step_ids=step_ids,
                now=request.now,
            ),
        )

    @activity.defn(name="record_progress")
    async def record_progress(self, progress: RunProgress) -> None:
        """Write the steps done so far and what the run waits for; a second call is harmless."""
        async with usable_data(), self._database.statement() as connection:
            await record_progress(connection, progress, redrives=_redrives())

    @activity.defn(name="withdraw_message")
    async def withdraw_message(self, withdrawal: Withdrawal) -> SendReceipt:
        """Cancel a message that waits, or return what became of it; a second call does no more."""
        async with self._database.statement() as connection:
            return await withdraw_message(
                connection, withdrawal.message_id, withdrawal.organization_id, withdrawal.reason
            )

    @activity.defn(name="record_outcome")
    async def record_outcome(self, outcome: RunOutcome) -> None:
        """Write how the run ended; the first outcome stands, a second call changes nothing."""
        async with self._database.statement() as connection:
            await finish_execution(connection, outcome, redrives=_redrives())


def _redrives() -> int:
    # A retried call must not end the run that a person has meanwhile set going anew.
    return redrives_of(activity.info().workflow_id or "")
