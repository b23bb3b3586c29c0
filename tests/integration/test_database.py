"""Connections act as their role, and give up what hangs."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fixlify.storage.database import Database, Role, libpq_url, sqlalchemy_url
from tests.engine import eventually


@pytest.mark.parametrize("role", list(Role))
async def test_every_connection_acts_as_its_role(database_url: str, role: Role) -> None:
    database = Database(database_url, role)
    try:
        for connect in (database.transaction, database.statement):
            async with connect() as connection:
                assert await connection.scalar(text("SELECT current_user")) == role.value
    finally:
        await database.close()


@pytest.mark.parametrize("setting", ["statement_timeout", "idle_in_transaction_session_timeout"])
async def test_nothing_holds_locks_for_ever(engine_database: Database, setting: str) -> None:
    """A frozen relay would otherwise keep the events and subjects it has taken."""
    async with engine_database.transaction() as connection:
        limit = await connection.scalar(
            text("SELECT setting::int FROM pg_settings WHERE name = :name"), {"name": setting}
        )
        assert 0 < limit <= 60_000


async def test_what_the_server_gives_up_loses_its_locks(engine_database: Database) -> None:
    lock = text("SELECT pg_try_advisory_xact_lock(7)")

    async def is_free() -> bool:
        async with engine_database.transaction() as other:
            return bool(await other.scalar(lock))

    async def hang() -> None:
        async with engine_database.transaction() as connection:
            await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '1ms'"))
            await connection.execute(lock)
            await eventually(is_free)
            await connection.execute(lock)

    with pytest.raises(DBAPIError, match="idle-in-transaction timeout"):
        await hang()
    assert await is_free()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h:5432/d?sslmode=require",
        "postgres://u:p@h:5432/d?sslmode=require",
        "postgresql+psycopg://u:p@h:5432/d?sslmode=require",
    ],
)
def test_every_spelling_of_a_url(url: str) -> None:
    assert sqlalchemy_url(url) == "postgresql+psycopg://u:p@h:5432/d?sslmode=require"
    assert libpq_url(sqlalchemy_url(url)) == "postgresql://u:p@h:5432/d?sslmode=require"
