"""Whom a sweep serves: active automations, in the order of their ids, a few at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.conditions import Condition
from fixlify.domain.triggers import Trigger
from fixlify.storage.database import Database
from fixlify.storage.facts import READABLE

_AT_A_TIME: Final = 200

_TRIGGER: Final[TypeAdapter[Trigger]] = TypeAdapter(Trigger)
_CONDITIONS: Final[TypeAdapter[Condition | None]] = TypeAdapter(Condition | None)

# An automation whose trigger was edited listens for what it says now only since then: the day
# somebody adds a threshold, thousands of invoices are past it, and none was missed.
_LISTENERS: Final = text(f"""
    SELECT a.id, a.organization_id, a.trigger_type, a.trigger_config, a.conditions, o.time_zone,
           greatest(
               CASE WHEN a.activated_at {READABLE} THEN a.activated_at END,
               CASE WHEN written.at {READABLE} THEN written.at END
           ) AS listening_since
    FROM automation_workflows a
    JOIN organizations o ON o.id = a.organization_id
    LEFT JOIN LATERAL (
        SELECT min(v.created_at) AS at
        FROM automation_workflow_versions v
        WHERE v.automation_id = a.id AND v.version > coalesce((
            SELECT max(other.version)
            FROM automation_workflow_versions other, automation_workflow_versions current
            WHERE other.automation_id = a.id
              AND current.automation_id = a.id AND current.version = a.version
              AND other.pinned #> '{{definition,trigger}}'
                  IS DISTINCT FROM current.pinned #> '{{definition,trigger}}'
        ), 0)
    ) AS written ON true
    WHERE a.status = 'active'
      AND a.trigger_type = ANY(:trigger_types)
      AND (CAST(:time_zone AS text) IS NULL OR o.time_zone = :time_zone)
      AND (CAST(:only AS uuid) IS NULL OR a.id = :only)
      AND (CAST(:after AS uuid) IS NULL OR a.id > :after)
    ORDER BY a.id
    LIMIT :at_most
""")  # noqa: S608 - a constant

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Listener:
    """An active automation; ``time_zone`` is its organization's, as it stands there.

    ``listening_since`` is when it became active, or when its trigger became what it is. What
    fell due before it did not miss.
    """

    id: UUID
    organization_id: UUID
    trigger: Trigger
    conditions: Condition | None
    time_zone: str
    listening_since: datetime | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An active automation that was edited by hand into something invalid."""

    id: UUID

    @property
    def problem(self) -> str:
        """What to tell people."""
        return f"automation {self.id}: cannot be read; apply it again"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which automations: of these types, and where it is set of one zone, or this one alone."""

    trigger_types: Sequence[str]
    time_zone: str | None = None
    only: UUID | None = None


async def listeners(
    database: Database, wanted: Wanted, after: UUID | None
) -> AsyncIterator[Listener | Unreadable]:
    """Yield the automations with ids beyond *after*; few are held at a time."""
    while True:
        async with database.statement() as connection:
            found = await _some(connection, wanted, after)
        for listener in found:
            after = listener.id
            yield listener
        if len(found) < _AT_A_TIME:
            return


async def _some(
    connection: AsyncConnection, wanted: Wanted, after: UUID | None
) -> list[Listener | Unreadable]:
    rows = await connection.execute(
        _LISTENERS,
        {
            "trigger_types": list(wanted.trigger_types),
            "time_zone": wanted.time_zone,
            "only": wanted.only,
            "after": after,
            "at_most": _AT_A_TIME,
        },
    )
    return [_listener(row) for row in rows.mappings()]


def _listener(row: Mapping[Any, Any]) -> Listener | Unreadable:
    config = row["trigger_config"]
    try:
        # What is no mapping is left to validation, which refuses it.
        written = {**config, "type": row["trigger_type"]} if isinstance(config, dict) else config
        trigger = _TRIGGER.validate_python(written)
        conditions = _CONDITIONS.validate_python(row["conditions"])
    except ValidationError:
        _log.error("A stored automation is invalid; apply it again.", automation_id=str(row["id"]))
        return Unreadable(row["id"])
    return Listener(
        id=row["id"],
        organization_id=row["organization_id"],
        trigger=trigger,
        conditions=conditions,
        time_zone=row["time_zone"],
        listening_since=row["listening_since"],
    )
