"""Telling an organization of its failed executions: one row for each, until it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.webhooks import DeliveryReceipt, DeliveryStatus, WebhookDelivery

DISABLED_AFTER: Final = timedelta(days=5)
"""For how long a receiver may fail before nobody tries any more."""
# A single mishap a week after the last one is no week of failing: about ten minutes of one
# delivery's attempts.
FAILED_ATTEMPTS: Final = 6


@dataclass(frozen=True, slots=True)
class BegunDelivery:
    """A delivery under way: where it goes, and what it tells. Nothing of it is personal."""

    failure_url: str
    failed_at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ListedDelivery:
    """A delivery as people see it."""

    id: UUID
    execution_id: UUID
    automation: str
    status: DeliveryStatus
    attempts: int
    reason: str | None
    created_at: datetime
    finished_at: datetime | None


# One that was launched stays pending until it is told; its workflow is looked for now and then.
_LAUNCHABLE: Final = text("""
    SELECT id AS delivery_id, organization_id FROM webhook_deliveries
    WHERE status = 'pending'
      AND (launched_at IS NULL
           OR launched_at < clock_timestamp() - CAST(:relaunch_after AS interval))
    ORDER BY created_at
    LIMIT :batch
""")

_MARK_LAUNCHED: Final = text("""
    UPDATE webhook_deliveries SET launched_at = clock_timestamp() WHERE id = ANY(:ids)
""")

_LOSE: Final = text("""
    UPDATE webhook_deliveries
    SET status = 'failed', finished_at = clock_timestamp(),
        reason = coalesce(reason, 'its workflow ended without a word; the Web UI shows why')
    WHERE id = ANY(:ids) AND status = 'pending'
""")

_BEGIN: Final = text("""
    UPDATE webhook_deliveries d
    SET attempts = d.attempts + 1
    FROM automation_execution_logs e
    JOIN automation_workflows a ON a.id = e.automation_id
    LEFT JOIN webhook_settings w ON w.organization_id = e.organization_id
    WHERE d.id = :id AND d.organization_id = :organization_id AND d.status = 'pending'
      AND e.id = d.execution_id
    RETURNING w.failure_url, w.disabled_at, w.disabled_reason, d.created_at,
              jsonb_build_object(
                  'organization_id', e.organization_id,
                  'execution_id', e.id,
                  'automation_id', e.automation_id,
                  'automation', a.name,
                  'subject', jsonb_build_object('type', e.subject_type, 'id', e.subject_id),
                  'reason', e.error_message,
                  'failed_steps', coalesce((
                      SELECT jsonb_agg(
                          jsonb_build_object('step_id', s.step_id, 'reason', s.reason)
                          ORDER BY s.position)
                      FROM automation_step_logs s
                      WHERE s.execution_id = e.id AND s.status IN ('failed', 'unknown')
                  ), '[]')
              ) AS data
""")

_STANDING: Final = text("""
    SELECT status, reason FROM webhook_deliveries
    WHERE id = :id AND organization_id = :organization_id
""")

_DELIVERED: Final = text("""
    WITH told AS (
        UPDATE webhook_deliveries
        SET status = 'delivered', reason = NULL, finished_at = clock_timestamp()
        WHERE id = :id AND organization_id = :organization_id AND status = 'pending'
        RETURNING organization_id
    )
    UPDATE webhook_settings w SET failing_since = NULL
    FROM told
    WHERE w.organization_id = told.organization_id AND w.failing_since IS NOT NULL
""")

_CANCEL: Final = text("""
    UPDATE webhook_deliveries
    SET status = 'cancelled', reason = :reason, finished_at = clock_timestamp()
    WHERE id = :id AND organization_id = :organization_id AND status = 'pending'
