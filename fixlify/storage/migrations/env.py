"""Alembic's entry: one connection, one transaction per migration."""

from __future__ import annotations

from alembic import context

from fixlify.storage.tables import Table


def run() -> None:
    """Migrate over the connection that ``migrate()`` put into the configuration."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Table.metadata,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
