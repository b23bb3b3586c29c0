"""Setting executions going again that ended badly, without doing twice what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.endings import automation_ending
from fixlify.domain.runs import ExecutionStatus
from fixlify.storage.taken import TAKEN


@dataclass(frozen=True, slots=True)
class RedriveCandidate:
    """An execution that somebody wants to set going again, and what would become of it.

    Of its messages ``sent`` ones stay as they are, and those of ``unknown`` outcome, which
    nobody sends a second time; ``again`` are written anew, if they may go by then.
    """

    id: UUID
    automation: str
    automation_status: str
    paused_runs: str
    subject_type: str
    subject_id: str
    status: ExecutionStatus
    reason: str | None
    has_begun: bool
    sent: int
    again: int
    unknown: int

    @property
    def refusal(self) -> str | None:
        """Why it cannot be set going again, and what to do; None where it can."""
        match self.status:
            case ExecutionStatus.FAILED | ExecutionStatus.CANCELLED:
                return self._would_end
            case ExecutionStatus.SKIPPED if self.has_begun:
                return self._would_end
            case ExecutionStatus.SKIPPED:
                return f"it was skipped before it began: {self.reason or 'no reason was recorded'}"
            case ExecutionStatus.COMPLETED:
                return "it is completed; nothing is left to do"
            case ExecutionStatus.PENDING:
                return "it is pending, and begins by itself"
            case _:
                return (
                    f"it is {self.status}; to begin it anew, end it first with "
                    f"`fixlify executions cancel {self.id}`"
                )

    @property
    def _would_end(self) -> str | None:
        ending = automation_ending(self.automation_status, self.paused_runs)
        if ending is None:
            return None
        return f"{ending.reason}, and ends its runs; enable it first"


_FIND: Final = text(f"""
    SELECT e.id, a.name AS automation, a.status AS automation_status, a.paused_runs,
           e.subject_type, e.subject_id, e.status,
           coalesce(e.reason, e.error_message) AS reason, e.started_at IS NOT NULL AS has_begun,
           count(m.id) FILTER (WHERE m.status IN ({TAKEN})) AS sent,
           count(m.id) FILTER (WHERE m.status IN ('failed', 'cancelled', 'suppressed')) AS again,
           count(m.id) FILTER (WHERE m.status = 'unknown') AS unknown
    FROM automation_execution_logs e
    JOIN automation_workflows a ON a.id = e.automation_id
    LEFT JOIN messages m ON m.execution_id = e.id
    WHERE e.id = ANY(:ids) AND e.organization_id = :organization_id
    GROUP BY e.id, a.id
    ORDER BY e.id
""")  # noqa: S608 - a constant

# Of two people at once the second waits for the first's commit, and then finds it pending.
# Whatever went out, or may have, keeps its row: the unique key of execution and step, and the
# step's own log, keep it from ever going out again. A message that did not is held, and whoever
# renders it next writes it anew.
_REDRIVE: Final = text("""
    WITH chosen AS (
        SELECT id, organization_id, status, coalesce(reason, error_message) AS reason, redrives
        FROM automation_execution_logs
        WHERE id = ANY(:ids) AND organization_id = :organization_id
          AND (status IN ('failed', 'cancelled')
               OR (status = 'skipped' AND started_at IS NOT NULL))
        ORDER BY id
        FOR UPDATE
    ),
    redriven AS (
        UPDATE automation_execution_logs e
        SET status = 'pending', redrives = e.redrives + 1, reason = NULL, error_message = NULL,
            waiting_for = NULL, workflow_id = NULL, run_id = NULL, taken_at = NULL,
            launched_at = NULL, started_at = NULL, completed_at = NULL, good_until = NULL
        FROM chosen WHERE e.id = chosen.id
        RETURNING e.id
    ),
    held AS (
        UPDATE messages m
        SET status = 'held', reason = 'redriven', error_code = NULL, good_until = NULL,
            held_until = NULL, sending_at = NULL
        FROM chosen
        WHERE m.execution_id = chosen.id AND m.status IN ('failed', 'cancelled', 'suppressed')
    ),
    forgotten_steps AS (
        DELETE FROM automation_step_logs s USING chosen
        WHERE s.execution_id = chosen.id AND s.status NOT IN ('completed', 'unknown')
    ),
    forgotten_actions AS (
        DELETE FROM automation_actions a USING chosen
        WHERE a.execution_id = chosen.id AND a.status NOT IN ('completed', 'unknown')
    ),
    journal AS (
        INSERT INTO automation_decisions (organization_id, execution_id, kind, detail)
        SELECT organization_id, id, 'redriven',
               concat('redrive ', redrives + 1, ': it was ', status, ' (' || reason || ')',
                      '; ' || CAST(:reason AS text))
        FROM chosen
    )
    SELECT id FROM redriven
""")


async def find_candidates(
    connection: AsyncConnection, organization_id: UUID, ids: Sequence[UUID]
) -> list[RedriveCandidate]:
    """Return what a redrive of these executions would do, oldest first."""
    rows = await connection.execute(_FIND, {"organization_id": organization_id, "ids": list(ids)})
    return [
        RedriveCandidate(**{**row, "status": ExecutionStatus(row["status"])})
        for row in rows.mappings()
    ]


async def redrive(
    connection: AsyncConnection, organization_id: UUID, ids: Sequence[UUID], reason: str | None
) -> list[UUID]:
    """Make executions that ended badly pending again; the relay launches them as any other.

    Acts as the engine. What is to be done is decided anew: facts, consent and rules are those
    of the moment when a step comes to act.

    Args:
        connection: In a transaction; nothing happened if it is rolled back.
        organization_id: Whose they are.
        ids: Which; those that cannot be redriven, or were meanwhile, stay as they are.
        reason: Why, for the journal.

    Returns:
        Those that are pending now.
    """
    redriven = await connection.execute(
        _REDRIVE, {"organization_id": organization_id, "ids": list(ids), "reason": reason}
    )
    return sorted(redriven.scalars())
