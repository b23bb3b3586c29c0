"""An organization's webhooks: what they are signed with, and where it hears of failures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.webhooks import new_secret


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Where an organization hears of failures; None without an address.

    ``failing_since`` is when the first of the attempts failed since the last that did not.
    """

    failure_url: str | None = None
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None


_SECRET: Final = text("""
    SELECT secret FROM webhook_settings WHERE organization_id = :organization_id
""")

# Two may need the first secret at once; the first one's stands.
_MAKE_SECRET: Final = text("""
    INSERT INTO webhook_settings (organization_id, secret) VALUES (:organization_id, :secret)
    ON CONFLICT (organization_id) DO NOTHING
""")

_ROTATE_SECRET: Final = text("""
    INSERT INTO webhook_settings (organization_id, secret) VALUES (:organization_id, :secret)
    ON CONFLICT (organization_id) DO UPDATE
        SET secret = excluded.secret, updated_at = clock_timestamp()
""")

_FIND: Final = text("""
    SELECT failure_url, failing_since, disabled_at, disabled_reason
    FROM webhook_settings WHERE organization_id = :organization_id
""")

# The secret is for an organization that has none yet; one that is there stays.
_SET_FAILURE_URL: Final = text("""
    INSERT INTO webhook_settings (organization_id, secret, failure_url)
    VALUES (:organization_id, :secret, :failure_url)
    ON CONFLICT (organization_id) DO UPDATE
        SET failure_url = excluded.failure_url, failing_since = NULL, disabled_at = NULL,
            disabled_reason = NULL, updated_at = clock_timestamp()
""")

_CLEAR_FAILURE_URL: Final = text("""
    UPDATE webhook_settings
    SET failure_url = NULL, failing_since = NULL, disabled_at = NULL, disabled_reason = NULL,
        updated_at = clock_timestamp()
    WHERE organization_id = :organization_id
""")

_ENABLE: Final = text("""
    UPDATE webhook_settings
    SET failing_since = NULL, disabled_at = NULL, disabled_reason = NULL,
        updated_at = clock_timestamp()
    WHERE organization_id = :organization_id
""")


async def signing_secret(connection: AsyncConnection, organization_id: UUID) -> SecretStr:
    """Return what the organization's webhooks are signed with; made when first asked for.

    Needs the engine's rights: people may not read it.
    """
    found = await connection.scalar(_SECRET, {"organization_id": organization_id})
    if found is None:
        await connection.execute(
            _MAKE_SECRET, {"organization_id": organization_id, "secret": new_secret()}
        )
        found = await connection.scalar(_SECRET, {"organization_id": organization_id})
    return SecretStr(str(found))


async def rotate_secret(connection: AsyncConnection, organization_id: UUID) -> SecretStr:
    """Replace the secret, for every attempt from now on, and return the new one."""
    secret = new_secret()
    await connection.execute(_ROTATE_SECRET, {"organization_id": organization_id, "secret": secret})
    return SecretStr(secret)


async def find_settings(connection: AsyncConnection, organization_id: UUID) -> WebhookSettings:
    """Return where the organization hears of failures."""
    found = await connection.execute(_FIND, {"organization_id": organization_id})
    return next((WebhookSettings(**row) for row in found.mappings()), WebhookSettings())


async def set_failure_url(connection: AsyncConnection, organization_id: UUID, url: str) -> None:
    """Tell of failures at *url* from now on; what was held against the one before is forgotten."""
    await connection.execute(
        _SET_FAILURE_URL,
        {"organization_id": organization_id, "secret": new_secret(), "failure_url": url},
    )


async def clear_failure_url(connection: AsyncConnection, organization_id: UUID) -> None:
    """Tell nobody of failures any more."""
    await connection.execute(_CLEAR_FAILURE_URL, {"organization_id": organization_id})


async def enable_failure_url(connection: AsyncConnection, organization_id: UUID) -> None:
    """Tell of failures again, where that was disabled."""
    await connection.execute(_ENABLE, {"organization_id": organization_id})
