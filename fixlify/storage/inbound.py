"""Who wrote the text messages that may say what somebody wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class InboundText:
    """Who wrote a text message; ``region`` is two letters, for numbers without a country code."""

    id: UUID
    organization_id: UUID
    client_id: UUID | None
    from_number: str | None
    locale: str | None


_INBOUND_TEXTS: Final = text("""
    SELECT m.id, m.organization_id, m.client_id, m.from_number, o.locale
    FROM inbound_messages m JOIN organizations o ON o.id = m.organization_id
    WHERE m.id = ANY(CAST(:ids AS uuid[]))
""")


async def inbound_texts(connection: AsyncConnection, ids: Sequence[UUID]) -> list[InboundText]:
    """Return who wrote these text messages; those that are gone are missing."""
    rows = await connection.execute(_INBOUND_TEXTS, {"ids": list(ids)})
    return [InboundText(**row) for row in rows.mappings()]
