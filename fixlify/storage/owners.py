"""Who owns the company: the oldest profile of that role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner's profile; addresses as stored."""

    id: UUID
    email: str | None
    phone: str | None


# Roles are compared as statuses are: case and separators do not matter.
_OF_THE_ROLE: Final = r"""
    FROM profiles p
    WHERE p.organization_id = {organization}
      AND btrim(regexp_replace(lower(p.role), '[\s_-]+', '_', 'g'), '_') = 'owner'
    ORDER BY p.created_at, p.id
    LIMIT 1
"""

OWNER_OF_RUN: Final = f"SELECT p.id {_OF_THE_ROLE.format(organization='e.organization_id')}"
"""The owner's id, beside an execution ``e``."""

_FIND: Final = text(
    f"SELECT p.id, p.email, p.phone {_OF_THE_ROLE.format(organization=':organization_id')}"
)


async def find_owner(connection: AsyncConnection, organization_id: UUID) -> Owner | None:
    """Return the owner of the company; None where no profile has that role."""
    row = await connection.execute(_FIND, {"organization_id": organization_id})
    found = row.mappings().one_or_none()
    return None if found is None else Owner(**found)
