"""Addresses that get nothing, whoever they belong to: add them, lift it, list them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.storage.messages.entering import Channel


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that gets nothing of one channel, whoever it belongs to."""

    channel: Channel
    address: str
    reason: str
    source: str
    created_at: datetime


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
