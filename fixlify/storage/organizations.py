"""Organizations: choosing one by its name or id, and how one looks to its clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.facts import Organization
from fixlify.storage.tables import OrganizationRow

_LIST: Final = text("""
    SELECT id, name, email, phone, website, time_zone, locale, currency
    FROM organizations
    ORDER BY name, id
""")

_APPEARANCE: Final = text("""
    SELECT id, name, email, phone, website, time_zone, locale, currency, address, logo_url,
           brand_color, links, sms_number
    FROM organizations
    WHERE id = :organization_id
""")


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a company looks to its clients.

    ``links`` are the patterns of its links by name. ``sms_number`` is where texts to it come in,
    in E.164.
    """

    organization: Organization
    links: Mapping[str, str]
    sms_number: str | None


async def list_organizations(connection: AsyncConnection) -> list[Organization]:
    """Return the organizations this connection may see, by name.

    The engine role sees all of them; the app role sees the one it acts for.
    """
    return [Organization(**row) for row in (await connection.execute(_LIST)).mappings()]


async def load_appearance(connection: AsyncConnection, organization_id: UUID) -> Appearance:
    """Return how the organization looks; it exists, since somebody chose it."""
    rows = await connection.execute(_APPEARANCE, {"organization_id": organization_id})
    found = dict(rows.mappings().one())
    links, sms_number = found.pop("links"), found.pop("sms_number")
    # A row edited by hand may hold anything.
    known = links if isinstance(links, dict) else {}
    return Appearance(
        Organization(**found),
        {name: link for name, link in known.items() if isinstance(link, str)},
        sms_number,
    )


async def change_appearance(
    connection: AsyncConnection, organization_id: UUID, changes: Mapping[str, Any]
) -> None:
    """Write *changes*, which have been judged, by column: ``logo_url``, ``links``, ….

    The last of two who write at once wins; ``links`` are written as a whole.
    """
    await connection.execute(
        update(OrganizationRow).where(OrganizationRow.id == organization_id).values(**changes)
    )
