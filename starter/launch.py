"""Start one workflow per pending execution; the only place that starts workflows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from temporalio.client import Client
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from fixlify import temporal
from fixlify.domain import queues
from fixlify.domain.ids import workflow_id
from fixlify.domain.runs import AutomationRun
from fixlify.storage.executions import PendingExecution
from workflows.automation import AutomationWorkflow

# The server answers in milliseconds; a start that takes this long is tried again by the sweep.
RPC_TIMEOUT = timedelta(seconds=10)
CONCURRENT_STARTS = 20
# Temporal refuses a start with longer ones, and with it the run, however often it is tried:
# 200 bytes in the Cloud; 2,048 for a keyword in JSON, where a character may take twelve.
# A name is cut rather than a promise broken.
LONGEST_SUMMARY = 200
LONGEST_KEYWORD = 160

_log = structlog.get_logger(__name__)


class Launcher:
    """Starts workflows; lives as long as its relay.

    With *eager* the first workflow task comes back with the start, for a worker that shares
    this client in this process.
    """

    def __init__(self, client: Client, *, eager: bool) -> None:
        self._client = client
        self._eager = eager
        self._slots = asyncio.Semaphore(CONCURRENT_STARTS)

    async def launch(self, executions: Sequence[PendingExecution]) -> list[UUID]:
        """Start a workflow for each execution and return the ids of those that have one.

        A start that fails leaves its row pending for the next sweep; starting twice is
        success, because the id is taken by the first.
        """
        started = await asyncio.gather(*map(self._start, executions))
        return [execution.id for execution, has in zip(executions, started, strict=True) if has]

    async def _start(self, execution: PendingExecution) -> bool:
        async with self._slots:
            try:
                await self._client.start_workflow(
                    AutomationWorkflow.run,
                    AutomationRun(
                        execution_id=execution.id, organization_id=execution.organization_id
                    ),
                    id=workflow_id(execution.id, execution.redrives),
                    task_queue=queues.AUTOMATIONS,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    request_eager_start=self._eager,
                    # Its activities inherit it: in every queue the companies take turns.
                    priority=Priority(fairness_key=str(execution.organization_id)),
                    rpc_timeout=RPC_TIMEOUT,
                    static_summary=_summary(execution),
                    static_details=_details(execution),
                    search_attributes=_search_attributes(execution),
                )
            except WorkflowAlreadyStartedError:
                return True
            except RPCError as error:
                _log.warning(
                    "A workflow could not be started; its execution stays pending.",
                    execution_id=str(execution.id),
                    status=error.status.name,
                    error=str(error),
                )
                return False
        return True


def _summary(execution: PendingExecution) -> str:
    line = f"{execution.automation}: {execution.subject_id}"
    return line.encode()[:LONGEST_SUMMARY].decode(errors="ignore")


def _details(execution: PendingExecution) -> str:
    return (
        f"Automation **{execution.automation}**, version {execution.version}\n\n"
        f"- Set off by `{execution.trigger_type}` of "
        f"{execution.subject_type} `{execution.subject_id}`\n"
        f"- Execution `{execution.id}`: `fixlify executions show {execution.id}`"
    )


def _search_attributes(execution: PendingExecution) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(temporal.ORGANIZATION, str(execution.organization_id)),
            SearchAttributePair(temporal.AUTOMATION, str(execution.automation_id)),
            SearchAttributePair(temporal.SUBJECT, execution.subject_id[:LONGEST_KEYWORD]),
            SearchAttributePair(temporal.TRIGGER, execution.trigger_type),
        ]
    )
