"""Telling a database that is away from data that it, or we, cannot take."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

# SQLSTATE classes that blame the data; 54 is a limit, such as a status too long for an index.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_DATA_ERRORS: Final = ("21", "22", "23", "54")


def blames_the_data(error: Exception) -> bool:
    """Whether the same work would fail again on a database in perfect health.

    False for everything about connections, rights, time-outs and missing tables: those pass,
    or are put right, and nothing is lost by waiting.
    """
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        return isinstance(error, DataError | IntegrityError) or state.startswith(_DATA_ERRORS)
    return not isinstance(error, SQLAlchemyError | OSError)


def cause_of(error: Exception) -> str:
    """Return what to call *error* in a record: the type of its cause, nothing of the data."""
    return type(error.orig if isinstance(error, DBAPIError) else error).__name__
