"""Delivery: legal transitions with their causes, provider reports, templates, channel limits.

Revision: 0004
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

from fixlify.storage.migrations.locking import take_tables

revision = "0004"
down_revision = "0003"

_SQL = Path(__file__).parent.parent / "sql"
# Those it alters, and those its new tables refer to.
_CHANGED = ("organizations", "clients", "inbound_messages", "messages")


def upgrade() -> None:
    """Run the parts in order; one transaction around them is Alembic's."""
    take_tables(op.get_bind(), _CHANGED)
    # The driver's own execute takes several statements at once, and no parameters.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None, "a migration has a live connection"  # noqa: S101
    for part in ("tables", "ledger", "security"):
        connection.execute((_SQL / f"0004_{part}.sql").read_text(encoding="utf-8"))
