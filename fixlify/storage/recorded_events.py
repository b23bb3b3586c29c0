"""What was recorded: events of every kind with their outcome, for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.storage.facts import READABLE

# An instant that Python cannot hold must not cost its neighbours theirs.
_LIST = text(f"""
    SELECT id, event_type, subject_type, subject_id, source_key, data, automation_id,
           CASE WHEN occurred_at {READABLE} THEN occurred_at END AS occurred_at,
           processed_at, outcome
    FROM automation_events
    WHERE organization_id = :organization_id
      AND (CAST(:event_type AS text) IS NULL OR event_type = :event_type)
      AND (CAST(:since AS interval) IS NULL
           OR occurred_at > clock_timestamp() - CAST(:since AS interval))
    ORDER BY id DESC
    LIMIT :limit
""")  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class PastEvent:
    """One row of the outbox; ``outcome`` is None until a relay has been there.

    ``source_key`` is the id that a sender outside gave it, ``automation_id`` the automation
    that a sweep found it for.
    """

    id: int
    event_type: str
    subject_type: str
    subject_id: str | None
    source_key: str | None
    data: Mapping[str, Any]
    automation_id: UUID | None
    occurred_at: datetime | None
    processed_at: datetime | None
    outcome: str | None

    @property
    def name(self) -> str | None:
        """What the sender of a custom event called it; None of every other event."""
        name = self.data.get("name") if self.event_type == "custom" else None
        return name if isinstance(name, str) else None


async def list_events(
    connection: AsyncConnection,
    organization_id: UUID,
    limit: int,
    *,
    event_type: str | None = None,
    since: timedelta | None = None,
) -> list[PastEvent]:
    """Return up to *limit* events, newest first; *since* reaches back from now."""
    rows = await connection.execute(
        _LIST,
        {
            "organization_id": organization_id,
            "event_type": event_type,
            "since": since,
            "limit": limit,
        },
    )
    return [PastEvent(**row) for row in rows.mappings()]
