"""The webhooks that steps call: once per execution and step, however many attempts it takes."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.runs import StepStatus

# What was taken is never called again, whoever asks. Of a failed one another attempt may be
# made: its run was set going again.
_BEGIN: Final = text("""
    INSERT INTO automation_actions
        (execution_id, step_id, organization_id, kind, status, attempts)
    VALUES (:execution_id, :step_id, :organization_id, 'webhook', 'calling', 1)
    ON CONFLICT (execution_id, step_id) DO UPDATE
        SET status = 'calling', attempts = automation_actions.attempts + 1, finished_at = NULL
        WHERE automation_actions.status <> 'completed'
    RETURNING attempts
""")

_WAS_TAKEN: Final = text("""
    SELECT true FROM automation_actions
    WHERE execution_id = :execution_id AND step_id = :step_id AND status = 'completed'
""")

_NOTE: Final = text("""
    UPDATE automation_actions
    SET status = CAST(:status AS text), reason = :reason,
        detail = jsonb_strip_nulls(jsonb_build_object(
            'host', CAST(:host AS text), 'code', CAST(:code AS text))),
        finished_at = CASE WHEN CAST(:status AS text) <> 'calling' THEN clock_timestamp() END
    WHERE execution_id = :execution_id AND step_id = :step_id AND status = 'calling'
""")


class WebhookCall:
    """One step's call, in the book of what runs did; lives as long as its attempt."""

    def __init__(self, execution_id: UUID, step_id: str, organization_id: UUID) -> None:
        self._key = {"execution_id": execution_id, "step_id": step_id}
        self._organization_id = organization_id

    async def was_taken(self, connection: AsyncConnection) -> bool:
        """Whether an earlier attempt was taken."""
        return await connection.scalar(_WAS_TAKEN, self._key) is not None

    async def begin(self, connection: AsyncConnection) -> bool:
        """Note the attempt; False where another one was taken meanwhile."""
        attempts = await connection.scalar(
            _BEGIN, {**self._key, "organization_id": self._organization_id}
        )
        return attempts is not None

    async def completed(self, connection: AsyncConnection, host: str, code: str | None) -> None:
        """Note that *host* took it."""
        await self._note(connection, StepStatus.COMPLETED.value, None, host, code)

    async def failed(
        self, connection: AsyncConnection, reason: str, host: str, code: str | None
    ) -> None:
        """Note that it is refused for good."""
        await self._note(connection, StepStatus.FAILED.value, reason, host, code)

    async def not_taken(
        self, connection: AsyncConnection, reason: str, host: str, code: str | None
    ) -> None:
        """Note why this attempt came to nothing; another one follows."""
        await self._note(connection, "calling", reason, host, code)

    async def _note(
        self,
        connection: AsyncConnection,
        status: str,
        reason: str | None,
        host: str,
        code: str | None,
    ) -> None:
        await connection.execute(
            _NOTE, {**self._key, "status": status, "reason": reason, "host": host, "code": code}
        )
