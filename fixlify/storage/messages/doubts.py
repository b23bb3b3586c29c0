"""Messages whose fate nobody knows: what to look for at the provider, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.rules import MessageClass


@dataclass(frozen=True, slots=True)
class DoubtfulMessage:
    """A message that is ``unknown``, and what its provider's list is to be asked.

    ``sending_at`` is when it was last handed over, by the run's clock; ``doubts`` is how often
    its fate was unknown so far. ``known`` are the provider's ids of the other messages that
    went to the same address lately. ``has_twin``: another one with the same words is on its way
    or in doubt too, and was handed over before this one.
    """

    id: UUID
    recipient: str
    body_text: str
    message_class: MessageClass
    sending_at: datetime
    doubts: int
    known: frozenset[str]
    has_twin: bool


# The list of a provider is searched from a little before the message was handed over: its clock
# is another.
CLOCKS_DIFFER: Final = timedelta(minutes=5)

_FIND: Final = text("""
    SELECT m.id, m.recipient, m.body_text, m.message_class, m.sending_at,
           (SELECT count(*) FROM message_transitions t
            WHERE t.message_id = m.id AND t.to_status = 'unknown') AS doubts,
           ARRAY(SELECT o.provider_id FROM messages o
                 WHERE o.recipient = m.recipient
                   AND o.sending_at >= m.sending_at - CAST(:clocks AS interval)
                   AND o.id <> m.id AND o.provider_id IS NOT NULL) AS known,
           EXISTS (SELECT FROM messages o
                   WHERE o.recipient = m.recipient
                     AND o.sending_at >= m.sending_at - CAST(:clocks AS interval)
                     AND o.channel = m.channel AND o.body_text = m.body_text
                     AND o.status IN ('sending', 'unknown')
                     AND (o.sending_at, o.id) < (m.sending_at, m.id)) AS has_twin
    FROM messages m
    WHERE m.id = :id AND m.organization_id = :organization_id AND m.status = 'unknown'
""")


async def find_doubtful(
    connection: AsyncConnection, message_id: UUID, organization_id: UUID
) -> DoubtfulMessage | None:
    """Return the message if nobody knows its fate; None where somebody does by now."""
    rows = await connection.execute(
        _FIND, {"id": message_id, "organization_id": organization_id, "clocks": CLOCKS_DIFFER}
    )
    row = rows.mappings().one_or_none()
    if row is None:
        return None
    return DoubtfulMessage(
        id=row["id"],
        recipient=row["recipient"],
        body_text=row["body_text"],
        message_class=MessageClass(row["message_class"]),
        sending_at=row["sending_at"],
        doubts=row["doubts"],
        known=frozenset(row["known"]),
        has_twin=row["has_twin"],
    )
