"""Real servers: one Postgres and one Temporal per test process, one database per test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from temporalio.client import Client

from devstack.mail import MailCatcher
from devstack.postgres import EmbeddedPostgres
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.storage.database import Database, Role
from fixlify.storage.migrations import migrate
from tests.office import Office

TEMPLATE = "fixlify_template"


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """A Postgres of this test process, with a migrated database to clone."""
    folder: Path = tmp_path_factory.mktemp("postgres")
    async with EmbeddedPostgres(folder, durable=False) as server:
        await _run_sql(server, f"CREATE DATABASE {TEMPLATE}")
        migrate(server.dsn(TEMPLATE))
        yield server


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a migrated database that only this test uses."""
    name = f"test_{uuid4().hex[:12]}"
    await _run_sql(postgres, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    yield postgres.dsn(name)
    await _run_sql(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def engine_database(database_url: str) -> AsyncIterator[Database]:
    """The test's database, as relay and workers see it."""
    database = Database(database_url, Role.ENGINE)
    yield database
    await database.close()


@pytest.fixture
async def app_database(database_url: str) -> AsyncIterator[Database]:
    """The test's database, as people and the API see it."""
    database = Database(database_url, Role.APP)
    yield database
    await database.close()


@pytest.fixture
async def office(database_url: str) -> AsyncIterator[Office]:
    """A company with a client, a technician and a way to write jobs as plain SQL."""
    async with await Office.open(database_url) as company:
        yield company


@pytest.fixture(scope="session")
async def temporal_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[EmbeddedTemporal]:
    """A Temporal server of this test process."""
    async with EmbeddedTemporal(tmp_path_factory.mktemp("temporal"), ui=False) as server:
        yield server


@pytest.fixture(scope="session")
async def temporal_client(temporal_server: EmbeddedTemporal) -> Client:
    """A client of that server."""
    return await temporal.connect(temporal_server.address, "default")


@pytest.fixture
async def mail() -> AsyncIterator[MailCatcher]:
    """A mail server that keeps what it gets."""
    async with MailCatcher() as catcher:
        yield catcher


@pytest.fixture
async def phone() -> AsyncIterator[SmsCatcher]:
    """A telephone company that keeps what it gets."""
    async with SmsCatcher() as catcher:
        yield catcher


async def _run_sql(server: EmbeddedPostgres, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(
        server.dsn("postgres"), autocommit=True
    ) as connection:
        await connection.execute(statement.encode())
