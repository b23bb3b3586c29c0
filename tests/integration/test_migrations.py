"""Any database comes to the newest schema, whoever migrates it and however often."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.database import Database, Role, sqlalchemy_url
from fixlify.storage.events import claim_events, mark_processed
from fixlify.storage.migrations import MIGRATION_LOCK, Migration, migrate, newest_revision
from fixlify.storage.tables import Table
from tests.clones import new_database
from tests.engine import eventually
from tests.office import Office

OWNER = "fixlify_owner"
PASSWORD = "only-in-this-test"
NEWEST = newest_revision()
MIGRATE = "import sys; from fixlify.storage.migrations import migrate; print(migrate(sys.argv[1]))"


@pytest.fixture
async def empty(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a database with nothing in it."""
    async with new_database(postgres) as url:
        yield url


def execute(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def everything_in(url: str) -> list[Any]:
    """Return the name of every relation, function and trigger in the schema."""
    return execute(
        url,
        """
        SELECT 'relation', relname::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT 'function', proname::text FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
        UNION ALL
        SELECT 'trigger', tgname::text FROM pg_trigger WHERE NOT tgisinternal
        ORDER BY 1, 2
        """,
    )


async def test_an_empty_database_comes_to_the_newest_schema(empty: str) -> None:
    assert migrate(empty) == Migration(before=None, after=NEWEST)
    assert {name for kind, name in everything_in(empty) if kind == "relation"} > set(
        Table.metadata.tables
    )


async def test_a_second_run_changes_nothing(empty: str) -> None:
    migrate(empty)
    before = everything_in(empty)
    assert migrate(empty) == Migration(before=NEWEST, after=NEWEST)
    assert everything_in(empty) == before


async def test_data_survives_a_second_run(empty: str) -> None:
    migrate(empty)
    execute(empty, "INSERT INTO organizations (name) VALUES ('Northwind Heating')")
    migrate(empty)
    assert execute(empty, "SELECT name FROM organizations") == [("Northwind Heating",)]


async def test_several_processes_may_migrate_one_database_at_once(empty: str) -> None:
    """Two containers start; one works, the other waits and finds nothing left to do."""
    migrations = await migrate_at_once(empty, empty)
    assert sorted(migrations) == sorted(
        [str(Migration(before=None, after=NEWEST)), str(Migration(before=NEWEST, after=NEWEST))]
    )
    assert execute(empty, "SELECT count(*) FROM alembic_version") == [(1,)]


async def test_a_migration_that_fails_leaves_nothing_behind(empty: str) -> None:
    execute(empty, "CREATE VIEW messages AS SELECT 1 AS already_taken")
    before = everything_in(empty)
    with pytest.raises(Exception, match='relation "messages" already exists'):
        migrate(empty)
    assert [each for each in everything_in(empty) if not each[1].startswith("alembic")] == before

    execute(empty, "DROP VIEW messages")
    assert migrate(empty).after == NEWEST


async def test_the_models_are_the_schema(database_url: str) -> None:
    engine = create_engine(sqlalchemy_url(database_url))
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": True}
            )
            assert compare_metadata(context, Table.metadata) == []
    finally:
        engine.dispose()


async def test_the_models_name_every_check_as_the_schema_does(database_url: str) -> None:
    """Alembic does not compare checks."""
    checks = execute(
        database_url,
        "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'c' AND connamespace = 'public'::regnamespace",
    )
    expected = {
        str(constraint.name): str(constraint.sqltext)
        for table in Table.metadata.tables.values()
        for constraint in table.constraints
        if hasattr(constraint, "sqltext")
    }
    assert {name for name, _ in checks} == set(expected)
    for name, definition in checks:
        for status in expected[name].partition("(")[2].strip(")").split(", "):
            assert status in definition, name
        if " IN (" in expected[name]:
            assert definition.count("::text") == expected[name].count(",") + 1, name


class TestOnAServerThatNeverSawUs:
    """Roles belong to the server; whoever migrates first makes them."""

    @pytest.fixture
    async def server(self, tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
        """A server without our roles."""
        async with EmbeddedPostgres(tmp_path, durable=False) as server:
            yield server

    async def test_two_databases_may_be_migrated_at_once(self, server: EmbeddedPostgres) -> None:
        async with new_database(server) as one, new_database(server) as other:
            migrations = await migrate_at_once(one, other)
            assert migrations == [str(Migration(before=None, after=NEWEST))] * 2

    async def test_an_owner_who_may_create_roles_is_enough(self, server: EmbeddedPostgres) -> None:
        """No superuser is needed, as on a managed Postgres; and the owner can take both roles."""
        async with owned_database(server, "CREATEROLE") as url:
            assert migrate(url).after == NEWEST
            assert migrate(url).before == NEWEST
            await both_roles_work(url)

    async def test_an_owner_who_may_not_create_roles_is_given_them(
        self, server: EmbeddedPostgres
    ) -> None:
        async with owned_database(server, "NOCREATEROLE") as url:
            with pytest.raises(Exception, match="permission denied to create role"):
                migrate(url)
            for role in Role:
                execute(server.dsn(), f"CREATE ROLE {role.value} NOLOGIN")
                execute(server.dsn(), f"GRANT {role.value} TO {OWNER}")
            assert migrate(url).after == NEWEST
            await both_roles_work(url)


async def migrate_at_once(here: str, elsewhere: str) -> list[str]:
    """Migrate in this process and in another, both let go at once; return what each did."""
    lock = f"SELECT pg_advisory_lock({MIGRATION_LOCK})"
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    async with AsyncExitStack() as holding:
        for url in {here, elsewhere}:
            connection = await holding.enter_async_context(
                await psycopg.AsyncConnection.connect(url, autocommit=True)
            )
            await connection.execute(lock.encode())
        # Alembic works on one database at a time in one process.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", MIGRATE, elsewhere, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        thread = asyncio.create_task(asyncio.to_thread(migrate, here))

        async def both_are_waiting() -> bool:
            cursor = await connection.execute(waiting)
            return await cursor.fetchone() == (2,)

        await eventually(both_are_waiting)
    migration = await thread
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return [str(migration), output.decode().strip()]


@asynccontextmanager
async def owned_database(server: EmbeddedPostgres, rights: str) -> AsyncIterator[str]:
    """Yield the URL of an empty database, as an ordinary user who owns it and has *rights*."""
    execute(server.dsn(), f"CREATE ROLE {OWNER} LOGIN {rights} PASSWORD '{PASSWORD}'")
    async with new_database(server) as url:
        name = url.rpartition("/")[2]
        execute(server.dsn(), f"ALTER DATABASE {name} OWNER TO {OWNER}")
        yield server.dsn(name, user=OWNER, password=PASSWORD)


async def both_roles_work(url: str) -> None:
    """Write as the owner and the app role, relay as the engine role."""
    async with await Office.open(url) as office:
        await office.add_job()
        app, engine = Database(url, Role.APP), Database(url, Role.ENGINE)
        try:
            async with app.organization(office.organization_id) as connection:
                await connection.execute(text("UPDATE jobs SET status = 'completed'"))
            async with engine.transaction() as connection:
                claimed = await claim_events(connection, 10)
                assert {event.after for event in claimed.events} >= {"scheduled", "completed"}
                await mark_processed(connection, {event.id: "x" for event in claimed.events})
        finally:
            await app.close()
            await engine.close()
