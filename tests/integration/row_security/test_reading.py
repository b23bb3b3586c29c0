"""One company cannot see what is another's."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from fixlify.storage.database import Database, Role
from tests.integration.row_security.companies import (
    SHARED,
    TABLES,
    VIEWS,
    Attacker,
    Company,
    owner_of,
    refused,
)

SHOWN_TO_ALL = {*SHARED, "automation_cron_status"}


class TestReading:
    """Every table and view shows our rows alone."""

    @pytest.mark.parametrize("table", [*TABLES, *VIEWS])
    async def test_only_our_rows_and_what_is_everybodys(
        self, attacker: Attacker, table: str
    ) -> None:
        rows = await attacker.run(f"SELECT DISTINCT {owner_of(table)} AS whose FROM {table}")
        shared = {None} if table in SHOWN_TO_ALL else set()
        assert {row["whose"] for row in rows} == {attacker.ours.id} | shared

    async def test_the_view_of_schedules_shows_ours_and_everybodys(
        self, attacker: Attacker
    ) -> None:
        rows = await attacker.run("SELECT jobname FROM automation_cron_status ORDER BY 1")
        assert [row["jobname"] for row in rows] == sorted(
            [f"nightly of {attacker.ours.id}", "nightly of everybody"]
        )

    @pytest.mark.parametrize("column", ["looked_at", "found", "error_message"])
    async def test_what_a_sweep_found_for_everybody_is_nobodys_business(
        self, attacker: Attacker, column: str
    ) -> None:
        with refused(by="permission denied"):
            await attacker.run(f"SELECT {column} FROM automation_schedule_runs")
        with refused(by="permission denied"):
            await attacker.run("SELECT * FROM automation_schedule_runs")

    @pytest.mark.parametrize("table", [*TABLES, *VIEWS])
    async def test_without_an_organization_only_what_is_everybodys(
        self, app: Database, ours: Company, theirs: Company, table: str
    ) -> None:
        async with app.transaction() as connection:
            rows = await connection.execute(text(f"SELECT {owner_of(table)} FROM {table}"))
            assert list(rows.scalars()) == ([None] if table in SHOWN_TO_ALL else [])

    @pytest.mark.parametrize("setting", ["", "00000000-0000-0000-0000-000000000000"])
    async def test_an_organization_nobody_is_sees_nothing(
        self, app: Database, theirs: Company, setting: str
    ) -> None:
        async with app.transaction() as connection:
            await connection.execute(
                text("SELECT set_config('fixlify.organization_id', :id, true)"), {"id": setting}
            )
            assert (await connection.scalar(text("SELECT count(*) FROM jobs"))) == 0

    async def test_an_organization_that_is_no_id_is_an_error(
        self, app: Database, theirs: Company
    ) -> None:
        with refused(by="invalid input syntax for type uuid"):
            async with app.transaction() as connection:
                await connection.execute(text("SET LOCAL fixlify.organization_id = '%'"))
                await connection.execute(text("SELECT * FROM jobs"))

    async def test_the_organization_ends_with_its_transaction(
        self, url: str, ours: Company
    ) -> None:
        """A pooled connection goes to somebody else next."""
        database = Database(url, Role.APP, pool_size=1)
        try:
            async with database.organization(ours.id) as connection:
                assert await connection.scalar(text("SELECT count(*) FROM jobs")) == 1
            with pytest.raises(ZeroDivisionError):
                async with database.organization(ours.id):
                    raise ZeroDivisionError
            async with database.statement() as connection:
                assert await connection.scalar(text("SELECT count(*) FROM jobs")) == 0
        finally:
            await database.close()

    async def test_a_failing_expression_is_not_evaluated_on_their_rows(
        self, attacker: Attacker
    ) -> None:
        """Else an error, or its absence, would tell whether an address exists."""
        await attacker.run(
            "SELECT * FROM clients WHERE 1 / (CASE email WHEN :address THEN 0 ELSE 1 END) = 1",
            address=f"{attacker.theirs.id}@example.com",
        )

    async def test_statistics_do_not_tell(self, attacker: Attacker) -> None:
        await attacker.ours.office.query("ANALYZE")
        assert await attacker.run("SELECT * FROM pg_stats WHERE tablename = 'clients'") == []
