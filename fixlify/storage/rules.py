"""An organization's rules for messages to its clients."""

from __future__ import annotations

import json
from typing import Final
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.errors import RulesUnreadableError
from fixlify.domain.problems import explain
from fixlify.domain.rules import Rules

_LOAD: Final = text("SELECT rules FROM automation_rules WHERE organization_id = :organization_id")

_STORE: Final = text("""
    INSERT INTO automation_rules (organization_id, rules)
    VALUES (:organization_id, CAST(:rules AS jsonb))
    ON CONFLICT (organization_id)
    DO UPDATE SET rules = excluded.rules, updated_at = clock_timestamp()
""")

_CLEAR: Final = text("DELETE FROM automation_rules WHERE organization_id = :organization_id")


async def load_rules(connection: AsyncConnection, organization_id: UUID) -> Rules:
    """Return the rules of one organization; without a row those that allow everything.

    Raises:
        RulesUnreadableError: The row is there and makes no sense. Nobody knows then what it
            was to protect from, so nothing may go that a rule could bind.
    """
    found = await connection.execute(_LOAD, {"organization_id": organization_id})
    row = found.one_or_none()
    if row is None:
        return Rules()
    try:
        return Rules.model_validate(row.rules)
    except ValidationError as error:
        raise RulesUnreadableError(explain(Rules, error)) from error


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
