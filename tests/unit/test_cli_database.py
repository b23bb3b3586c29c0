"""What the database reports becomes a sentence with the next step."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from cli.database import explained_database_errors
from fixlify.domain.errors import ConfigurationError
from tests.command_line import CommandLine

STATEMENT, VALUES = "SELECT secret FROM messages WHERE recipient = %s", {"who": "ada@example.com"}


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OperationalError(
                STATEMENT,
                VALUES,
                psycopg.OperationalError(
                    'connection failed: connection to server at "127.0.0.1", port 5432 failed: '
                    'FATAL:  role "fixlify_app" does not exist'
                ),
            ),
            "run `fixlify migrate`",
        ),
        (
            ProgrammingError(
                STATEMENT,
                VALUES,
                psycopg.errors.UndefinedTable('relation "organizations" does not exist\nLINE 1'),
            ),
            'the database is not at the newest schema (relation "organizations" does not exist)',
        ),
        (
            ProgrammingError(STATEMENT, VALUES, psycopg.errors.InsufficientPrivilege("no rights")),
            "run `fixlify migrate` as the owner of its tables",
        ),
        (
            OperationalError(STATEMENT, VALUES, psycopg.OperationalError("Connection refused")),
            "the database cannot be reached: Connection refused\nCheck FIXLIFY_DATABASE_URL",
        ),
        (
            OperationalError(STATEMENT, VALUES, psycopg.errors.DiskFull("no space left")),
            "the database failed: no space left",
        ),
    ],
)
def test_an_error_says_what_to_do_and_nothing_about_people(error: DBAPIError, says: str) -> None:
    with pytest.raises(ConfigurationError) as explained, explained_database_errors():
        raise error
    assert says in str(explained.value)
    assert "ada@example.com" not in str(explained.value)
    assert "SELECT" not in str(explained.value)


def test_what_is_not_the_databases_is_left_alone() -> None:
    with pytest.raises(ZeroDivisionError), explained_database_errors():
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.DuplicateTable('relation "jobs" already exists'),
        OperationalError("SELECT 1", {}, Exception('relation "jobs" already exists')),
    ],
    ids=["of the driver", "of SQLAlchemy"],
)
def test_a_migration_that_fails_ends_as_a_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(url: str) -> None:
        raise error

    monkeypatch.setattr("cli.migrate.migrate_database", fail)
    said = CommandLine(FIXLIFY_DATABASE_URL="postgresql://me@127.0.0.1:1/db").fixlify("migrate")
    assert said.code == 1
    assert "could not be migrated: " in said.err
    assert 'relation "jobs" already exists' in said.err
