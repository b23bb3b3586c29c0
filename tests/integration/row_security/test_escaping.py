"""A login that was given the app role alone cannot become more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.database import Role
from tests.integration.row_security.companies import (
    Company,
)

PASSWORD = "only-in-this-test"


class TestEscaping:
    """A login that was given the app role alone cannot become more."""

    @pytest.fixture
    async def login(
        self, postgres: EmbeddedPostgres, url: str, theirs: Company
    ) -> AsyncIterator[psycopg.AsyncConnection[dict[str, Any]]]:
        """Connect as an API process does: its own user, which takes the app role."""
        name = f"api_{uuid4().hex[:8]}"
        await theirs.office.query(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        await theirs.office.query(f"GRANT fixlify_app TO {name}")
        database = url.rpartition("/")[2]
        connection = await psycopg.AsyncConnection.connect(
            postgres.dsn(database, user=name, password=PASSWORD),
            autocommit=True,
            row_factory=dict_row,
            options=f"-c role={Role.APP.value}",
        )
        async with connection:
            yield connection
        await theirs.office.query(f"DROP ROLE {name}")

    @pytest.mark.parametrize(
        "statement",
        [
            "SET ROLE fixlify_engine",
            "SET ROLE postgres",
            "SET SESSION AUTHORIZATION postgres",
            "SET session_replication_role = replica",
            "ALTER ROLE fixlify_app BYPASSRLS",
            "GRANT fixlify_engine TO fixlify_app",
            "CREATE TABLE public.mine (nothing int)",
            "CREATE SCHEMA mine",
            "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE OR REPLACE FUNCTION public.fixlify_current_organization() RETURNS uuid "
            "LANGUAGE sql AS 'SELECT NULL::uuid'",
            "COPY (SELECT 1) TO PROGRAM 'true'",
            "SELECT pg_read_file('/etc/passwd')",
        ],
    )
    async def test_what_is_not_given_cannot_be_taken(
        self, login: psycopg.AsyncConnection[dict[str, Any]], statement: str
    ) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await login.execute(statement.encode())

    @pytest.mark.parametrize("statement", ["RESET ROLE", "SET ROLE NONE", "RESET ALL"])
    async def test_giving_the_role_back_opens_nothing(
        self, login: psycopg.AsyncConnection[dict[str, Any]], statement: str
    ) -> None:
        await login.execute(statement.encode())
        rows = await (await login.execute("SELECT * FROM jobs")).fetchall()
        assert rows == []

    async def test_row_security_cannot_be_switched_off(
        self, login: psycopg.AsyncConnection[dict[str, Any]]
    ) -> None:
        await login.execute("SET row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await login.execute("SELECT * FROM jobs")

    async def test_a_function_of_ones_own_does_not_name_the_organization(
        self, login: psycopg.AsyncConnection[dict[str, Any]]
    ) -> None:
        await login.execute("SET search_path = pg_temp, public")
        rows = await (await login.execute("SELECT * FROM public.jobs")).fetchall()
        assert rows == []
