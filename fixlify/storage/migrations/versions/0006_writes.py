"""Writes: recording costs a business write little, and lets nobody wait for another.

Revision: 0006
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

from fixlify.storage.migrations.locking import take_tables

revision = "0006"
down_revision = "0005"

_SQL = Path(__file__).parent.parent / "sql"
_CHANGED = ("automation_events",)


def upgrade() -> None:
    """Run it in one go; the transaction around it is Alembic's."""
    take_tables(op.get_bind(), _CHANGED)
    # The driver's own execute takes several statements at once, and no parameters.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None, "a migration has a live connection"  # noqa: S101
    connection.execute((_SQL / "0006_writes.sql").read_text(encoding="utf-8"))
