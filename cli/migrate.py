"""fixlify migrate."""

from __future__ import annotations

import click
import psycopg
from sqlalchemy.exc import SQLAlchemyError

from cli.environment import settings_of_this_process
from cli.output import console, json_option, print_json
from fixlify.domain.errors import ConfigurationError
from fixlify.storage.migrations import migrate as migrate_database


@click.command()
@json_option
def migrate(as_json: bool) -> None:
    """Bring the database to the newest schema.

    Safe to run twice, and by two processes at once.
    """
    url = settings_of_this_process().database_url.get_secret_value()
    try:
        # The scripts of a migration run on the driver itself, so its errors come out bare.
        migration = migrate_database(url)
    except (SQLAlchemyError, psycopg.Error) as error:
        raise ConfigurationError(
            f"the database could not be migrated: {str(error).partition(chr(10))[0]}\n"
            "Check FIXLIFY_DATABASE_URL, and that its user may create tables and roles."
        ) from error
    changed = migration.before != migration.after
    if as_json:
        print_json({"before": migration.before, "after": migration.after, "changed": changed})
    elif changed:
        console.print(f"Migrated from {migration.before or 'nothing'} to {migration.after}.")
    else:
        console.print(f"Already at {migration.after}; nothing to do.")
