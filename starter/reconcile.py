"""Close executions whose workflow ended without saying so: terminated by hand, or failed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError

from fixlify import temporal
from fixlify.domain.ids import WORKFLOW_PREFIX, execution_of, redrives_of, workflow_id
from fixlify.domain.runs import ExecutionStatus, RunOutcome
from fixlify.storage.database import Database
from fixlify.storage.executions import finish_execution, open_executions

INTERVAL: Final = timedelta(minutes=1)
# Long enough to cover a night without a relay, short enough to stay one page of results.
LOOK_BACK: Final = timedelta(hours=24)

_ENDINGS: Final = {
    WorkflowExecutionStatus.TERMINATED: (
        ExecutionStatus.CANCELLED,
        "the workflow was terminated in Temporal",
    ),
    # Its own record came too late, or could not be written.
    WorkflowExecutionStatus.CANCELED: (ExecutionStatus.CANCELLED, "the run was cancelled"),
    WorkflowExecutionStatus.TIMED_OUT: (
        ExecutionStatus.FAILED,
        "the workflow timed out in Temporal",
    ),
    WorkflowExecutionStatus.FAILED: (
        ExecutionStatus.FAILED,
        "the workflow failed; Temporal's Web UI shows why",
    ),
}

_log = structlog.get_logger(__name__)


class Reconciler:
    """Looks at Temporal once a minute; lives as long as its relay.

    An outcome that was recorded stands, so doing this twice, or in several processes, is
    harmless.
    """

    def __init__(self, client: Client, database: Database) -> None:
        self._client = client
        self._database = database

    async def run(self) -> None:
        """Reconcile until cancelled; what is away now is looked at a minute later."""
        while True:
            try:
                await self.reconcile()
            except (RPCError, SQLAlchemyError, OSError) as error:
                _log.warning(
                    "Ended workflows could not be looked at.", error=str(error).partition("\n")[0]
                )
            await asyncio.sleep(INTERVAL.total_seconds())

    async def reconcile(self) -> int:
        """Close what ended abnormally in the last day; return how many executions that were."""
        since = (datetime.now(UTC) - LOOK_BACK).isoformat()
        query = (
            f"WorkflowType = 'automation' AND WorkflowId STARTS_WITH '{WORKFLOW_PREFIX}' AND "
            "ExecutionStatus IN ('Terminated', 'Canceled', 'TimedOut', 'Failed') AND "
            f"CloseTime > '{since}'"
        )
        ended = {
            (outcome.execution_id, redrives_of(workflow.id))
            async for workflow in self._client.list_workflows(query)
            if (outcome := _outcome(workflow)) is not None
        }
        async with self._database.statement() as connection:
            left_open = await open_executions(connection, ended)
        closed = 0
        for execution_id, redrives in left_open:
            # A reset ends one run and begins another; the newest one tells.
            handle = self._client.get_workflow_handle(workflow_id(execution_id, redrives))
            if (outcome := _outcome(await handle.describe())) is not None:
                async with self._database.statement() as connection:
                    closed += await finish_execution(connection, outcome, redrives=redrives)
        if closed:
            _log.warning("Executions were closed after their workflows.", count=closed)
        return closed


def _outcome(workflow: WorkflowExecution) -> RunOutcome | None:
    """Return what the end of *workflow* means; None when it goes on, ended well, or is not ours."""
    organization = workflow.typed_search_attributes.get(temporal.ORGANIZATION)
    execution_id = execution_of(workflow.id)
    if workflow.status not in _ENDINGS or organization is None or execution_id is None:
        return None
    status, reason = _ENDINGS[workflow.status]
    try:
        return RunOutcome(
            execution_id=execution_id,
            organization_id=UUID(organization),
            status=status,
            reason=reason,
        )
    except ValueError:
        # Started by hand for a name of its own; no execution of ours.
        return None
