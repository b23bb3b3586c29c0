"""Bringing a database to the newest schema."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from fixlify.storage.database import sqlalchemy_url


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
    engine = create_engine(sqlalchemy_url(url))
    try:
        with engine.connect() as connection:
            before = MigrationContext.configure(connection).get_current_revision()
            connection.rollback()
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            after = MigrationContext.configure(connection).get_current_revision()
            return Migration(before, after)
    finally:
        engine.dispose()


def newest_revision() -> str | None:
    """Return the revision this code was written for."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