""")

# What an address that was replaced meanwhile did is not held against the new one.
_NOT_TAKEN: Final = text("""
    WITH attempt AS (
        SELECT d.id, w.organization_id, coalesce(w.failing_since, :now) AS since,
               w.organization_id IS NOT NULL AND (:gone OR (
                   w.failing_since <= CAST(:now AS timestamptz) - CAST(:disabled_after AS interval)
                   AND (:given_up OR d.attempts >= CAST(:failed_attempts AS integer))
               )) AS is_last
        FROM webhook_deliveries d
        LEFT JOIN webhook_settings w
          ON w.organization_id = d.organization_id AND w.disabled_at IS NULL
         AND w.failure_url = coalesce(:failure_url, w.failure_url)
        WHERE d.id = :id AND d.organization_id = :organization_id AND d.status = 'pending'
    ), settings AS (
        UPDATE webhook_settings w
        SET failing_since = attempt.since,
            disabled_at = CASE WHEN attempt.is_last THEN CAST(:now AS timestamptz) END,
            disabled_reason = CASE WHEN attempt.is_last THEN
                'failing since '
                || to_char(attempt.since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
                || ', at last: ' || CAST(:reason AS text) END
        FROM attempt
        WHERE w.organization_id = attempt.organization_id
    )
    UPDATE webhook_deliveries d
    SET reason = CAST(:reason AS text),
        status = CASE WHEN :given_up OR attempt.is_last THEN 'failed' ELSE 'pending' END,
        finished_at = CASE WHEN :given_up OR attempt.is_last THEN clock_timestamp() END
    FROM attempt
    WHERE d.id = attempt.id
""")

_LIST: Final = text("""
    SELECT d.id, d.execution_id, a.name AS automation, d.status, d.attempts, d.reason,
           d.created_at, d.finished_at
    FROM (
        SELECT * FROM webhook_deliveries
        WHERE organization_id = :organization_id
        ORDER BY created_at DESC
        LIMIT :limit
    ) AS d
    JOIN automation_execution_logs e ON e.id = d.execution_id
    JOIN automation_workflows a ON a.id = e.automation_id
    ORDER BY d.created_at DESC
""")


async def launchable_deliveries(
    connection: AsyncConnection, batch: int, relaunch_after: timedelta
) -> list[WebhookDelivery]:
    """Return pending deliveries whose workflow may be missing, oldest first."""
    rows = await connection.execute(_LAUNCHABLE, {"batch": batch, "relaunch_after": relaunch_after})
    return [WebhookDelivery.model_validate(dict(row)) for row in rows.mappings()]


async def mark_launched(connection: AsyncConnection, ids: Sequence[UUID]) -> None:
    """Record that these deliveries have a workflow."""
    await connection.execute(_MARK_LAUNCHED, {"ids": list(ids)})


async def lose_deliveries(connection: AsyncConnection, ids: Sequence[UUID]) -> None:
    """Close those whose workflow ended without recording what became of them."""
    await connection.execute(_LOSE, {"ids": list(ids)})


async def list_deliveries(
    connection: AsyncConnection, organization_id: UUID, limit: int
) -> list[ListedDelivery]:
    """Return the newest deliveries of an organization."""
    rows = await connection.execute(_LIST, {"organization_id": organization_id, "limit": limit})
    return [
        ListedDelivery(**{**row, "status": DeliveryStatus(row["status"])})
        for row in rows.mappings()
    ]


class DeliveryBook:
    """One delivery's row; lives as long as one attempt at it."""

    def __init__(self, connection: AsyncConnection, delivery: WebhookDelivery) -> None:
        self._connection = connection
        self._key = {"id": delivery.delivery_id, "organization_id": delivery.organization_id}

    async def begin(self) -> BegunDelivery | DeliveryReceipt:
        """Note an attempt and return what to send, or what became of the delivery without it."""
        found = (await self._connection.execute(_BEGIN, self._key)).mappings().one_or_none()
        if found is None:
            return await self._standing()
        if found["failure_url"] is None:
            return await self.cancel("the organization wants to hear of no failure any more")
        if found["disabled_at"] is not None:
            return await self.cancel(f"the failure webhook is disabled: {found['disabled_reason']}")
        return BegunDelivery(found["failure_url"], found["created_at"], found["data"])

    async def delivered(self) -> DeliveryReceipt:
        """Record that the organization was told."""
        await self._connection.execute(_DELIVERED, self._key)
        return await self._standing()

    async def cancel(self, reason: str) -> DeliveryReceipt:
        """Record that it is not to be told."""
        await self._connection.execute(_CANCEL, {**self._key, "reason": reason})
        return await self._standing()

    async def not_taken(
        self,
        reason: str,
        now: datetime,
        *,
        failure_url: str | None = None,
        gone: bool = False,
        given_up: bool = False,
    ) -> DeliveryReceipt:
        """Record a failed attempt; the webhook is disabled where it failed for too long.

        Args:
            reason: Why it was not taken.
            now: The moment, by the clock of the workflow.
            failure_url: Where it went; None where that is not known.
            gone: Whether the receiver wants no more webhooks, ever.
            given_up: Whether no further attempt is made.

        Returns:
            ``pending`` where another attempt may follow.
        """
        await self._connection.execute(
            _NOT_TAKEN,
            {
                **self._key,
                "reason": reason,
                "now": now,
                "failure_url": failure_url,
                "gone": gone,
                "given_up": given_up,
                "disabled_after": DISABLED_AFTER,
                "failed_attempts": FAILED_ATTEMPTS,
            },
        )
        return await self._standing()

    async def _standing(self) -> DeliveryReceipt:
        row = (await self._connection.execute(_STANDING, self._key)).one_or_none()
        if row is None:
            return DeliveryReceipt(
                status=DeliveryStatus.CANCELLED, reason="there is no such delivery"
            )
        return DeliveryReceipt(status=DeliveryStatus(row.status), reason=row.reason)
