"""Bringing a database to the newest schema."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, text

from fixlify.storage.database import sqlalchemy_url

# Two processes may migrate at once (two containers starting): the second waits, then finds
# nothing left to do. Any constant will do; this one spells "fixlify" in ASCII.
MIGRATION_LOCK: Final = int.from_bytes(b"fixlify", "big")


@dataclass(frozen=True, slots=True)
class Migration:
    """Which revision a database was at before, and is at now; None is an empty database."""

    before: str | None
    after: str | None


def migrate(url: str) -> Migration:
    """Bring the database at *url* to the newest schema; a second run changes nothing.

    Safe to run by several processes at once: an advisory lock lets one work while the
    others wait. The user in *url* must own the schema and may create roles.
    """
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            connection.commit()
            before = _revision(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            return Migration(before, _revision(connection))
            # The end of the connection, however it comes, gives the lock to the next.
    finally:
        engine.dispose()


def newest_revision() -> str | None:
    """Return the revision this code was written for."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _revision(connection: Connection) -> str | None:
    revision = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    return revision


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
