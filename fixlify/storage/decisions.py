"""The journal of a run: what it decided on its way, in the words people read."""

from __future__ import annotations

from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class DecisionKind(StrEnum):
    """What was decided."""

    ARMED = "armed"  # a wait has its moment, for the first time
    REARMED = "rearmed"  # the moment was moved
    HEARD = "heard"  # an event reached the run
    BRANCHED = "branched"
    HELD = "held"  # by hours, a cap, a stop, a pause
    WOKEN = "woken"
    LATE = "late"
    EXITED = "exited"
    CANCELLED = "cancelled"
    REDRIVEN = "redriven"


# Looking again and finding the same is no news.
_RECORD: Final = text("""
    INSERT INTO automation_decisions (organization_id, execution_id, step_id, kind, detail)
    SELECT CAST(:organization_id AS uuid), CAST(:execution_id AS uuid), CAST(:step_id AS text),
           CAST(:kind AS text), CAST(:detail AS text)
    WHERE NOT EXISTS (
        SELECT FROM (
            SELECT kind, detail FROM automation_decisions
            WHERE execution_id = :execution_id AND step_id IS NOT DISTINCT FROM :step_id
            ORDER BY id DESC LIMIT 1
        ) AS newest
        WHERE newest.kind = :kind AND newest.detail = :detail
    )
""")


async def record_decision(
    connection: AsyncConnection,
    organization_id: UUID,
    execution_id: UUID,
    step_id: str | None,
    kind: DecisionKind,
    detail: str,
) -> None:
    """Write one line into the journal, unless it is the step's newest line already."""
    await connection.execute(
        _RECORD,
        {
            "organization_id": organization_id,
            "execution_id": execution_id,
            "step_id": step_id,
            "kind": kind.value,
            "detail": detail,
        },
    )
