"""Numbers that a provider refuses because their owners told it STOP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.storage.consent.records import record_consent
from fixlify.storage.consent.suppressions import suppress
from fixlify.storage.messages.entering import Channel

PROVIDER_SOURCE: Final = "twilio"
"""Who says so: the provider, which heard it before us."""
_REASON: Final = "opted out at the provider"


async def suppress_opted_out(
    connection: AsyncConnection,
    organization_id: UUID,
    address: str,
    *,
    evidence: Mapping[str, Any],
    client_id: UUID | None = None,
) -> bool:
    """Let no more text messages go to *address*, which the provider refuses (error 21610).

    Called again it changes nothing, and keeps no second evidence.

    Args:
        address: In E.164.
        evidence: What the provider said, such as its error code and its id of the message.
        client_id: Whose number it is, where that is known.

    Returns:
        Whether that is news.
    """
    said_at = datetime.now(UTC)
    is_new = await suppress(
        connection,
        organization_id,
        Channel.SMS,
        address,
        reason=_REASON,
        source=PROVIDER_SOURCE,
        at=said_at,
    )
    if is_new:
        await record_consent(
            connection,
            organization_id,
            client_id=client_id,
            channel=Channel.SMS,
            message_class=None,
            address=address,
            wants=False,
            source=PROVIDER_SOURCE,
            evidence=evidence,
            said_at=said_at,
        )
    return is_new
