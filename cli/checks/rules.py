"""Look at the rules that protect clients: whether they can be read, and keep the nights quiet."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from pydantic import ValidationError

from cli.checks.findings import Finding, failed, ok, warning
from cli.output import counted
from fixlify.domain.rules import Rules

_CHECK: Final = "database.rules"

# Of whoever has something that may write to a client tonight.
_RULES: Final = """
    SELECT o.name, r.rules
    FROM organizations o LEFT JOIN automation_rules r ON r.organization_id = o.id
    WHERE EXISTS (
        SELECT FROM automation_workflows a WHERE a.organization_id = o.id AND a.status = 'active'
    )
    ORDER BY o.name, o.id
"""
_LISTED: Final = 3


async def check_rules(connection: psycopg.AsyncConnection[Any]) -> Finding:
    """Look at every organization with active automations, as the engine."""
    cursor = await connection.execute(_RULES.encode())
    unreadable: list[str] = []
    restless: list[str] = []
    for name, document in await cursor.fetchall():
        try:
            rules = Rules() if document is None else Rules.model_validate(document)
        except ValidationError:
            unreadable.append(name)
        else:
            if rules.quiet_hours is None:
                restless.append(name)
    if unreadable:
        return failed(
            _CHECK,
            f"cannot be read: those of {_first(unreadable)}; every message is held that is not "
            "urgent",
            "`fixlify rules show` says what is wrong, `fixlify rules apply FILE` stores others.",
        )
    if restless:
        return warning(
            _CHECK,
            f"no quiet hours: {_first(restless)}; a message may go in the middle of the night",
            "Write some, such as `quiet_hours: 21:00-08:00`; `fixlify rules apply FILE` stores "
            "them.",
        )
    return ok(_CHECK, "whoever has active automations has quiet hours")


def _first(names: list[str]) -> str:
    more = len(names) - _LISTED
    others = f" and {counted(more, 'other')}" if more > 0 else ""
    return ", ".join(names[:_LISTED]) + others
