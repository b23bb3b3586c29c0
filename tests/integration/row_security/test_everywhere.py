"""What holds for every table, also for the ones that are still to come."""

from __future__ import annotations

from fixlify.storage.database import Role
from tests.integration.row_security.companies import (
    ENGINE_WRITABLE,
    ENGINE_WRITES_COLUMNS,
    OPERATORS,
    PARTLY_READABLE,
    TABLES,
    VIEWS,
    WRITABLE,
    Company,
)
from tests.office import Office


class TestEverywhere:
    """What holds for every table, also for the ones that are still to come."""

    async def test_every_table_is_secured_row_by_row(self, ours: Company) -> None:
        rows = await ours.office.query("""
            SELECT relname, relrowsecurity, array(
                SELECT polname::text FROM pg_policy WHERE polrelid = c.oid ORDER BY 1
            ) AS policies
            FROM pg_class c
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
              AND relname <> 'alembic_version'
        """)
        assert {row["relname"] for row in rows} == {*TABLES, *OPERATORS}
        for row in rows:
            assert row["relrowsecurity"], row
            own = ["own_stop"] if row["relname"] == "automation_stops" else []
            policies = ["every_organization", "one_organization", *own]
            if row["relname"] in OPERATORS:
                policies = ["all_channels", "every_organization"]
            assert row["policies"] == policies, row

    async def test_every_view_shows_only_what_its_reader_may_see(self, ours: Company) -> None:
        rows = await ours.office.query("""
            SELECT relname, reloptions FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
        """)
        assert {row["relname"] for row in rows} == set(VIEWS)
        assert all("security_invoker=true" in row["reloptions"] for row in rows)

    async def test_the_app_role_has_these_rights_and_no_more(self, ours: Company) -> None:
        assert await self.rights(ours.office, Role.APP) == {
            table: ({"SELECT"} if table not in PARTLY_READABLE else set())
            | WRITABLE.get(table, set())
            for table in {*TABLES, *OPERATORS, *VIEWS} - (PARTLY_READABLE - set(WRITABLE))
        }

    async def test_the_engine_role_has_these_rights_and_no_more(self, ours: Company) -> None:
        assert await self.rights(ours.office, Role.ENGINE) == {
            table: {"SELECT"} | ENGINE_WRITABLE.get(table, set())
            for table in [*TABLES, *OPERATORS, *VIEWS]
        }

    async def test_single_columns_are_given_where_the_table_is_not(self, ours: Company) -> None:
        rows = await ours.office.query("""
            SELECT grantee::text, table_name::text, privilege_type::text,
                   array_agg(column_name::text ORDER BY column_name::text) AS columns
            FROM information_schema.column_privileges p
            WHERE table_schema = 'public' AND grantee IN ('fixlify_app', 'fixlify_engine')
              AND NOT EXISTS (
                  SELECT 1 FROM information_schema.table_privileges t
                  WHERE (t.grantee, t.table_name, t.privilege_type)
                      = (p.grantee, p.table_name, p.privilege_type)
              )
            GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        """)
        assert [tuple(row.values()) for row in rows] == [
            (
                "fixlify_app",
                "automation_schedule_runs",
                "SELECT",
                [
                    "finished_at",
                    "id",
                    "organization_id",
                    "schedule_id",
                    "scheduled_at",
                    "started_at",
                    "status",
                ],
            ),
            (
                "fixlify_app",
                "webhook_settings",
                "SELECT",
                [
                    "disabled_at",
                    "disabled_reason",
                    "failing_since",
                    "failure_url",
                    "organization_id",
                    "updated_at",
                ],
            ),
            ("fixlify_engine", "api_keys", "UPDATE", ["last_used_at"]),
            ("fixlify_engine", "automation_events", "UPDATE", ["outcome", "processed_at"]),
            *(
                ("fixlify_engine", table, "UPDATE", columns)
                for table, columns in ENGINE_WRITES_COLUMNS.items()
            ),
        ]

    async def test_everyone_else_has_none(self, ours: Company) -> None:
        rows = await ours.office.query("""
            SELECT grantee::text, table_name::text FROM information_schema.table_privileges
            WHERE table_schema = 'public'
              AND grantee NOT IN ('fixlify_app', 'fixlify_engine', 'postgres')
        """)
        assert rows == []

    @staticmethod
    async def rights(office: Office, role: Role) -> dict[str, set[str]]:
        rows = await office.query(
            "SELECT table_name::text AS name, privilege_type::text AS right "
            "FROM information_schema.table_privileges "
            "WHERE table_schema = 'public' AND grantee = %s",
            role.value,
        )
        found: dict[str, set[str]] = {}
        for row in rows:
            found.setdefault(row["name"], set()).add(row["right"])
        return found
