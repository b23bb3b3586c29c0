"""Keys of the HTTP API: made, listed and revoked by people, and recognized at each request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.ids import new_id


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key, which is not the key: of that only a hash was stored.

    ``last_used_at`` is right to the minute.
    """

    id: UUID
    organization_id: UUID
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


_COLUMNS: Final = "id, organization_id, name, prefix, created_at, last_used_at, revoked_at"

_CREATE = text(f"""
    INSERT INTO api_keys (id, organization_id, name, prefix, key_hash)
    VALUES (:id, :organization_id, :name, :prefix, :key_hash)
    ON CONFLICT (organization_id, name) DO NOTHING
    RETURNING {_COLUMNS}
""")  # noqa: S608 - constants

_LIST = text(f"SELECT {_COLUMNS} FROM api_keys ORDER BY created_at, id")  # noqa: S608 - constants

_FIND = text(f"""
    SELECT {_COLUMNS} FROM api_keys
    WHERE name = :name_or_prefix OR prefix = :name_or_prefix
    ORDER BY name = :name_or_prefix DESC, created_at
""")  # noqa: S608 - constants

# Whoever revokes first is the one who did; a second time changes nothing.
_REVOKE = text(f"""
    UPDATE api_keys SET revoked_at = clock_timestamp()
    WHERE id = :id AND revoked_at IS NULL
    RETURNING {_COLUMNS}
""")  # noqa: S608 - constants

# The update finds no row in all but one request a minute, and then locks nothing. Its result is
# not seen by the SELECT beside it: the organization is right either way.
_RECOGNIZE = text("""
    WITH used AS (
        UPDATE api_keys SET last_used_at = clock_timestamp()
        WHERE key_hash = :key_hash AND revoked_at IS NULL
          AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')
    )
    SELECT organization_id FROM api_keys WHERE key_hash = :key_hash AND revoked_at IS NULL
""")


async def create_api_key(
    connection: AsyncConnection, organization_id: UUID, name: str, prefix: str, key_hash: str
) -> ApiKey | None:
    """Store a new key; None where a key of that name is there, or was."""
    row = await connection.execute(
        _CREATE,
        {
            "id": new_id(),
            "organization_id": organization_id,
            "name": name,
            "prefix": prefix,
            "key_hash": key_hash,
        },
    )
    return next((ApiKey(**each) for each in row.mappings()), None)


async def list_api_keys(connection: AsyncConnection) -> list[ApiKey]:
    """Return every key this connection may see, revoked ones too, oldest first."""
    return [ApiKey(**row) for row in (await connection.execute(_LIST)).mappings()]


async def find_api_keys(connection: AsyncConnection, name_or_prefix: str) -> list[ApiKey]:
    """Return the keys with this name or prefix, the one with the name first."""
    found = await connection.execute(_FIND, {"name_or_prefix": name_or_prefix})
    return [ApiKey(**row) for row in found.mappings()]


async def revoke_api_key(connection: AsyncConnection, key_id: UUID) -> ApiKey | None:
    """Make a key useless from the next request on; None where somebody did so before."""
    row = await connection.execute(_REVOKE, {"id": key_id})
    return next((ApiKey(**each) for each in row.mappings()), None)


async def recognize_api_key(connection: AsyncConnection, key_hash: str) -> UUID | None:
    """Return whose key this is, or None where it is nobody's or was revoked.

    Looking up a hash tells nobody, by the time it takes, how much of a key was right.
    """
    organization_id: UUID | None = await connection.scalar(_RECOGNIZE, {"key_hash": key_hash})
    return organization_id
