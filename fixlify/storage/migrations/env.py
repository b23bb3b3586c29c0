"""Alembic's entry: one connection, one advisory lock, one transaction per migration."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from fixlify.storage.tables import Table

# Two processes may migrate at once (two containers starting): the second waits, then finds
# nothing left to do. Any constant will do; this one spells "fixlify" in ASCII, cut to 63 bits.
MIGRATION_LOCK = int.from_bytes(b"fixlify", "big")


def run() -> None:
    """Migrate over the connection that ``migrate()`` put into the configuration."""
    connection = context.config.attributes["connection"]
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=Table.metadata,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()


run()
