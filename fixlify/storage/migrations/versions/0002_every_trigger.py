"""Every trigger: estimates, payments, tasks and texts; schedules, stops and the API's keys.

Revision: 0002

The new row triggers replace those of 0001 in one transaction, so no write goes unrecorded.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

from fixlify.storage.migrations.locking import take_tables

revision = "0002"
down_revision = "0001"

_SQL = Path(__file__).parent.parent / "sql"
# Those it alters, and those its new tables refer to.
_CHANGED = (
    "organizations",
    "profiles",
    "clients",
    "jobs",
    "invoices",
    "automation_workflows",
    "automation_events",
    "automation_execution_logs",
    "messages",
    "automation_schedules",
    "automation_analytics",
    "automation_cron_status",
    "automation_system_health",
)


def upgrade() -> None:
    """Run the parts in order; one transaction around them is Alembic's."""
    take_tables(op.get_bind(), _CHANGED)
    # The driver's own execute takes several statements at once, and no parameters.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None, "a migration has a live connection"  # noqa: S101
    for part in ("tables", "triggers", "security", "monitoring"):
        connection.execute((_SQL / f"0002_{part}.sql").read_text(encoding="utf-8"))
