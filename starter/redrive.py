"""Set executions going again, many if need be, in parts that each happen wholly or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from fixlify.storage.database import Database
from fixlify.storage.redrive import redrive

# Each a transaction: one that is interrupted has redriven some of them, and says so.
BATCH: Final = 100


async def redrive_executions(
    database: Database,
    organization_id: UUID,
    ids: Sequence[UUID],
    reason: str | None = None,
    on_each: Callable[[int], object] = lambda _: None,
) -> list[UUID]:
    """Make *ids* pending again, and return those that were not before.

    The relay launches them a second or two later, each as a workflow of its own; what an
    earlier run completed is passed over.

    Args:
        database: Acting as the engine.
        organization_id: Whose executions they are.
        ids: Which; one that goes on, is completed or never began is left as it is.
        reason: Why, for the journal.
        on_each: Called with the size of each part when it is done, for a progress bar.
    """
    redriven: list[UUID] = []
    for first in range(0, len(ids), BATCH):
        part = ids[first : first + BATCH]
        async with database.transaction() as connection:
            redriven += await redrive(connection, organization_id, part, reason)
        on_each(len(part))
    return redriven
