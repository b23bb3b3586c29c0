"""The outbox: claiming events, and saying what became of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.events import Event, EventType
from fixlify.storage.facts import READABLE

CHANNEL: Final = "automation_events"
"""What the row triggers NOTIFY."""

_KNOWN: Final = [event_type.value for event_type in EventType]

# SKIP LOCKED lets several relays share the work; the losing side simply sees other rows.
# Migrations run before the code that knows their events: a type that is new here is left for
# the relay that comes after us.
_CLAIM = text(f"""
    SELECT id, organization_id, event_type, subject_id, data,
           CASE WHEN occurred_at {READABLE} THEN occurred_at END AS occurred_at
    FROM automation_events
    WHERE processed_at IS NULL AND event_type = ANY(:known)
    ORDER BY id
    LIMIT :batch
    FOR UPDATE SKIP LOCKED
""")  # noqa: S608 - a constant

_MARK_PROCESSED = text("""
    UPDATE automation_events AS event
    SET processed_at = clock_timestamp(), outcome = done.outcome
    FROM jsonb_to_recordset(CAST(:done AS jsonb)) AS done (id bigint, outcome text)
    WHERE event.id = done.id
""")


@dataclass(frozen=True, slots=True)
class ClaimedEvents:
    """A batch held by the current transaction.

    ``unreadable`` holds rows that are no event this code knows, each with its reason; they
    are marked with it rather than left to block the batch for ever.
    """

    events: Sequence[Event]
    unreadable: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.events) + len(self.unreadable)


async def claim_events(connection: AsyncConnection, batch: int) -> ClaimedEvents:
    """Lock up to *batch* unprocessed events, oldest first, until the transaction ends."""
    events: list[Event] = []
    unreadable: dict[int, str] = {}
    for row in (await connection.execute(_CLAIM, {"batch": batch, "known": _KNOWN})).mappings():
        try:
            events.append(_event(row))
        except (ValueError, AttributeError) as error:
            unreadable[row["id"]] = f"unreadable: {row['event_type']}: {type(error).__name__}"
    return ClaimedEvents(events, unreadable)


async def mark_processed(connection: AsyncConnection, outcomes: Mapping[int, str]) -> None:
    """Record what became of each event, by id."""
    if outcomes:
        done = [{"id": event_id, "outcome": outcome} for event_id, outcome in outcomes.items()]
        await connection.execute(_MARK_PROCESSED, {"done": json.dumps(done)})


def _event(row: Mapping[Any, Any]) -> Event:
    data = row["data"]
    return Event(
        id=row["id"],
        organization_id=row["organization_id"],
        type=EventType(row["event_type"]),
        subject_id=row["subject_id"],
        before=data.get("before"),
        after=data.get("after"),
        occurred_at=row["occurred_at"],
    )
