"""End executions by hand, and wait until they have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from fixlify.domain.ids import redrives_of
from fixlify.domain.runs import ExecutionStatus, RunOutcome
from fixlify.storage.cancellation import (
    BY_HAND,
    Standing,
    cancel_pending,
    look_at,
    note_cancellation,
)
from fixlify.storage.database import Database
from fixlify.storage.executions import finish_execution

CONCURRENT_REQUESTS: Final = 20
# Ending takes a worker milliseconds; a message in a provider's hands is waited for.
PATIENCE: Final = timedelta(seconds=15)
_RPC_TIMEOUT: Final = timedelta(seconds=10)
_LOOK_AGAIN: Final = timedelta(milliseconds=100)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What became of it: ``cancelled`` are over; ``asked`` were told to end and have not yet.

    ``over`` had ended otherwise, before or meanwhile; ``unreached`` Temporal did not take.
    """

    cancelled: tuple[Standing, ...]
    asked: tuple[Standing, ...]
    over: tuple[Standing, ...]
    unreached: tuple[Standing, ...]


async def cancel_waiting(
    database: Database, organization_id: UUID, ids: Sequence[UUID]
) -> tuple[list[UUID], list[Standing]]:
    """End those of *ids* that have not begun.

    Returns:
        The ids of those, and where all the others stand; runs under way are Temporal's to end.
    """
    async with database.transaction() as connection:
        cancelled = await cancel_pending(connection, organization_id, ids)
        await note_cancellation(connection, organization_id, cancelled)
        rest = await look_at(
            connection, organization_id, [each for each in ids if each not in set(cancelled)]
        )
    return cancelled, rest


async def cancel_runs(
    client: Client,
    database: Database,
    organization_id: UUID,
    runs: Sequence[Standing],
    patience: timedelta = PATIENCE,
    on_each: Callable[[], object] = lambda: None,
) -> Cancellation:
    """Ask the workflows of *runs* to end, and wait until their executions say so.

    What went out stands, what was held is cancelled. A second call asks again, which is
    harmless.

    Args:
        client: Of the namespace in which they run.
        database: Acting as the engine.
        organization_id: Whose they are.
        runs: Executions that are running or waiting.
        patience: How long to wait for all of them.
        on_each: Called after each request, for a progress bar.

    Raises:
        RPCError: Temporal does not answer, or has no such namespace.
    """
    # Without it the server says of every run that it is not there.
    await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace), timeout=_RPC_TIMEOUT
    )
    async with database.transaction() as connection:
        await note_cancellation(connection, organization_id, [run.id for run in runs])
    slots = asyncio.Semaphore(CONCURRENT_REQUESTS)

    async def ask(run: Standing) -> bool:
        async with slots:
            try:
                return await _ask(client, database, organization_id, run)
            finally:
                on_each()

    reached = await asyncio.gather(*map(ask, runs))
    unreached = {run.id for run, was_reached in zip(runs, reached, strict=True) if not was_reached}
    standing = await _ended(
        database, organization_id, [run.id for run in runs if run.id not in unreached], patience
    )
    return Cancellation(
        cancelled=tuple(e for e in standing if e.status is ExecutionStatus.CANCELLED),
        asked=tuple(each for each in standing if each.is_open),
        over=tuple(
            e for e in standing if not e.is_open and e.status is not ExecutionStatus.CANCELLED
        ),
        unreached=tuple(run for run in runs if run.id in unreached),
    )


async def _ask(client: Client, database: Database, organization_id: UUID, run: Standing) -> bool:
    """Tell one workflow to end; return whether Temporal took it."""
    try:
        await client.get_workflow_handle(run.workflow_id).cancel(
            reason=BY_HAND, rpc_timeout=_RPC_TIMEOUT
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            _log.warning(
                "A run could not be told to end.", execution_id=str(run.id), error=str(error)
            )
            return False
        # Temporal knows no such run any more, so nobody else will ever close the execution.
        async with database.statement() as connection:
            await finish_execution(
                connection,
                RunOutcome(
                    execution_id=run.id,
                    organization_id=organization_id,
                    status=ExecutionStatus.CANCELLED,
                    reason=BY_HAND,
                ),
                redrives=redrives_of(run.workflow_id),
            )
    return True


async def _ended(
    database: Database, organization_id: UUID, ids: Sequence[UUID], patience: timedelta
) -> list[Standing]:
    """Return where *ids* stand once all of them have ended, or at the end of *patience*."""
    deadline = asyncio.get_running_loop().time() + patience.total_seconds()
    while True:
        async with database.statement() as connection:
            standing = await look_at(connection, organization_id, ids)
        if asyncio.get_running_loop().time() >= deadline or not any(e.is_open for e in standing):
            return standing
        await asyncio.sleep(_LOOK_AGAIN.total_seconds())
