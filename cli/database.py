"""What a command says when the database does not do what it asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError

from fixlify.domain.errors import ConfigurationError
from fixlify.storage.database import Role

_UNDEFINED: Final = frozenset({"42P01", "42703", "42883", "3F000"})
"""SQLSTATEs of a table, column, function or schema that is not there."""
_NOT_ALLOWED: Final = "42501"


@contextmanager
def explained_database_errors() -> Iterator[None]:
    """Turn what the database reports in this block into a sentence and the next step.

    Raises:
        ConfigurationError: In place of every error of the database.
    """
    try:
        yield
    except DBAPIError as error:
        raise ConfigurationError(_explain(error)) from error


def _explain(error: DBAPIError) -> str:
    state = getattr(error.orig, "sqlstate", None)
    said = database_words(error)
    if state in _UNDEFINED or any(f'role "{role}"' in said for role in Role):
        return f"the database is not at the newest schema ({said}); run `fixlify migrate`"
    if state == _NOT_ALLOWED:
        return f"the database refused ({said}); run `fixlify migrate` as the owner of its tables"
    if state is None:
        return f"the database cannot be reached: {said}\nCheck FIXLIFY_DATABASE_URL, or start it."
    return f"the database failed: {said}"


def database_words(error: BaseException) -> str:
    """Return the first line of what the server or driver said, without statement and values."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return str(original).partition("\n")[0].strip()
