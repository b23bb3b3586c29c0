"""Every trigger: estimates, payments, tasks and texts; schedules, stops and the API's keys.

Revision: 0002

The new row triggers replace those of 0001 in one transaction, so no write goes unrecorded.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Run the parts in order; one transaction around them is Alembic's."""
    # The driver's own execute takes several statements at once, and no parameters.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None, "a migration has a live connection"  # noqa: S101
    for part in ("tables", "triggers", "security", "monitoring"):
        connection.execute((_SQL / f"0002_{part}.sql").read_text(encoding="utf-8"))
