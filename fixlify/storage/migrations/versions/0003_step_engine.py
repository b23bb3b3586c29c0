"""The step engine: waiting runs that hear, chains, rules, consent, actions, webhooks.

Revision: 0003
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

from fixlify.storage.migrations.locking import take_tables

revision = "0003"
down_revision = "0002"

_SQL = Path(__file__).parent.parent / "sql"
# Those it alters, and those its new tables refer to.
_CHANGED = (
    "organizations",
    "profiles",
    "clients",
    "jobs",
    "estimates",
    "invoices",
    "tasks",
    "automation_workflows",
    "automation_workflow_versions",
    "automation_events",
    "automation_execution_logs",
    "automation_step_logs",
    "messages",
)


def upgrade() -> None:
    """Run the parts in order; one transaction around them is Alembic's."""
    take_tables(op.get_bind(), _CHANGED)
    # The driver's own execute takes several statements at once, and no parameters.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None, "a migration has a live connection"  # noqa: S101
    for part in ("chains", "tables", "hearing", "security"):
        connection.execute((_SQL / f"0003_{part}.sql").read_text(encoding="utf-8"))
