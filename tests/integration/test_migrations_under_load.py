"""A company that goes on working during a migration loses no write to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.errors import ConfigurationError
from fixlify.storage import migrations
from fixlify.storage.database import sqlalchemy_url
from fixlify.storage.migrations import migrate, newest_revision
from fixlify.storage.migrations.locking import take_tables
from tests.clones import new_database
from tests.engine import eventually

WAITING = "SELECT count(*) FROM pg_locks WHERE relation = %s::regclass AND NOT granted"
BY_THE_MIGRATION = WAITING + " AND mode = 'AccessExclusiveLock'"


@pytest.fixture
async def first_schema(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a database as the first release left it, with one job and its invoice."""
    async with new_database(postgres) as url:
        await asyncio.to_thread(_migrate_to_first, url)
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute(
                """
                WITH company AS (INSERT INTO organizations (name) VALUES ('N') RETURNING id),
                job AS (
                    INSERT INTO jobs (organization_id, id, status)
                    SELECT id, 'J-1', 'scheduled' FROM company
                )
                INSERT INTO invoices (organization_id, status) SELECT id, 'draft' FROM company
                """
            )
        yield url


def _migrate_to_first(url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(sqlalchemy_url(url))
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
    finally:
        engine.dispose()


async def _waits(connection: psycopg.AsyncConnection, statement: str, table: str) -> bool:
    cursor = await connection.execute(statement.encode(), [table])
    return await cursor.fetchone() != (0,)


@pytest.mark.parametrize(
    ("first", "then"),
    [("invoices", "jobs"), ("jobs", "invoices"), ("jobs", "automation_events")],
)
async def test_a_write_of_two_tables_ends_well_whichever_comes_first(
    first_schema: str, first: str, then: str
) -> None:
    """The write and the migration each have what the other wants next; the write must not lose."""
    connect = psycopg.AsyncConnection.connect
    change = "UPDATE {} SET organization_id = organization_id"
    async with (
        await connect(first_schema) as writer,
        await connect(first_schema, autocommit=True) as observer,
    ):
        await writer.execute(change.format(first).encode())
        migrating = asyncio.create_task(asyncio.to_thread(migrate, first_schema))
        await eventually(lambda: _waits(observer, BY_THE_MIGRATION, first))
        await writer.execute(change.format(then).encode())
        await writer.commit()
        assert (await migrating).after == newest_revision()


async def test_writes_get_their_turn_while_a_table_is_in_use_for_long(first_schema: str) -> None:
    """A report that takes an hour must not keep everybody waiting behind the migration."""
    connect = psycopg.AsyncConnection.connect
    async with (
        await connect(first_schema) as report,
        await connect(first_schema, autocommit=True) as writer,
        await connect(first_schema, autocommit=True) as observer,
    ):
        await report.execute("SELECT * FROM jobs")
        migrating = asyncio.create_task(asyncio.to_thread(migrate, first_schema))
        await eventually(lambda: _waits(observer, BY_THE_MIGRATION, "jobs"))
        await writer.execute("UPDATE jobs SET status = 'completed'")
        assert not migrating.done()
        await report.commit()
        assert (await migrating).after == newest_revision()


async def test_tables_that_are_never_free_are_given_up(database_url: str) -> None:
    engine = create_engine(sqlalchemy_url(database_url))
    try:
        async with await psycopg.AsyncConnection.connect(database_url) as report:
            await report.execute("SELECT * FROM jobs")
            with engine.begin() as connection:
                taking = asyncio.to_thread(
                    take_tables, connection, ["clients", "jobs"], timedelta()
                )
                with pytest.raises(ConfigurationError, match="in use without a pause"):
                    await taking
                # Nothing stays taken, so that nobody waits for what is not done.
                await report.execute("UPDATE clients SET first_name = 'Ada'")
    finally:
        engine.dispose()
