"""Relay and workers see every organization, and do only what the engine does."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from fixlify.storage.database import Database
from tests.integration.row_security.companies import (
    ENGINE_WRITABLE,
    SHARED,
    TABLES,
    Company,
    owner_of,
    refused,
)


class TestTheEngine:
    """Relay and workers see every organization, and do only what the engine does."""

    @staticmethod
    async def run(database: Database, statement: str) -> Any:
        async with database.transaction() as connection:
            return await connection.execute(text(statement))

    @pytest.mark.parametrize("table", TABLES)
    async def test_it_reads_everything(
        self, engine: Database, ours: Company, theirs: Company, table: str
    ) -> None:
        rows = await self.run(engine, f"SELECT DISTINCT {owner_of(table)} FROM {table}")
        shared = {None} if table in SHARED else set()
        assert set(rows.scalars()) == {ours.id, theirs.id} | shared

    @pytest.mark.parametrize("table", TABLES)
    async def test_it_deletes_only_what_can_be_made_again(
        self, engine: Database, table: str
    ) -> None:
        statements = [f"TRUNCATE {table}"]
        if "DELETE" not in ENGINE_WRITABLE.get(table, ()):
            statements.append(f"DELETE FROM {table}")
        for statement in statements:
            with refused(by="permission denied"):
                await self.run(engine, statement)

    @pytest.mark.parametrize("table", sorted(set(TABLES) - set(ENGINE_WRITABLE)))
    async def test_it_writes_no_business_rows_and_no_definitions(
        self, engine: Database, table: str
    ) -> None:
        """An engine that cannot write a job cannot set itself off."""
        column = owner_of(table)
        for statement in (
            f"INSERT INTO {table} DEFAULT VALUES",
            f"UPDATE {table} SET {column} = {column}",
        ):
            with refused(by="permission denied"):
                await self.run(engine, statement)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE automation_events SET data = '{}'",
            "UPDATE automation_events SET organization_id = NULL",
            "UPDATE api_keys SET revoked_at = NULL",
            "UPDATE api_requests SET response = '{}'",
            "UPDATE automation_stops SET reason = 'x'",
        ],
    )
    async def test_it_does_not_change_what_is_recorded(
        self, engine: Database, statement: str
    ) -> None:
        with refused(by="permission denied"):
            await self.run(engine, statement)

    async def test_it_may_say_what_became_of_an_event(
        self, engine: Database, ours: Company
    ) -> None:
        first = (await ours.office.events())[0]
        await self.run(
            engine, f"UPDATE automation_events SET outcome = 'x' WHERE id = {first['id']}"
        )
        assert (await ours.office.events())[0]["outcome"] == "x"

    async def test_it_may_say_when_a_key_was_used(self, engine: Database, ours: Company) -> None:
        await self.run(
            engine,
            f"UPDATE api_keys SET last_used_at = now() WHERE organization_id = '{ours.id}'",
        )
        (key,) = await ours.office.query(
            "SELECT last_used_at FROM api_keys WHERE organization_id = %s", ours.id
        )
        assert key["last_used_at"] is not None
