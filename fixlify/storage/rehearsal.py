"""What a rehearsal reads beside the facts: consent, what was sent lately, what was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.events import EventType
from fixlify.domain.rules import MessageClass
from fixlify.storage.facts import READABLE
from fixlify.storage.messages.refusals import REFUSAL
from fixlify.storage.recorded_events import PastEvent
from fixlify.storage.taken import TAKEN

# Postgres itself refuses every write from here on, whoever asks for it.
_READ_ONLY: Final = text("SET TRANSACTION READ ONLY")

_REFUSALS: Final = text(f"""
    SELECT m.place, {REFUSAL} AS refusal
    FROM (
        SELECT CAST(:organization_id AS uuid) AS organization_id, given.*
        FROM unnest(CAST(:clients AS uuid[]), CAST(:kinds AS text[]), CAST(:channels AS text[]),
                    CAST(:classes AS text[]), CAST(:recipients AS text[])) WITH ORDINALITY
            AS given (client_id, recipient_kind, channel, message_class, recipient, place)
    ) AS m
    LEFT JOIN clients c ON c.organization_id = m.organization_id AND c.id = m.client_id
    ORDER BY m.place
""")  # noqa: S608 - constants

# One that nobody knows the fate of may have arrived.
_SENT_TO: Final = text(f"""
    SELECT sending_at, channel, message_class FROM messages
    WHERE organization_id = :organization_id AND recipient_id = :client_id
      AND recipient_kind = 'client' AND sending_at > :since
      AND status IN ('sending', 'unknown', {TAKEN})
""")  # noqa: S608 - a constant

# Ids come in the order of the clock, but for what was on its way at the same time. Asked for
# as pairs, so that no plan goes through the events of other companies to find the next of this.
_NEXT_EVENT: Final = text(f"""
    SELECT id, CASE WHEN occurred_at {READABLE} THEN occurred_at END AS occurred_at
    FROM automation_events
    WHERE (organization_id, id) >= (CAST(:organization_id AS uuid), CAST(:id AS bigint))
      AND (organization_id, id) <= (CAST(:organization_id AS uuid), CAST(:last AS bigint))
    ORDER BY organization_id, id LIMIT 1
""")  # noqa: S608
_LAST_EVENT: Final = text("""
    SELECT id FROM automation_events WHERE organization_id = :organization_id
    ORDER BY id DESC LIMIT 1
""")

_PAGE: Final = text(f"""
    SELECT id, event_type, subject_type, subject_id, source_key, data, automation_id,
           CASE WHEN occurred_at {READABLE} THEN occurred_at END AS occurred_at,
           processed_at, outcome, chain
    FROM automation_events
    WHERE (organization_id, id) > (CAST(:organization_id AS uuid), CAST(:after AS bigint))
      AND (organization_id, id) <= (CAST(:organization_id AS uuid), CAST(:last AS bigint))
      AND event_type = :event_type
      AND (automation_id IS NULL OR automation_id = CAST(:automation_id AS uuid))
    ORDER BY organization_id, id
    LIMIT :limit
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Addressed:
    """To whom a message would go: enough to ask whether they want it."""

    client_id: UUID | None
    recipient_kind: str
    channel: str
    message_class: MessageClass
    recipient: str


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message that counts for caps."""

    at: datetime
    channel: str
    message_class: MessageClass


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One row of the outbox with the automations that led to it, oldest first."""

    event: PastEvent
    chain: tuple[UUID, ...]


async def read_only(connection: AsyncConnection) -> None:
    """Let the transaction that just began write nothing."""
    await connection.execute(_READ_ONLY)


async def find_refusals(
    connection: AsyncConnection, organization_id: UUID, messages: Sequence[Addressed]
) -> list[str | None]:
    """Return for each message why its recipient does not want it, or None: the gate's own word."""
    if not messages:
        return []
    rows = await connection.execute(
        _REFUSALS,
        {
            "organization_id": organization_id,
            "clients": [each.client_id for each in messages],
            "kinds": [each.recipient_kind for each in messages],
            "channels": [each.channel for each in messages],
            "classes": [each.message_class.value for each in messages],
            "recipients": [each.recipient for each in messages],
        },
    )
    return [refusal for _, refusal in rows]


async def sent_to(
    connection: AsyncConnection, organization_id: UUID, client_id: UUID, since: datetime
) -> list[SentMessage]:
    """Return what a client was sent since then."""
    rows = await connection.execute(
        _SENT_TO,
        {"organization_id": organization_id, "client_id": client_id, "since": since},
    )
    return [SentMessage(at, channel, MessageClass(kind)) for at, channel, kind in rows]


async def event_span(
    connection: AsyncConnection, organization_id: UUID, since: datetime
) -> tuple[int, int]:
    """Return an id below every event since then, and the id of the newest one.

    Found by halving, so that no older event is read.
    """
    key = {"organization_id": organization_id}
    newest = await connection.scalar(_LAST_EVENT, key) or 0
    low, high = 0, newest + 1
    while low < high:
        middle = (low + high) // 2
        found = (
            await connection.execute(_NEXT_EVENT, {**key, "id": middle, "last": newest})
        ).one_or_none()
        if found is None or (found.occurred_at is not None and found.occurred_at >= since):
            high = middle
        else:
            low = found.id + 1
    return low - 1, newest


async def event_page(
    connection: AsyncConnection,
    organization_id: UUID,
    event_type: EventType,
    span: tuple[int, int],
    limit: int,
    automation_id: UUID | None,
) -> list[RecordedEvent]:
    """Return up to *limit* events of a type within *span* (exclusive, inclusive), oldest first.

    Of what sweeps found, only what they found for *automation_id*.
    """
    after, last = span
    rows = await connection.execute(
        _PAGE,
        {
            "organization_id": organization_id,
            "event_type": event_type.value,
            "after": after,
            "last": last,
            "automation_id": automation_id,
            "limit": limit,
        },
    )
    found = []
    for row in rows.mappings():
        columns = dict(row)
        chain = tuple(columns.pop("chain") or ())
        found.append(RecordedEvent(PastEvent(**columns), chain))
    return found
