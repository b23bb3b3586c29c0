"""The first tables, their row triggers, the two roles and the monitoring views.

Revision: 0001
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Run the four parts in order; one transaction around them is Alembic's."""
    # The driver's own execute takes several statements at once, and no parameters.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None, "a migration has a live connection"  # noqa: S101
    for part in ("tables", "triggers", "security", "monitoring"):
        connection.execute((_SQL / f"0001_{part}.sql").read_text(encoding="utf-8"))
