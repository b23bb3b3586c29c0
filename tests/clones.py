"""Databases cloned from the migrated template, for tests that share one or need several."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import psycopg

from devstack.postgres import EmbeddedPostgres


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
