"""An organization's rules for messages to its clients, and what is asked to apply them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.errors import RulesUnreadableError
from fixlify.domain.problems import explain
from fixlify.domain.rules import MessageClass, Rules, Sent
from fixlify.storage.taken import TAKEN


@dataclass(frozen=True, slots=True)
class StoredRules:
    """The rules an organization has written, and when it last did."""

    rules: Rules
    updated_at: datetime


_LOAD: Final = text("""
    SELECT rules, updated_at FROM automation_rules WHERE organization_id = :organization_id
""")

_STORE: Final = text("""
    INSERT INTO automation_rules (organization_id, rules)
    VALUES (:organization_id, CAST(:rules AS jsonb))
    ON CONFLICT (organization_id)
    DO UPDATE SET rules = excluded.rules, updated_at = clock_timestamp()
""")

_CLEAR: Final = text("DELETE FROM automation_rules WHERE organization_id = :organization_id")

_ZONE_OF: Final = text("""
    SELECT time_zone FROM clients WHERE organization_id = :organization_id AND id = :client_id
""")

# One that nobody knows the fate of may have arrived.
_SENT_TO: Final = text(f"""
    SELECT sending_at AS at, channel, message_class FROM messages
    WHERE organization_id = :organization_id AND recipient_id = :client_id
      AND recipient_kind = 'client' AND sending_at > :since
      AND status IN ('sending', 'unknown', {TAKEN})
""")  # noqa: S608 - a constant


async def find_rules(connection: AsyncConnection, organization_id: UUID) -> StoredRules | None:
    """Return what one organization has written, or None where it never did.

    Raises:
        RulesUnreadableError: The row is there and makes no sense. Nobody knows then what it
            was to protect from, so nothing may go that a rule could bind.
    """
    found = await connection.execute(_LOAD, {"organization_id": organization_id})
    row = found.one_or_none()
    if row is None:
        return None
    try:
        return StoredRules(Rules.model_validate(row.rules), row.updated_at)
    except ValidationError as error:
        raise RulesUnreadableError(explain(Rules, error)) from error


async def load_rules(connection: AsyncConnection, organization_id: UUID) -> Rules:
    """Return the rules of one organization; those that allow everything where it wrote none.

    Raises:
        RulesUnreadableError: As for ``find_rules``.
    """
    stored = await find_rules(connection, organization_id)
    return stored.rules if stored else Rules()


async def store_rules(connection: AsyncConnection, organization_id: UUID, rules: Rules) -> None:
    """Make *rules* those of the organization, in place of any it had."""
    document = rules.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    await connection.execute(
        _STORE, {"organization_id": organization_id, "rules": json.dumps(document)}
    )


async def clear_rules(connection: AsyncConnection, organization_id: UUID) -> bool:
    """Forget the rules of the organization; whether there were any."""
    cleared = await connection.execute(_CLEAR, {"organization_id": organization_id})
    return cleared.rowcount > 0


async def find_zone(
    connection: AsyncConnection, organization_id: UUID, client_id: UUID
) -> str | None:
    """Return the time zone that stands with a client, ``""`` for none; None without the client."""
    row = (
        await connection.execute(
            _ZONE_OF, {"organization_id": organization_id, "client_id": client_id}
        )
    ).one_or_none()
    return None if row is None else row.time_zone or ""


async def list_sent(
    connection: AsyncConnection, organization_id: UUID, client_id: UUID, since: datetime
) -> list[Sent]:
    """Return what a client got since *since*, in no order: what caps count."""
    rows = await connection.execute(
        _SENT_TO, {"organization_id": organization_id, "client_id": client_id, "since": since}
    )
    return [Sent(row.at, row.channel, MessageClass(row.message_class)) for row in rows]
