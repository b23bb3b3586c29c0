"""Look at where failed runs are told: whether anybody there still listens."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from cli.checks.findings import Finding, ok, warning

_DISABLED: Final = """
    SELECT o.name, w.disabled_reason
    FROM webhook_settings w JOIN organizations o ON o.id = w.organization_id
    WHERE w.disabled_at IS NOT NULL
    ORDER BY o.name
    LIMIT 4
"""
_LISTED: Final = 3


async def check_webhooks(connection: psycopg.AsyncConnection[Any]) -> Finding:
    """Look at every organization, with a connection that acts as the engine."""
    check = "database.webhooks"
    disabled = await (await connection.execute(_DISABLED.encode())).fetchall()
    if not disabled:
        return ok(check, "no failure webhook is disabled")
    told = [f"{name}: {reason}" for name, reason in disabled[:_LISTED]]
    if len(disabled) > _LISTED:
        told.append("and more")
    return warning(
        check,
        f"failed runs are told no more: {'; '.join(told)}",
        "`fixlify webhooks test` tries the address; `fixlify webhooks enable` tells it again.",
    )
