"""Look at the row triggers: without them what happens goes unnoticed."""

from __future__ import annotations

from collections.abc import Mapping, Set
from types import MappingProxyType
from typing import Any, Final

import psycopg

from cli.checks.findings import Finding, failed, ok, warning

TRIGGERS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "jobs": frozenset({"fixlify_job_recorded", "fixlify_job_status_rewritten"}),
        "clients": frozenset({"fixlify_client_recorded"}),
        "estimates": frozenset({"fixlify_estimate_recorded"}),
        "invoices": frozenset({"fixlify_invoice_recorded"}),
        "payments": frozenset({"fixlify_payment_recorded"}),
        "tasks": frozenset({"fixlify_task_recorded"}),
        "inbound_messages": frozenset({"fixlify_inbound_message_recorded"}),
        "automation_events": frozenset({"fixlify_event_recorded"}),
        "automation_workflows": frozenset({"fixlify_automation_activated"}),
        "messages": frozenset({"fixlify_message_moved"}),
    }
)
"""The triggers that migrations make, by table."""

_CHECK: Final = "database.triggers"
_MIGRATE: Final = "Run `fixlify migrate`."
_STANDING: Final = """
    SELECT wanted.name, c.relkind::text, t.tgname, t.tgenabled::text
    FROM unnest(%s::text[]) AS wanted (name)
    LEFT JOIN pg_class c ON c.oid = to_regclass(wanted.name)
    LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
"""


async def check_triggers(connection: psycopg.AsyncConnection[Any]) -> Finding:
    """Look at every trigger on every table that has some."""
    cursor = await connection.execute(_STANDING.encode(), [list(TRIGGERS)])
    rows = await cursor.fetchall()
    kinds = {table: kind for table, kind, _, _ in rows}
    if absent := sorted(table for table, kind in kinds.items() if kind is None):
        return failed(_CHECK, f"there is no table '{absent[0]}'", _MIGRATE)
    views = sorted(table for table, kind in kinds.items() if kind == "v")
    present = {(table, name) for table, _, name, _ in rows}
    # 'O' fires for ordinary writes and 'A' always; 'D' is off and 'R' for replicas only.
    firing = {(table, name) for table, _, name, enabled in rows if enabled in ("O", "A")}
    wanted = {(table, name) for table in set(TRIGGERS) - set(views) for name in TRIGGERS[table]}
    if missing := wanted - present:
        return failed(
            _CHECK,
            f"missing on {_by_table(missing)}",
            "Somebody dropped them; create them again as in the newest migration.",
        )
    if silent := wanted - firing:
        table, name = min(silent)
        return failed(
            _CHECK,
            f"disabled on {_by_table(silent)}; changes go unnoticed",
            f"ALTER TABLE {table} ENABLE TRIGGER {name};",
        )
    if views:
        names = ", ".join(f"'{view}'" for view in views)
        return warning(
            _CHECK,
            f"{names} {'is a view' if len(views) == 1 else 'are views'}, so the triggers are on "
            "tables this does not know",
            "Make sure that the tables behind have them; see docs/connect.md.",
        )
    return ok(_CHECK, f"{len(wanted)} on {len(TRIGGERS)} tables, enabled")


def _by_table(triggers: Set[tuple[str, str]]) -> str:
    """Return ``jobs: a, b; tasks: c``."""
    tables = sorted({table for table, _ in triggers})
    return "; ".join(
        f"{table}: {', '.join(sorted(name for where, name in triggers if where == table))}"
        for table in tables
    )
