"""Enter messages into the ledger, and write those anew that are held."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import MessageStatus


class Channel(StrEnum):
    """How a message travels."""

    EMAIL = "email"
    SMS = "sms"


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to enter: queued to be sent, or refused with its reason.

    It is worth nothing after ``good_until``, nor when it waited for longer than ``good_for``
    since it was first written. ``written_at`` is the run's own clock, that of its last task;
    Postgres's counts where it is later, or where the run's is None.
    """

    id: UUID
    organization_id: UUID
    execution_id: UUID
    step_id: str
    channel: Channel
    recipient_kind: str
    status: MessageStatus
    recipient_id: UUID | None = None
    reason: str | None = None
    recipient: str | None = None
    sender_name: str | None = None
    reply_to: str | None = None
    subject: str | None = None
    body_text: str | None = None
    body_html: str | None = None
    message_class: MessageClass = MessageClass.TRANSACTIONAL
    good_until: datetime | None = None
    good_for: timedelta | None = None
    written_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EnteredMessage:
    """A message as the ledger has it.

    ``has_rate`` says whether an operator gave its channel a rate, ``found`` that an earlier
    attempt entered it, which may have come further.
    """

    id: UUID
    step_id: str
    status: MessageStatus
    reason: str | None
    has_rate: bool
    found: bool


# What an operator said of the channel of `message`.
_HAS_RATE: Final = """EXISTS (
    SELECT FROM channel_settings c
    WHERE c.channel = message.channel
      AND (c.per_second < 'Infinity' OR c.organization_per_second IS NOT NULL)
)"""

# The first row of an execution's step stands, and a repeated render reads it back. Only what is
# held is written anew: as long as it may go it stays held, for whoever looks for what is held.
# A run that was waiting is running again from here on, unless it waits for this very message: it
# says so once, however often it tries.
_ENTER: Final = text(f"""
    WITH resumed AS (
        UPDATE automation_execution_logs SET status = 'running', waiting_for = NULL
        WHERE id = :execution_id AND status = 'waiting' AND NOT EXISTS (
            SELECT FROM messages
            WHERE execution_id = :execution_id AND step_id = ANY(:step_ids)
              AND status = 'held' AND reason <> 'redriven'
        )
    ),
    new AS (
        SELECT *, greatest(written_at, clock_timestamp()) AS created_at
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (
            id uuid, organization_id uuid, execution_id uuid, step_id text, channel text,
            recipient_kind text, recipient_id uuid, status text, reason text, recipient text,
            sender_name text, reply_to text, subject text, body_text text, body_html text,
            message_class text, good_until timestamptz, good_for interval, written_at timestamptz
        )
    ),
    entered AS (
        INSERT INTO messages (
            id, organization_id, execution_id, step_id, channel, recipient_kind, recipient_id,
            status, reason, recipient, sender_name, reply_to, subject, body_text, body_html,
            message_class, good_until, created_at
        )
        SELECT
            id, organization_id, execution_id, step_id, channel, recipient_kind, recipient_id,
            status, reason, recipient, sender_name, reply_to, subject, body_text, body_html,
            message_class, least(good_until, created_at + good_for), created_at
        FROM new
        ON CONFLICT (execution_id, step_id) DO UPDATE
        SET status = CASE excluded.status WHEN 'queued' THEN 'held' ELSE excluded.status END,
            reason = CASE excluded.status WHEN 'queued' THEN messages.reason
                                          ELSE excluded.reason END,
            held_until = CASE excluded.status WHEN 'queued' THEN messages.held_until END,
            good_until = (SELECT least(new.good_until, messages.created_at + new.good_for)
                          FROM new WHERE new.step_id = messages.step_id),
            message_class = excluded.message_class, recipient_kind = excluded.recipient_kind,
            recipient_id = excluded.recipient_id, recipient = excluded.recipient,
            sender_name = excluded.sender_name, reply_to = excluded.reply_to,
            subject = excluded.subject, body_text = excluded.body_text,
            body_html = excluded.body_html
        WHERE messages.status = 'held'
        RETURNING id, step_id, channel, status, reason
    )
    SELECT id, step_id, status, reason, {_HAS_RATE} AS has_rate, found FROM (
        SELECT id, step_id, channel, status, reason, false AS found FROM entered
        UNION ALL
        SELECT id, step_id, channel, status, reason, true AS found FROM messages
        WHERE execution_id = :execution_id AND step_id = ANY(:step_ids)
          AND step_id NOT IN (SELECT step_id FROM entered)
    ) AS message
""")  # noqa: S608 - a constant

_FIND_ENTERED: Final = text(f"""
    SELECT id, step_id, status, reason, {_HAS_RATE} AS has_rate, true AS found
    FROM messages message
    WHERE execution_id = :execution_id AND step_id = ANY(:step_ids)
""")  # noqa: S608


async def enter_messages(
    connection: AsyncConnection, execution_id: UUID, messages: Sequence[NewMessage]
) -> Mapping[str, EnteredMessage]:
    """Enter *messages* of one execution, and return what the ledger has, by step id.

    A step that is in the ledger already keeps its first row, unless that is held.
    """
    result = await connection.execute(
        _ENTER,
        {
            "rows": json.dumps([_as_row(message) for message in messages], default=str),
            "execution_id": execution_id,
            "step_ids": [message.step_id for message in messages],
        },
    )
    return {row["step_id"]: _entered(row) for row in result.mappings()}


async def find_entered(
    connection: AsyncConnection, execution_id: UUID, step_ids: Sequence[str]
) -> Mapping[str, EnteredMessage]:
    """Return the messages these steps have in the ledger, by step id."""
    result = await connection.execute(
        _FIND_ENTERED, {"execution_id": execution_id, "step_ids": list(step_ids)}
    )
    return {row["step_id"]: _entered(row) for row in result.mappings()}


def _as_row(message: NewMessage) -> dict[str, Any]:
    row = {name: getattr(message, name) for name in NewMessage.__slots__}
    if message.good_for is not None:
        row["good_for"] = f"{message.good_for.total_seconds()} seconds"
    return row


def _entered(row: Mapping[Any, Any]) -> EnteredMessage:
    return EnteredMessage(
        id=row["id"],
        step_id=row["step_id"],
        status=MessageStatus(row["status"]),
        reason=row["reason"],
        has_rate=row["has_rate"],
        found=row["found"],
    )
