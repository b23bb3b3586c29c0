"""Organizations, for choosing one by its name or id."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.facts import Organization

_LIST = text("""
    SELECT id, name, email, phone, website, time_zone, locale, currency
    FROM organizations
    ORDER BY name, id
""")


async def list_organizations(connection: AsyncConnection) -> list[Organization]:
    """Return the organizations this connection may see, by name.

    The engine role sees all of them; the app role sees the one it acts for.
    """
    return [Organization(**row) for row in (await connection.execute(_LIST)).mappings()]
