"""Start one workflow per failed execution that an organization is to be told of."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
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
from fixlify.domain.webhooks import WebhookDelivery, delivery_workflow_id
from fixlify.storage.database import Database
from fixlify.storage.webhook_deliveries import (
    launchable_deliveries,
    lose_deliveries,
    mark_launched,
)
from workflows.webhook import WebhookDeliveryWorkflow

INTERVAL: Final = timedelta(seconds=1)
BATCH: Final = 100
CONCURRENT_STARTS: Final = 20
RPC_TIMEOUT: Final = timedelta(seconds=10)
# A delivery goes on for a day; in between somebody may terminate its workflow.
RELAUNCH_AFTER: Final = timedelta(hours=1)

_log = structlog.get_logger(__name__)


class FailureReporter:
    """Looks for deliveries every second; lives as long as its relay.

    Several may run: a delivery has one workflow, whoever starts it.
    """

    def __init__(self, client: Client, database: Database) -> None:
        self._client = client
        self._database = database
        self._slots = asyncio.Semaphore(CONCURRENT_STARTS)

    async def run(self) -> None:
        """Launch until cancelled; what is away now is tried a second later."""
        said = False
        while True:
            try:
                more = await self.launch_batch() == BATCH
                said = False
            except (RPCError, SQLAlchemyError, OSError) as error:
                more = False
                if not said:
                    _log.warning(
                        "Failure webhooks could not be launched; they wait.",
                        error=str(error).partition("\n")[0],
                    )
                    said = True
            if not more:
                await asyncio.sleep(INTERVAL.total_seconds())

    async def launch_batch(self, relaunch_after: timedelta = RELAUNCH_AFTER) -> int:
        """Start a workflow for each delivery that may lack one; return how many have one now."""
        async with self._database.statement() as connection:
            pending = await launchable_deliveries(connection, BATCH, relaunch_after)
        if not pending:
            return 0
        lost: list[UUID] = []
        started = await asyncio.gather(*(self._start(each, lost) for each in pending))
        launched = [each.delivery_id for each, has in zip(pending, started, strict=True) if has]
        async with self._database.statement() as connection:
            if launched:
                await mark_launched(connection, launched)
            if lost:
                await lose_deliveries(connection, lost)
        return len(launched)

    async def _start(self, delivery: WebhookDelivery, lost: list[UUID]) -> bool:
        async with self._slots:
            try:
                await self._client.start_workflow(
                    WebhookDeliveryWorkflow.run,
                    delivery,
                    id=delivery_workflow_id(delivery.delivery_id),
                    task_queue=queues.AUTOMATIONS,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    priority=Priority(fairness_key=str(delivery.organization_id)),
                    rpc_timeout=RPC_TIMEOUT,
                    static_summary="Tell of a failed execution",
                    search_attributes=TypedSearchAttributes(
                        [SearchAttributePair(temporal.ORGANIZATION, str(delivery.organization_id))]
                    ),
                )
            except WorkflowAlreadyStartedError:
                # It ended, and its row, which it writes before, still says pending.
                lost.append(delivery.delivery_id)
                return False
            except RPCError as error:
                _log.warning(
                    "A failure webhook could not be launched; it waits.",
                    delivery_id=str(delivery.delivery_id),
                    status=error.status.name,
                    error=str(error),
                )
                return False
        return True
