"""Tell runs under way that they may look again; Temporal may be away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from rich.progress import Progress

from cli.output import errors
from fixlify import temporal
from fixlify.settings import Settings
from starter.release import release_runs

_CONNECT_TIMEOUT: Final = timedelta(seconds=10)


async def tell_runs(
    settings: Settings, workflow_ids: Sequence[str], identity: str
) -> tuple[int, str | None]:
    """Tell the runs of these workflows to look again; one that does not hear it does so later.

    Returns how many heard it, and what kept Temporal from telling them, if anything did.

    Args:
        settings: Where Temporal is.
        workflow_ids: Whose.
        identity: Who tells them, for Temporal's history.
    """
    if not workflow_ids:
        return 0, None
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT.total_seconds()):
            client = await temporal.connect(
                settings.temporal_address, settings.temporal_namespace, identity=identity
            )
    except (TimeoutError, *temporal.CONNECTION_ERRORS):
        return 0, f"Temporal does not answer at {settings.temporal_address}"
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("Telling the runs", total=len(workflow_ids))
        heard = await release_runs(client, workflow_ids, lambda: progress.advance(task))
    return heard, None
