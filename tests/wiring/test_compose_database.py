"""The roles that the Compose stack's Postgres starts with suffice, and reach no further."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from sqlalchemy import text

from devstack.postgres import EmbeddedPostgres, find_binaries
from fixlify.storage.database import Database, Role
from fixlify.storage.migrations import migrate

SCRIPT = Path(__file__).parents[2] / "deploy/postgres/10-roles.sh"
# Quotes and blanks must survive the way into SQL.
FIXLIFY_PASSWORD = 'it\'s a "secret"'
TEMPORAL_PASSWORD = "another"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """A server of its own, after the script of the first start: roles belong to a whole server."""
    async with EmbeddedPostgres(tmp_path_factory.mktemp("compose"), durable=False) as started:
        with psycopg.connect(started.dsn(), autocommit=True) as connection:
            # The embedded stack's own, which the container does not have.
            connection.execute("DROP DATABASE fixlify")
        superuser = urlsplit(started.dsn())
        environment = {
            "PATH": f"{find_binaries()}:{os.environ['PATH']}",
            "PGHOST": str(superuser.hostname),
            "PGPORT": str(superuser.port),
            "PGPASSWORD": unquote(superuser.password or ""),
            "POSTGRES_USER": str(superuser.username),
            "FIXLIFY_DB_PASSWORD": FIXLIFY_PASSWORD,
            "TEMPORAL_DB_PASSWORD": TEMPORAL_PASSWORD,
        }
        script = await asyncio.create_subprocess_exec("sh", SCRIPT, env=environment)
        assert await script.wait() == 0
        yield started


async def test_the_engine_migrates_and_takes_both_roles(server: EmbeddedPostgres) -> None:
    """As the owner of its database, which is no superuser."""
    url = server.dsn("fixlify", user="fixlify", password=FIXLIFY_PASSWORD)
    await asyncio.to_thread(migrate, url)
    for role in Role:
        database = Database(url, role, pool_size=1)
        try:
            async with database.statement() as connection:
                assert await connection.scalar(text("SELECT current_user")) == role
        finally:
            await database.close()


def test_neither_role_is_a_superuser(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.dsn()) as connection:
        powers = connection.execute(
            "SELECT rolname, rolsuper OR rolcreatedb OR rolreplication OR rolbypassrls"
            " FROM pg_roles WHERE rolname IN ('fixlify', 'temporal') ORDER BY rolname"
        ).fetchall()
    assert powers == [("fixlify", False), ("temporal", False)]


def test_temporal_owns_its_two_databases(server: EmbeddedPostgres) -> None:
    for database in ("temporal", "temporal_visibility"):
        url = server.dsn(database, user="temporal", password=TEMPORAL_PASSWORD)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE of_mine ()")


def test_temporal_cannot_read_the_business(server: EmbeddedPostgres) -> None:
    url = server.dsn("fixlify", user="temporal", password=TEMPORAL_PASSWORD)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url)
