"""The ledger as people read it: messages, and every change of theirs with its cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import MessageStatus
from fixlify.storage.messages.entering import Channel


@dataclass(frozen=True, slots=True)
class LedgerFilter:
    """Which messages to list; None asks for any. ``since`` reaches back from now."""

    status: MessageStatus | None = None
    channel: Channel | None = None
    address: str | None = None
    since: timedelta | None = None


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One message. ``reason`` is why it stands where it does; ``price`` is the provider's."""

    id: UUID
    execution_id: UUID
    automation: str
    step_id: str
    channel: Channel
    message_class: MessageClass
    recipient_kind: str
    recipient: str | None
    status: MessageStatus
    reason: str | None
    attempts: int
    provider: str | None
    provider_id: str | None
    sender: str | None
    error_code: str | None
    segments: int | None
    price: Decimal | None
    price_currency: str | None
    created_at: datetime
    sending_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    held_until: datetime | None


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of a message's status. ``attempt`` counts hand-overs so far."""

    at: datetime
    from_status: MessageStatus
    to_status: MessageStatus
    cause: str
    attempt: int
    provider: str | None
    provider_id: str | None
    sender: str | None
    error_code: str | None


_LINE: Final = """
    SELECT m.id, m.execution_id, a.name AS automation, m.step_id, m.channel, m.message_class,
           m.recipient_kind, m.recipient, m.status, m.reason, m.attempts, m.provider,
           m.provider_id, m.sender, m.error_code, m.segments, m.price, m.price_currency,
           m.created_at, m.sending_at, m.sent_at, m.delivered_at, m.held_until
    FROM messages m
    JOIN automation_execution_logs e ON e.id = m.execution_id
    JOIN automation_workflows a ON a.id = e.automation_id
"""

_WANTED: Final = """
    m.organization_id = :organization_id
    AND m.created_at > coalesce(now() - CAST(:since AS interval), '-infinity')
    AND m.status = coalesce(CAST(:status AS text), m.status)
    AND m.channel = coalesce(CAST(:channel AS text), m.channel)
    AND (CAST(:address AS text) IS NULL OR lower(m.recipient) = lower(:address))
"""

_LIST: Final = text(f"""
    {_LINE} WHERE {_WANTED} ORDER BY m.created_at DESC, m.id DESC LIMIT :limit
""")

# The few that are open have an index of their own, however many there ever were.
_LIST_OPEN: Final = text(f"""
    {_LINE} WHERE {_WANTED} AND m.status IN ('queued', 'held', 'sending', 'unknown')
    ORDER BY m.created_at DESC, m.id DESC LIMIT :limit
""")

_FIND: Final = text(f"""
    {_LINE}
    WHERE m.organization_id = :organization_id
      AND m.id BETWEEN CAST(:first AS uuid) AND CAST(:last AS uuid)
    ORDER BY m.id
    LIMIT :limit
""")

_TRANSITIONS: Final = text("""
    SELECT at, from_status, to_status, cause, attempt, provider, provider_id, sender, error_code
    FROM message_transitions
    WHERE message_id = :id AND organization_id = :organization_id
    ORDER BY id
""")

_OPEN_STATUSES: Final = frozenset(
    {
        MessageStatus.QUEUED,
        MessageStatus.HELD,
        MessageStatus.SENDING,
        MessageStatus.UNKNOWN,
    }
)


async def list_messages(
    connection: AsyncConnection, organization_id: UUID, wanted: LedgerFilter, limit: int
) -> list[LedgerLine]:
    """Return the newest *limit* messages that *wanted* asks for, newest first."""
    statement = _LIST_OPEN if wanted.status in _OPEN_STATUSES else _LIST
    rows = await connection.execute(
        statement,
        {
            "organization_id": organization_id,
            "status": wanted.status and wanted.status.value,
            "channel": wanted.channel and wanted.channel.value,
            "address": wanted.address,
            "since": wanted.since,
            "limit": limit,
        },
    )
    return [_line(row) for row in rows.mappings()]


async def find_messages(
    connection: AsyncConnection, organization_id: UUID, ids: tuple[UUID, UUID], limit: int
) -> list[LedgerLine]:
    """Return up to *limit* messages whose ids lie between the two of *ids*."""
    first, last = ids
    rows = await connection.execute(
        _FIND,
        {"organization_id": organization_id, "first": first, "last": last, "limit": limit},
    )
    return [_line(row) for row in rows.mappings()]


async def list_transitions(
    connection: AsyncConnection, organization_id: UUID, message_id: UUID
) -> list[Transition]:
    """Return every change of a message's status, oldest first."""
    rows = await connection.execute(
        _TRANSITIONS, {"id": message_id, "organization_id": organization_id}
    )
    return [
        Transition(
            **{
                **row,
                "from_status": MessageStatus(row["from_status"]),
                "to_status": MessageStatus(row["to_status"]),
            }
        )
        for row in rows.mappings()
    ]


def _line(row: Mapping[Any, Any]) -> LedgerLine:
    return LedgerLine(
        **{
            **row,
            "channel": Channel(row["channel"]),
            "message_class": MessageClass(row["message_class"]),
            "status": MessageStatus(row["status"]),
        }
    )
