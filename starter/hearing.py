"""Tell runs that are under way what happened to their subjects; one signal per run and batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from fixlify.domain.runs import Heard
from fixlify.storage.signals import Hearing
from workflows.automation import AutomationWorkflow

CONCURRENT_SIGNALS: Final = 20
# The server answers in milliseconds; a signal that takes this long is sent again by the sweep.
RPC_TIMEOUT: Final = timedelta(seconds=10)

_log = structlog.get_logger(__name__)


class Teller:
    """Signals workflows; lives as long as its relay."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(CONCURRENT_SIGNALS)

    async def tell(self, hearings: Sequence[Hearing]) -> list[Hearing]:
        """Signal each run; return those that were told, or that need to be told no more.

        What fails stays undelivered for the next sweep. A run that is told twice of an event
        hears it once.
        """
        told = await asyncio.gather(*map(self._signal, hearings))
        return [hearing for hearing, was_told in zip(hearings, told, strict=True) if was_told]

    async def _signal(self, hearing: Hearing) -> bool:
        if hearing.workflow_id is None:
            return True
        async with self._slots:
            handle = self._client.get_workflow_handle_for(
                AutomationWorkflow.run, hearing.workflow_id
            )
            try:
                await handle.signal(
                    AutomationWorkflow.hear,
                    Heard(event_ids=hearing.event_ids),
                    rpc_timeout=RPC_TIMEOUT,
                )
            except RPCError as error:
                if _has_ended(error):
                    return True
                refused = error.status is RPCStatusCode.INVALID_ARGUMENT
                _log.warning(
                    "A run cannot be told of events; it reads the facts before it acts."
                    if refused
                    else "A run could not be told of events; it is told later.",
                    execution_id=str(hearing.execution_id),
                    status=error.status.name,
                    error=str(error),
                )
                # What Temporal will never take must not stand in everybody else's way.
                return refused
        return True


def _has_ended(error: RPCError) -> bool:
    """Whether there is no such run any more; a namespace that is not there is something else."""
    return error.status is RPCStatusCode.NOT_FOUND and "namespace" not in str(error).lower()
