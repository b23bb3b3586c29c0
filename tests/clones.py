"""New databases, and emptied ones, for tests that share one or need several."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import psycopg

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.tables import Table


@asynccontextmanager
async def new_database(server: EmbeddedPostgres, template: str = "template0") -> AsyncIterator[str]:
    """Yield the URL of a new database, a copy of *template*; it is gone afterwards."""
    name = f"test_{uuid4().hex[:12]}"
    async with await psycopg.AsyncConnection.connect(
        server.dsn("postgres"), autocommit=True
    ) as connection:
        await connection.execute(
            f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY".encode()
        )
        try:
            yield server.dsn(name)
        finally:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def delete_everything(url: str) -> None:
    """Empty every table of ours; quicker than a new database."""
    tables = reversed(Table.metadata.sorted_tables)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "; ".join(f"DELETE FROM {table.name}" for table in tables).encode()
        )
