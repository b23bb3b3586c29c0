"""What people said about messages and the evidence that they did; written once, never changed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.rules import MessageClass
from fixlify.storage.messages.entering import Channel

LONGEST_EVIDENCE: Final = 2_000
"""Characters of one piece of evidence; what is longer is cut."""

# What Postgres takes into no text: NUL, and halves of surrogate pairs.
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """What somebody said: that they want, or do not want, messages of one channel.

    Without ``message_class`` it is about all of the channel. ``source`` says by which way it
    came: ``sms`` (their own word), ``unsubscribe`` (a link in an email), ``twilio`` (the
    provider refuses the number), ``cli`` (an employee entered it).
    """

    id: int
    client_id: UUID | None
    channel: Channel
    message_class: MessageClass | None
    address: str | None
    wants: bool
    source: str
    evidence: dict[str, Any]
    said_at: datetime
    recorded_at: datetime


_RECORD: Final = text("""
    INSERT INTO consent_records
        (organization_id, client_id, channel, message_class, address, wants, source, evidence,
         said_at)
    VALUES (:organization_id, :client_id, :channel, :message_class, lower(:address), :wants,
            :source, CAST(:evidence AS jsonb), :said_at)
""")

_LIST: Final = text("""
    SELECT id, client_id, channel, message_class, address, wants, source, evidence, said_at,
           recorded_at
    FROM (
        (SELECT * FROM consent_records
         WHERE organization_id = :organization_id AND client_id = :client_id
         ORDER BY id DESC LIMIT :limit)
        UNION
        (SELECT * FROM consent_records
         WHERE organization_id = :organization_id AND address = ANY(CAST(:addresses AS text[]))
         ORDER BY id DESC LIMIT :limit)
    ) AS said
    ORDER BY said_at DESC, id DESC
    LIMIT :limit
""")


async def record_consent(
    connection: AsyncConnection,
    organization_id: UUID,
    *,
    client_id: UUID | None,
    channel: Channel,
    message_class: MessageClass | None,
    address: str | None,
    wants: bool,
    source: str,
    evidence: Mapping[str, Any],
    said_at: datetime,
) -> None:
    """Keep what somebody said, in the transaction that acts on it.

    A second call writes a second record: callers make sure that they act once.

    Args:
        client_id: Whose word it is, where that is known.
        message_class: The one class it is about; None for all of the channel.
        address: As ``fixlify.channels.addresses`` returns it; None where it is about a client.
        source: By which way it came; see ``ConsentRecord``.
        evidence: What shows that it was said, such as the message itself. Any text is taken:
            what cannot be stored is replaced, and what is too long is cut.
        said_at: When it was said, not when we heard of it.
    """
    await connection.execute(
        _RECORD,
        {
            "organization_id": organization_id,
            "client_id": client_id,
            "channel": channel.value,
            "message_class": message_class and message_class.value,
            "address": address,
            "wants": wants,
            "source": source,
            "evidence": json.dumps(
                {name: _storable(value) for name, value in evidence.items() if value is not None}
            ),
            "said_at": said_at,
        },
    )


async def list_consent_records(
    connection: AsyncConnection,
    organization_id: UUID,
    *,
    client_id: UUID,
    addresses: Sequence[str],
    limit: int,
) -> list[ConsentRecord]:
    """Return what the client said, or anybody with one of their addresses; the newest first."""
    rows = await connection.execute(
        _LIST,
        {
            "organization_id": organization_id,
            "client_id": client_id,
            "addresses": [address.lower() for address in addresses],
            "limit": limit,
        },
    )
    return [
        ConsentRecord(
            **{
                **row,
                "channel": Channel(row["channel"]),
                "message_class": row["message_class"] and MessageClass(row["message_class"]),
            }
        )
        for row in rows.mappings()
    ]


def _storable(value: Any) -> Any:
    if isinstance(value, bool | int):
        return value
    return _UNSTORABLE.sub("\ufffd", str(value))[:LONGEST_EVIDENCE]
