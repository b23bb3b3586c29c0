"""Taking the tables a migration changes, without harm to whoever writes them meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from fixlify.domain.errors import ConfigurationError

# Shorter than the second after which Postgres looks for deadlocks, and may end the business's
# write rather than the migration.
ATTEMPT: Final = timedelta(milliseconds=500)
# Writes that wait behind an attempt get their turn before the next one.
PAUSE: Final = timedelta(milliseconds=100)
PATIENCE: Final = timedelta(minutes=2)

_IN_USE: Final = (
    psycopg.errors.QueryCanceled,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
)


def take_tables(
    connection: Connection, names: Sequence[str], patience: timedelta = PATIENCE
) -> None:
    """Lock the tables *names* until the transaction ends: all of them together, or none yet.

    A migration that took them one by one would hold some while it waits for others, and whoever
    writes in another order would wait for it in turn. So it lets go of all, and tries again.

    Raises:
        ConfigurationError: For as long as *patience* they were never free at the same time.
    """
    deadline = time.monotonic() + patience.total_seconds()
    limit = connection.scalar(text("SHOW statement_timeout"))
    while True:
        try:
            with connection.begin_nested():
                _limit_statements(connection, f"{ATTEMPT // timedelta(milliseconds=1)}ms")
                connection.execute(text(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE"))
                _limit_statements(connection, limit)
        except DBAPIError as error:
            if not isinstance(error.orig, _IN_USE):
                raise
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    "the database's tables are in use without a pause, so nothing was migrated; "
                    "end the transactions that hold them (pg_stat_activity), and try again"
                ) from error
        else:
            return
        time.sleep(PAUSE.total_seconds())


def _limit_statements(connection: Connection, limit: str | None) -> None:
    connection.execute(
        text("SELECT set_config('statement_timeout', :limit, true)"), {"limit": limit}
    )
