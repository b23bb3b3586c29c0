"""What clients do not want, and addresses that get nothing: write it, lift it, list it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.rules import MessageClass
from fixlify.storage.messages import Channel


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


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that gets nothing of one channel, whoever it belongs to."""

    channel: Channel
    address: str
    reason: str
    source: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class InboundText:
    """Who wrote a text message; ``region`` is two letters, for numbers without a country code."""

    id: UUID
    organization_id: UUID
    client_id: UUID | None
    from_number: str | None
    locale: str | None


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

# Put into one form by the same function that the gate asks with.
_SUPPRESS: Final = text("""
    INSERT INTO suppressions (organization_id, channel, address, reason, source, created_at)
    VALUES (:organization_id, :channel, lower(:address), :reason, :source,
            coalesce(CAST(:at AS timestamptz), clock_timestamp()))
    ON CONFLICT (organization_id, channel, address) DO UPDATE
        SET created_at = greatest(suppressions.created_at, excluded.created_at)
    RETURNING xmax = 0 AS is_new
""")

_RELEASE: Final = text("""
    DELETE FROM suppressions
    WHERE organization_id = :organization_id AND channel = :channel AND address = lower(:address)
      AND source = coalesce(CAST(:source AS text), source)
      AND created_at <= coalesce(CAST(:at AS timestamptz), clock_timestamp())
    RETURNING address
""")

_SUPPRESSIONS: Final = text("""
    SELECT channel, address, reason, source, created_at FROM suppressions
    WHERE organization_id = :organization_id
      AND channel = ANY(CAST(:channels AS text[]))
      AND address = coalesce(lower(:address), address)
    ORDER BY channel, address
    LIMIT :limit
""")

_INBOUND_TEXTS: Final = text("""
    SELECT m.id, m.organization_id, m.client_id, m.from_number, o.locale
    FROM inbound_messages m JOIN organizations o ON o.id = m.organization_id
    WHERE m.id = ANY(CAST(:ids AS uuid[]))
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


async def suppress(
    connection: AsyncConnection,
    organization_id: UUID,
    channel: Channel,
    address: str,
    *,
    reason: str,
    source: str,
    at: datetime | None = None,
) -> bool:
    """Let nothing go to *address* any more; whether that is news.

    Args:
        address: As ``fixlify.channels.addresses`` returns it.
    """
    row = await connection.execute(
        _SUPPRESS,
        {
            "organization_id": organization_id,
            "channel": channel.value,
            "address": address,
            "reason": reason,
            "source": source,
            "at": at,
        },
    )
    return bool(row.scalar_one())


async def release(
    connection: AsyncConnection,
    organization_id: UUID,
    channel: Channel,
    address: str,
    *,
    source: str | None = None,
    at: datetime | None = None,
) -> bool:
    """Let messages go to *address* again; whether it was suppressed.

    Args:
        source: Only where that suppressed it; None for whoever did.
        at: Only if it was suppressed before that; None for now.
    """
    row = await connection.execute(
        _RELEASE,
        {
            "organization_id": organization_id,
            "channel": channel.value,
            "address": address,
            "source": source,
            "at": at,
        },
    )
    return row.one_or_none() is not None


async def list_suppressions(
    connection: AsyncConnection,
    organization_id: UUID,
    limit: int,
    *,
    channel: Channel | None = None,
    address: str | None = None,
) -> list[Suppression]:
    """Return suppressed addresses in their order: all, those of one channel, or one of them."""
    rows = await connection.execute(
        _SUPPRESSIONS,
        {
            "organization_id": organization_id,
            "channels": [each.value for each in ([channel] if channel else Channel)],
            "address": address,
            "limit": limit,
        },
    )
    return [Suppression(**{**row, "channel": Channel(row["channel"])}) for row in rows.mappings()]


async def inbound_texts(connection: AsyncConnection, ids: Sequence[UUID]) -> list[InboundText]:
    """Return who wrote these text messages; those that are gone are missing."""
    rows = await connection.execute(_INBOUND_TEXTS, {"ids": list(ids)})
    return [InboundText(**row) for row in rows.mappings()]


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
