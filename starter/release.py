"""Wake the runs whose messages a stop held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError

from workflows.automation import AutomationWorkflow

CONCURRENT_SIGNALS: Final = 20
_RPC_TIMEOUT: Final = timedelta(seconds=10)


async def release_runs(
    client: Client, workflow_ids: Sequence[str], on_each: Callable[[], object] = lambda: None
) -> int:
    """Tell the runs of these workflows to try again; return how many heard it.

    One that does not hear it looks again by itself within the hour, or has ended.
    *on_each* is called after each, for a progress bar.
    """
    slots = asyncio.Semaphore(CONCURRENT_SIGNALS)

    async def release(workflow_id: str) -> bool:
        async with slots:
            handle = client.get_workflow_handle_for(AutomationWorkflow.run, workflow_id)
            try:
                await handle.signal(AutomationWorkflow.release, rpc_timeout=_RPC_TIMEOUT)
            except RPCError:
                return False
            finally:
                on_each()
            return True

    return sum(await asyncio.gather(*map(release, workflow_ids)))
