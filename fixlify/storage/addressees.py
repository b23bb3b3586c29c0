"""Whom an email went to, who else has that address, and what was said of it before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom an email of the ledger is to, and the company that it is from.

    ``client_id`` is None where it is to no client: to staff, to a fixed address. ``locale`` is
    the client's own, else the company's.
    """

    message_id: UUID
    organization_id: UUID
    address: str
    recipient_kind: str
    client_id: UUID | None
    company: str
    logo_url: str | None
    brand_color: str | None
    locale: str


_FIND: Final = text("""
    SELECT m.id AS message_id, m.organization_id, m.recipient AS address, m.recipient_kind,
           c.id AS client_id, o.name AS company, o.logo_url, o.brand_color,
           coalesce(c.locale, o.locale) AS locale
    FROM messages m
    JOIN organizations o ON o.id = m.organization_id
    LEFT JOIN clients c ON m.recipient_kind = 'client' AND c.id = m.recipient_id
                       AND c.organization_id = m.organization_id
    WHERE m.id = :message_id AND m.channel = 'email' AND m.recipient IS NOT NULL
""")

# Of two requests about one message, the second sees what the first did.
_LOCK: Final = text("SELECT FROM messages WHERE id = :message_id FOR NO KEY UPDATE")

_STAFF: Final = frozenset({"technician", "owner"})

# In one order, so that two requests cannot deadlock.
_CLIENTS: Final = text("""
    SELECT id FROM (
        SELECT c.id FROM clients c
        WHERE c.organization_id = :organization_id AND lower(c.email) = lower(:address)
        UNION
        SELECT c.id FROM clients c
        WHERE c.organization_id = :organization_id AND c.id = :client_id
    ) AS concerned
    ORDER BY id
""")

_SAID: Final = text("""
    SELECT EXISTS (
        SELECT FROM consent_records
        WHERE organization_id = :organization_id AND address = lower(:address)
          AND source = :source AND evidence ->> 'message_id' = CAST(:message_id AS text)
    )
""")


async def lock_addressee(connection: AsyncConnection, message_id: UUID) -> Addressee | None:
    """Return what ``find_addressee`` does, and let nobody else do so until the transaction ends."""
    await connection.execute(_LOCK, {"message_id": message_id})
    return await find_addressee(connection, message_id)


async def find_addressee(connection: AsyncConnection, message_id: UUID) -> Addressee | None:
    """Return whom the email is to; None where there is no such email, or it has no address."""
    row = (await connection.execute(_FIND, {"message_id": message_id})).mappings().one_or_none()
    return None if row is None else Addressee(**row)


async def clients_of(connection: AsyncConnection, addressee: Addressee) -> Sequence[UUID]:
    """Return the clients that *addressee* may be: that client, and all with the same address.

    Staff are written to as staff, whatever they want as clients: they are none here.
    """
    if addressee.recipient_kind in _STAFF:
        return []
    rows = await connection.execute(
        _CLIENTS,
        {
            "organization_id": addressee.organization_id,
            "address": addressee.address,
            "client_id": addressee.client_id,
        },
    )
    return [row.id for row in rows]


async def was_said(connection: AsyncConnection, addressee: Addressee, source: str) -> bool:
    """Whether there is evidence by way of *source* that names this very message."""
    found: bool = await connection.scalar(
        _SAID,
        {
            "organization_id": addressee.organization_id,
            "address": addressee.address,
            "source": source,
            "message_id": addressee.message_id,
        },
    )
    return found
