"""What clients do not want: write it, lift it, list it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.rules import MessageClass
from fixlify.storage.messages.entering import Channel


@dataclass(frozen=True, slots=True)
class OptOut:
    """What a client does not want: all of a channel, or one class of it.

    ``source`` says where that comes from: ``sms`` (the client's own word), ``cli``, or
    ``clients`` for the column of the client's row, which has no time.
    """

    channel: Channel
    message_class: MessageClass | None
    source: str
    created_at: datetime | None


# Said again, it is as new as the last time: a word that came before takes nothing back.
_OPT_OUT: Final = text("""
    INSERT INTO client_opt_outs
        (organization_id, client_id, channel, message_class, source, created_at)
    VALUES (:organization_id, :client_id, :channel, :message_class, :source,
            coalesce(CAST(:at AS timestamptz), clock_timestamp()))
    ON CONFLICT ON CONSTRAINT client_opt_outs_once_key DO UPDATE
        SET created_at = greatest(client_opt_outs.created_at, excluded.created_at)
    RETURNING xmax = 0 AS is_new
""")

_OPT_IN: Final = text("""
    DELETE FROM client_opt_outs
    WHERE organization_id = :organization_id AND client_id = :client_id AND channel = :channel
      AND message_class IS NOT DISTINCT FROM CAST(:message_class AS text)
      AND created_at <= coalesce(CAST(:at AS timestamptz), clock_timestamp())
    RETURNING id
""")

_ALLOW_CHANNEL: Final = text("""
    UPDATE clients
    SET email_opted_out = email_opted_out AND :channel <> 'email',
        sms_opted_out = sms_opted_out AND :channel <> 'sms'
    WHERE organization_id = :organization_id AND id = :client_id
      AND CASE :channel WHEN 'email' THEN email_opted_out ELSE sms_opted_out END
    RETURNING id
""")

_OPT_OUTS: Final = text("""
    SELECT channel, message_class, source, created_at FROM (
        SELECT channel, message_class, source, created_at FROM client_opt_outs
        WHERE organization_id = :organization_id AND client_id = :client_id
        UNION ALL
        SELECT channel, NULL, 'clients', NULL
        FROM clients c, (VALUES ('email'), ('sms')) AS each (channel)
        WHERE c.organization_id = :organization_id AND c.id = :client_id
          AND CASE channel WHEN 'email' THEN c.email_opted_out ELSE c.sms_opted_out END
    ) AS said
    ORDER BY channel, message_class NULLS FIRST, created_at NULLS FIRST
""")


async def opt_out(
    connection: AsyncConnection,
    organization_id: UUID,
    client_id: UUID,
    channel: Channel,
    *,
    message_class: MessageClass | None = None,
    source: str,
    at: datetime | None = None,
) -> bool:
    """Record that the client wants nothing of a channel, or of one class of it.

    Args:
        source: Who says so; the first to say it is remembered.
        at: When it was said; None for now.

    Returns:
        Whether that is news.
    """
    row = await connection.execute(
        _OPT_OUT,
        {
            **_about(organization_id, client_id, channel, message_class),
            "source": source,
            "at": at,
        },
    )
    return bool(row.scalar_one())


async def opt_in(
    connection: AsyncConnection,
    organization_id: UUID,
    client_id: UUID,
    channel: Channel,
    *,
    message_class: MessageClass | None = None,
    at: datetime | None = None,
) -> bool:
    """Lift what was said before *at* about the channel, or about that one class of it.

    The column of the client's row stays; ``allow_channel`` lifts it.

    Returns:
        Whether there was anything to lift.
    """
    row = await connection.execute(
        _OPT_IN, {**_about(organization_id, client_id, channel, message_class), "at": at}
    )
    return row.one_or_none() is not None


async def allow_channel(
    connection: AsyncConnection, organization_id: UUID, client_id: UUID, channel: Channel
) -> bool:
    """Clear the column of the client's row that opts out of *channel*; whether it was set.

    Only people may: *connection* acts as the app.
    """
    row = await connection.execute(
        _ALLOW_CHANNEL,
        {
            "organization_id": organization_id,
            "client_id": client_id,
            "channel": channel.value,
        },
    )
    return row.one_or_none() is not None


async def list_opt_outs(
    connection: AsyncConnection, organization_id: UUID, client_id: UUID
) -> list[OptOut]:
    """Return everything that opts the client out, whole channels first."""
    rows = await connection.execute(
        _OPT_OUTS, {"organization_id": organization_id, "client_id": client_id}
    )
    return [
        OptOut(
            Channel(row.channel),
            MessageClass(row.message_class) if row.message_class else None,
            row.source,
            row.created_at,
        )
        for row in rows
    ]


def _about(
    organization_id: UUID,
    client_id: UUID,
    channel: Channel,
    message_class: MessageClass | None,
) -> dict[str, Any]:
    return {
        "organization_id": organization_id,
        "client_id": client_id,
        "channel": channel.value,
        "message_class": message_class and message_class.value,
    }
