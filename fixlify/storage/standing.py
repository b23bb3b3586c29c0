"""What a run looks at beside the facts: where its automation stands, and what it was told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.endings import automation_ending
from fixlify.domain.events import Event
from fixlify.domain.runs import Ending
from fixlify.storage.events import read_event
from fixlify.storage.facts import READABLE
from fixlify.storage.truth import SUPERSEDED


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the automation of an execution stands, and what becomes of its runs."""

    automation_status: str
    paused_runs: str
    superseded: bool | None

    @property
    def ending(self) -> Ending | None:
        """How the run ends that may not go on; None where it may."""
        return automation_ending(
            self.automation_status, self.paused_runs, superseded=self.superseded is True
        )


_STANDING: Final = text(f"""
    SELECT a.status AS automation_status, a.paused_runs, {SUPERSEDED} AS superseded
    FROM automation_execution_logs e
    JOIN automation_workflows a ON a.id = e.automation_id
    JOIN automation_workflow_versions v
      ON v.automation_id = e.automation_id AND v.version = e.automation_version
    WHERE e.id = :id AND e.organization_id = :organization_id
""")  # noqa: S608 - a constant

# Each by its own id: an index of the company's events would be read from end to end.
_EVENTS: Final = text(f"""
    SELECT id, organization_id, event_type, subject_type, subject_id, data, automation_id,
           occurrence_key, chain, caused_by,
           CASE WHEN occurred_at {READABLE} THEN occurred_at END AS occurred_at,
           interval '0' AS waited
    FROM unnest(CAST(:ids AS bigint[])) AS heard (event_id)
    CROSS JOIN LATERAL (
        SELECT * FROM automation_events WHERE id = heard.event_id OFFSET 0
    ) AS event
    WHERE organization_id = :organization_id
    ORDER BY id
""")  # noqa: S608 - a constant


async def find_standing(
    connection: AsyncConnection, execution_id: UUID, organization_id: UUID
) -> Standing:
    """Return where the automation of an execution that was begun stands."""
    row = await connection.execute(
        _STANDING, {"id": execution_id, "organization_id": organization_id}
    )
    return Standing(**row.mappings().one())


async def load_events(
    connection: AsyncConnection, organization_id: UUID, ids: Sequence[int]
) -> list[Event]:
    """Return those events of the organization, oldest first; unreadable ones are left out."""
    if not ids:
        return []
    rows = await connection.execute(_EVENTS, {"ids": list(ids), "organization_id": organization_id})
    events = []
    for row in rows.mappings():
        try:
            events.append(read_event(row))
        except (ValueError, AttributeError):
            continue
    return events
