"""The runs of an automation that is paused or archived: how many, and those to be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.endings import PAUSED
from fixlify.domain.ids import workflow_id


@dataclass(frozen=True, slots=True)
class RunsUnderWay:
    """The executions of an automation that are not over.

    ``pending`` counts those nobody has begun, ``begun`` are the workflow ids of the others.
    """

    pending: int
    begun: tuple[str, ...]

    @property
    def total(self) -> int:
        """How many there are of both."""
        return self.pending + len(self.begun)


_OF_THE_AUTOMATION: Final = """
    x.organization_id = :organization_id AND x.automation_id = :automation_id
"""

_BEGUN: Final = text(f"""
    SELECT x.id, x.redrives FROM automation_execution_logs x
    WHERE {_OF_THE_AUTOMATION} AND x.status IN ('running', 'waiting')
""")  # noqa: S608 - a constant of this module

_PENDING: Final = text(f"""
    SELECT count(*) FROM automation_execution_logs x
    WHERE {_OF_THE_AUTOMATION} AND x.status = 'pending'
""")  # noqa: S608 - a constant of this module

# A message tells why it is held before its run does. While a stop stands nothing goes on; who
# lifts it wakes them.
_WAKE: Final = text(f"""
    UPDATE automation_execution_logs x SET status = 'running', waiting_for = NULL
    WHERE {_OF_THE_AUTOMATION} AND x.status IN ('running', 'waiting')
      AND (
          position(:paused IN x.waiting_for) > 0
          OR EXISTS (
              SELECT FROM messages m
              WHERE m.execution_id = x.id AND m.status = 'held' AND m.reason = :paused
          )
      )
      AND NOT EXISTS (
          SELECT FROM automation_stops s
          WHERE s.organization_id IS NULL OR s.organization_id = x.organization_id
      )
    RETURNING x.id, x.redrives
""")  # noqa: S608 - a constant of this module


async def runs_under_way(
    connection: AsyncConnection, organization_id: UUID, automation_id: UUID
) -> RunsUnderWay:
    """Return the executions of an automation that are not over."""
    key = {"organization_id": organization_id, "automation_id": automation_id}
    begun = await connection.execute(_BEGUN, key)
    pending = await connection.execute(_PENDING, key)
    return RunsUnderWay(
        pending=pending.scalar_one(),
        begun=tuple(workflow_id(row.id, row.redrives) for row in begun),
    )


async def wake_paused_runs(
    connection: AsyncConnection, organization_id: UUID, automation_id: UUID
) -> tuple[str, ...]:
    """Let the runs go on that were held because their automation was paused.

    After the commit of what ended the pause, and with the engine's rights.

    Returns:
        The ids of their workflows; each is to be told.
    """
    woken = await connection.execute(
        _WAKE,
        {
            "organization_id": organization_id,
            "automation_id": automation_id,
            "paused": PAUSED,
        },
    )
    return tuple(workflow_id(row.id, row.redrives) for row in woken)
