"""Recording events from outside, each once, for subjects that exist."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.events import EventType, SubjectType
from fixlify.domain.intake import CustomEvent, Subject

_TABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "client": "clients",
        "estimate": "estimates",
        "invoice": "invoices",
        "payment": "payments",
        "task": "tasks",
    }
)
"""Where the subjects are whose ids are UUIDs; a job's is text."""

_KNOWN_SUBJECTS = text(
    "SELECT 'job' AS type, id FROM jobs "  # noqa: S608 - constants
    "WHERE organization_id = :organization_id AND id = ANY(CAST(:job AS text[]))"
    + "".join(
        f" UNION ALL SELECT '{kind}', CAST(id AS text) FROM {table} "  # noqa: S608
        f"WHERE organization_id = :organization_id AND id = ANY(CAST(:{kind} AS uuid[]))"
        for kind, table in _TABLES.items()
    )
)

# The order of the batch is the order of the ids: rows get theirs as they leave the sort.
# The losing side of a conflict, with another request or within the batch, inserts nothing.
_INSERT = text(f"""
    INSERT INTO automation_events
        (organization_id, event_type, subject_type, subject_id, source_key, occurred_at, data)
    SELECT CAST(:organization_id AS uuid), '{EventType.CUSTOM}', subject_type, subject_id,
           source_key, coalesce(occurred_at, clock_timestamp()), data
    FROM jsonb_to_recordset(CAST(:events AS jsonb)) AS event
        (place integer, subject_type text, subject_id text, source_key text,
         occurred_at timestamptz, data jsonb)
    ORDER BY place
    ON CONFLICT (organization_id, source_key) WHERE source_key IS NOT NULL DO NOTHING
    RETURNING id, source_key
""")  # noqa: S608 - constants

_FIND_SOURCES = text("""
    SELECT source_key, id FROM automation_events
    WHERE organization_id = :organization_id AND source_key = ANY(CAST(:keys AS text[]))
""")


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """The row an event has; one recorded before is a duplicate, and has the row it got then."""

    id: int
    is_duplicate: bool


async def unknown_subjects(
    connection: AsyncConnection, organization_id: UUID, events: Sequence[CustomEvent]
) -> list[int]:
    """Return the places of the events whose subject the organization does not have."""
    keys = [_subject_key(organization_id, event.subject) for event in events]
    wanted: dict[str, set[str]] = {kind: set() for kind in ("job", *_TABLES)}
    known = {(SubjectType.ORGANIZATION.value, str(organization_id))}
    for kind, subject_id in filter(None, keys):
        if kind in wanted:
            wanted[kind].add(subject_id)
    if any(wanted.values()):
        rows = await connection.execute(
            _KNOWN_SUBJECTS,
            {"organization_id": organization_id}
            | {kind: sorted(subject_ids) for kind, subject_ids in wanted.items()},
        )
        known |= {(row.type, row.id) for row in rows}
    return [place for place, key in enumerate(keys) if key not in known]


async def record_events(
    connection: AsyncConnection, organization_id: UUID, events: Sequence[CustomEvent]
) -> list[RecordedEvent]:
    """Insert *events*, whose commit wakes a relay; return the rows of all of them, in order.

    The subjects must exist. An event with an id that the organization used before, or earlier
    in *events*, is not inserted again, whatever else it says.
    """
    inserted = await connection.execute(
        _INSERT, {"organization_id": organization_id, "events": _rows(organization_id, events)}
    )
    new_by_key: dict[str, int] = {}
    new: list[int] = []
    for row in inserted:
        if row.source_key is None:
            new.append(row.id)
        else:
            new_by_key[row.source_key] = row.id
    found = await _find_sources(
        connection,
        organization_id,
        {event.id for event in events if event.id is not None} - new_by_key.keys(),
    )
    without_key = iter(sorted(new))
    recorded: list[RecordedEvent] = []
    for event in events:
        if event.id is None:
            recorded.append(RecordedEvent(next(without_key), is_duplicate=False))
        elif event.id in found:
            recorded.append(RecordedEvent(found[event.id], is_duplicate=True))
        else:
            # A second one in this very batch is a duplicate of the first.
            found[event.id] = new_by_key[event.id]
            recorded.append(RecordedEvent(new_by_key[event.id], is_duplicate=False))
    return recorded


def _subject_key(organization_id: UUID, subject: Subject | None) -> tuple[str, str] | None:
    """Return type and id as the tables have them, or None for an id that cannot be one."""
    if subject is None:
        return SubjectType.ORGANIZATION.value, str(organization_id)
    if subject.type == "job":
        return subject.type, subject.id
    try:
        return subject.type, str(UUID(subject.id))
    except ValueError:
        return None


def _rows(organization_id: UUID, events: Sequence[CustomEvent]) -> str:
    rows = []
    for place, event in enumerate(events):
        key = _subject_key(organization_id, event.subject)
        assert key is not None, "the subject exists"  # noqa: S101 - the caller's part
        rows.append(
            {
                "place": place,
                "subject_type": key[0],
                "subject_id": key[1],
                "source_key": event.id,
                "occurred_at": event.occurred_at and event.occurred_at.isoformat(),
                "data": {"name": event.name, "data": event.data},
            }
        )
    return json.dumps(rows)


async def _find_sources(
    connection: AsyncConnection, organization_id: UUID, keys: Iterable[str]
) -> dict[str, int]:
    wanted = sorted(keys)
    if not wanted:
        return {}
    rows = await connection.execute(
        _FIND_SOURCES, {"organization_id": organization_id, "keys": wanted}
    )
    return {row.source_key: row.id for row in rows}
