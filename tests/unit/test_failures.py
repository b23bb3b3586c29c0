"""A database that is away is waited for; data that cannot be stored is not."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import DBAPIError, ResourceClosedError

from fixlify.storage.failures import blames_the_data, cause_of


def wrapped(cause: psycopg.Error) -> DBAPIError:
    """Return *cause* as SQLAlchemy raises it."""
    error = DBAPIError.instance("SELECT 1", {}, cause, psycopg.Error)
    assert isinstance(error, DBAPIError)
    return error


@pytest.mark.parametrize(
    "cause",
    [
        errors.NumericValueOutOfRange("x"),
        errors.InvalidTextRepresentation("x"),
        errors.ForeignKeyViolation("x"),
        errors.UniqueViolation("x"),
        errors.CardinalityViolation("x"),
        # A status too long for its index.
        errors.ProgramLimitExceeded("x"),
        # The driver's own: a moment beyond the year 9999.
        psycopg.DataError("timestamp too large (after year 10K)"),
    ],
)
def test_the_same_work_would_fail_again(cause: psycopg.Error) -> None:
    assert blames_the_data(wrapped(cause))


@pytest.mark.parametrize(
    "cause",
    [
        psycopg.OperationalError("connection refused"),
        psycopg.InterfaceError("the connection is closed"),
        errors.AdminShutdown("x"),
        errors.CannotConnectNow("x"),
        errors.IdleInTransactionSessionTimeout("x"),
        errors.TooManyConnections("x"),
        errors.DiskFull("x"),
        errors.OutOfMemory("x"),
        errors.QueryCanceled("x"),
        errors.DeadlockDetected("x"),
        errors.SerializationFailure("x"),
        errors.ReadOnlySqlTransaction("x"),
        # Not migrated, or not granted: put right by a person, and nothing is lost meanwhile.
        errors.UndefinedTable("x"),
        errors.InsufficientPrivilege("x"),
    ],
)
def test_it_passes_or_is_put_right(cause: psycopg.Error) -> None:
    assert not blames_the_data(wrapped(cause))


@pytest.mark.parametrize("error", [ValueError(), RecursionError(), ArithmeticError(), KeyError()])
def test_our_own_errors_would_happen_again(error: Exception) -> None:
    assert blames_the_data(error)


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError(), ResourceClosedError()])
def test_errors_of_connections_would_not(error: Exception) -> None:
    assert not blames_the_data(error)


def test_the_cause_is_named_without_the_data() -> None:
    assert cause_of(wrapped(errors.UniqueViolation("ada@example.com"))) == "UniqueViolation"
    assert cause_of(ValueError("ada@example.com")) == "ValueError"
