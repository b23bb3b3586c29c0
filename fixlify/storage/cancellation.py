"""Ending executions by hand: those that wait for their run at once, the others by their run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.ids import workflow_id
from fixlify.domain.runs import ExecutionStatus

BY_HAND: Final = "cancelled by hand"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an execution stands, and the workflow that carries it out or would."""

    id: UUID
    automation: str
    subject_type: str
    subject_id: str
    status: ExecutionStatus
    workflow_id: str

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return self.status in (
            ExecutionStatus.PENDING,
            ExecutionStatus.RUNNING,
            ExecutionStatus.WAITING,
        )


_FILTERED = """
    organization_id = :organization_id
    AND (CAST(:automation_id AS uuid) IS NULL OR automation_id = CAST(:automation_id AS uuid))
    AND (CAST(:subject_id AS text) IS NULL OR subject_id = CAST(:subject_id AS text))
"""

# Each of the two has an index of its own, which one condition for both would not use.
_FIND_OPEN: Final = text(f"""
    SELECT id FROM automation_execution_logs WHERE status = 'pending' AND {_FILTERED}
    UNION ALL
    SELECT id FROM automation_execution_logs
    WHERE status IN ('running', 'waiting') AND {_FILTERED}
""")  # noqa: S608 - a constant of this module

_STANDING: Final = text("""
    SELECT e.id, a.name AS automation, e.subject_type, e.subject_id, e.status, e.redrives
    FROM automation_execution_logs e
    JOIN automation_workflows a ON a.id = e.automation_id
    WHERE e.id = ANY(:ids) AND e.organization_id = :organization_id
    ORDER BY e.id
""")

# A workflow that was launched for it finds that it has ended, and does nothing.
_CANCEL_PENDING: Final = text("""
    WITH cancelled AS (
        UPDATE automation_execution_logs
        SET status = 'cancelled', reason = :reason, completed_at = clock_timestamp()
        WHERE id = ANY(:ids) AND organization_id = :organization_id AND status = 'pending'
        RETURNING id
    ),
    withdrawn AS (
        UPDATE messages m SET status = 'cancelled', reason = :reason
        FROM cancelled WHERE m.execution_id = cancelled.id AND m.status IN ('queued', 'held')
    )
    SELECT id FROM cancelled
""")

_NOTE: Final = text("""
    INSERT INTO automation_decisions (organization_id, execution_id, kind, detail)
    SELECT organization_id, id, 'cancelled', :reason
    FROM automation_execution_logs
    WHERE id = ANY(:ids) AND organization_id = :organization_id
""")


async def find_open(
    connection: AsyncConnection,
    organization_id: UUID,
    automation_id: UUID | None,
    subject_id: str | None,
) -> list[UUID]:
    """Return the executions that have not ended, oldest first; None asks for any."""
    found = await connection.execute(
        _FIND_OPEN,
        {
            "organization_id": organization_id,
            "automation_id": automation_id,
            "subject_id": subject_id,
        },
    )
    return sorted(found.scalars())


async def look_at(
    connection: AsyncConnection, organization_id: UUID, ids: Sequence[UUID]
) -> list[Standing]:
    """Return where these executions stand, oldest first."""
    rows = await connection.execute(
        _STANDING, {"organization_id": organization_id, "ids": list(ids)}
    )
    return [
        Standing(
            id=row["id"],
            automation=row["automation"],
            subject_type=row["subject_type"],
            subject_id=row["subject_id"],
            status=ExecutionStatus(row["status"]),
            workflow_id=workflow_id(row["id"], row["redrives"]),
        )
        for row in rows.mappings()
    ]


async def cancel_pending(
    connection: AsyncConnection, organization_id: UUID, ids: Sequence[UUID]
) -> list[UUID]:
    """End those of *ids* that have not begun, and return them; acts as the engine."""
    cancelled = await connection.execute(
        _CANCEL_PENDING,
        {"organization_id": organization_id, "ids": list(ids), "reason": BY_HAND},
    )
    return sorted(cancelled.scalars())


async def note_cancellation(
    connection: AsyncConnection, organization_id: UUID, ids: Sequence[UUID]
) -> None:
    """Write into the journals of *ids* that a person ended them; acts as the engine."""
    await connection.execute(
        _NOTE, {"organization_id": organization_id, "ids": list(ids), "reason": BY_HAND}
    )
