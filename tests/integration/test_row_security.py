"""One company can neither see, nor set off, nor change what is another's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.database import Database, Role
from fixlify.storage.tables import Table
from tests.clones import new_database
from tests.conftest import TEMPLATE
from tests.office import Office

TABLES = sorted(Table.metadata.tables)
VIEWS = ["automation_analytics", "automation_system_health"]
# What the app role may write; everything else it may only read.
WRITABLE = {
    "profiles": {"INSERT", "UPDATE", "DELETE"},
    "clients": {"INSERT", "UPDATE", "DELETE"},
    "jobs": {"INSERT", "UPDATE", "DELETE"},
    "invoices": {"INSERT", "UPDATE", "DELETE"},
    "organizations": {"UPDATE"},
    "automation_workflows": {"INSERT", "UPDATE"},
    "automation_workflow_versions": {"INSERT"},
}
PASSWORD = "only-in-this-test"


@dataclass(frozen=True)
class Company:
    """One company with one row of everything, and the ids of those rows."""

    office: Office
    client: UUID
    technician: UUID
    job: str
    automation: UUID
    execution: UUID

    @property
    def id(self) -> UUID:
        return self.office.organization_id


async def furnish(office: Office) -> Company:
    technician = await office.insert(
        "profiles", organization_id=office.organization_id, first_name="Sam", phone="+12125550199"
    )
    client = await office.add_client(email=f"{office.organization_id}@example.com")
    job = await office.add_job("J-1", client_id=client, technician_id=technician["id"])
    await office.insert("invoices", organization_id=office.organization_id, job_id=job)
    applied = await office.apply("""
        name: Thanks
        trigger: {type: job_completed}
        steps: [{type: send_sms, text: Thank you.}]
    """)
    automation = applied.automation.id
    execution = await office.insert(
        "automation_execution_logs",
        id=uuid4(),
        organization_id=office.organization_id,
        automation_id=automation,
        automation_version=1,
        occurrence_key="event/0",
        subject_type="job",
        subject_id=job,
        trigger_type="job_completed",
        trigger_value="completed",
        trigger_data=json.dumps({}),
        occurred_at="2026-11-26 12:00+00",
        status="running",
    )
    await office.insert(
        "automation_step_logs",
        execution_id=execution["id"],
        step_id="send_sms-1",
        organization_id=office.organization_id,
        position=1,
        kind="sms",
        status="completed",
    )
    await office.insert(
        "messages",
        id=uuid4(),
        organization_id=office.organization_id,
        execution_id=execution["id"],
        step_id="send_sms-1",
        channel="sms",
        recipient_kind="client",
        recipient="+12125550123",
        body_text="Thank you.",
        status="queued",
    )
    await office.insert(
        "automation_schedules",
        organization_id=office.organization_id,
        name=f"nightly of {office.organization_id}",
        schedule="0 2 * * *",
    )
    return Company(office, client, technician["id"], job, automation, execution["id"])


@pytest.fixture(scope="module")
async def url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """One database for every attack: none of them is to leave a trace."""
    async with new_database(postgres, TEMPLATE) as clone:
        yield clone


@pytest.fixture(scope="module")
async def app(url: str) -> AsyncIterator[Database]:
    """The pool people and the API use."""
    database = Database(url, Role.APP)
    yield database
    await database.close()


@pytest.fixture(scope="module")
async def engine(url: str) -> AsyncIterator[Database]:
    """The pool relay and workers use."""
    database = Database(url, Role.ENGINE)
    yield database
    await database.close()


@pytest.fixture(scope="module")
async def ours(url: str) -> AsyncIterator[Company]:
    """The company that attacks."""
    async with await Office.open(url) as office:
        yield await furnish(office)


@pytest.fixture(scope="module")
async def theirs(url: str) -> AsyncIterator[Company]:
    """The company that is attacked; after all attacks every row of it is as it was."""
    async with await Office.open(url, "Harbor Plumbing") as office:
        company = await furnish(office)
        before = await snapshot(company)
        yield company
        assert await snapshot(company) == before


async def snapshot(company: Company) -> dict[str, Any]:
    """Return every row of a company, as its owner sees it."""
    rows = {}
    for table in TABLES:
        column = "id" if table == "organizations" else "organization_id"
        rows[table] = await company.office.query(
            f"SELECT to_jsonb(t) AS row FROM {table} t WHERE {column} = %s ORDER BY 1",
            company.id,
        )
    return rows


@dataclass(frozen=True)
class Attacker:
    """Our SQL, as the app role; of *theirs* only ids are known."""

    database: Database
    ours: Company
    theirs: Company

    async def run(self, *statements: str, **parameters: Any) -> list[dict[str, Any]]:
        """Run statements as our organization and commit; return the last one's rows."""
        known = {
            "a": self.theirs.id,
            "b": self.ours.id,
            "a_client": self.theirs.client,
            "a_technician": self.theirs.technician,
            "a_automation": self.theirs.automation,
            "a_execution": self.theirs.execution,
        } | parameters
        async with self.database.organization(self.ours.id) as connection:
            for statement in statements:
                result = await connection.execute(text(statement), known)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    async def count(self, statement: str) -> int:
        """Run one statement that writes, and return how many rows it reached."""
        return len(await self.run(f"{statement} RETURNING 1 AS one"))


@pytest.fixture(scope="module")
async def attacker(app: Database, ours: Company, theirs: Company) -> Attacker:
    """Our company, with bad intentions."""
    return Attacker(app, ours, theirs)


def refused(*, by: str) -> Any:
    """Expect Postgres to refuse with a message that contains *by*."""
    return pytest.raises(DBAPIError, match=by)


class TestReading:
    """Every table and view shows our rows alone."""

    @pytest.mark.parametrize("table", [*TABLES, *VIEWS])
    async def test_only_our_rows(self, attacker: Attacker, table: str) -> None:
        column = "id" if table == "organizations" else "organization_id"
        rows = await attacker.run(f"SELECT DISTINCT {column} AS whose FROM {table}")
        assert [row["whose"] for row in rows] == [attacker.ours.id]

    async def test_only_our_schedules_in_the_view_without_an_organization(
        self, attacker: Attacker
    ) -> None:
        rows = await attacker.run("SELECT jobname FROM automation_cron_status")
        assert [row["jobname"] for row in rows] == [f"nightly of {attacker.ours.id}"]

    @pytest.mark.parametrize("table", [*TABLES, *VIEWS, "automation_cron_status"])
    async def test_without_an_organization_nothing(
        self, app: Database, ours: Company, theirs: Company, table: str
    ) -> None:
        async with app.transaction() as connection:
            assert (await connection.scalar(text(f"SELECT count(*) FROM {table}"))) == 0

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


class TestWriting:
    """Nothing of theirs can be changed, deleted, or pointed at."""

    @pytest.mark.parametrize("table", sorted(WRITABLE))
    async def test_an_update_reaches_our_rows_alone(self, attacker: Attacker, table: str) -> None:
        if "UPDATE" not in WRITABLE[table]:
            with refused(by="permission denied"):
                await attacker.run(f"UPDATE {table} SET created_at = now()")
            return
        assert await attacker.count(f"UPDATE {table} SET created_at = now()") == 1
        column = "id" if table == "organizations" else "organization_id"
        assert (
            await attacker.count(f"UPDATE {table} SET created_at = now() WHERE {column} = :a") == 0
        )

    @pytest.mark.parametrize("table", ["profiles", "clients", "jobs", "invoices"])
    async def test_a_deletion_reaches_our_rows_alone(self, attacker: Attacker, table: str) -> None:
        column = "id" if table == "jobs" else "created_at"
        value = "'J-doomed'" if table == "jobs" else "'2001-01-01'"
        await attacker.run(f"INSERT INTO {table} (organization_id, {column}) VALUES (:b, {value})")
        assert await attacker.count(f"DELETE FROM {table} WHERE organization_id = :a") == 0
        assert await attacker.count(f"DELETE FROM {table} WHERE {column} = {value}") == 1

    @pytest.mark.parametrize("table", sorted(set(TABLES) - set(WRITABLE)))
    async def test_the_engines_tables_cannot_be_written(
        self, attacker: Attacker, table: str
    ) -> None:
        """Not even our own rows: history is the engine's to write."""
        for statement in (
            f"INSERT INTO {table} DEFAULT VALUES",
            f"UPDATE {table} SET organization_id = organization_id",
            f"DELETE FROM {table}",
        ):
            with refused(by="permission denied"):
                await attacker.run(statement)

    @pytest.mark.parametrize("table", TABLES)
    async def test_nothing_can_be_emptied_or_altered(self, attacker: Attacker, table: str) -> None:
        for statement in (
            f"TRUNCATE {table} CASCADE",
            f"DROP TABLE {table} CASCADE",
            f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"CREATE POLICY mine ON {table} USING (true)",
            f"CREATE TRIGGER mine AFTER UPDATE ON {table} FOR EACH ROW "
            "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        ):
            with refused(by="permission denied|must be owner"):
                await attacker.run(statement)

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO jobs (organization_id, id, status) VALUES (:a, 'J-2', 'completed')",
            "INSERT INTO clients (organization_id, email) VALUES (:a, 'x@example.com')",
            "INSERT INTO profiles (organization_id, email) VALUES (:a, 'x@example.com')",
            "INSERT INTO invoices (organization_id) VALUES (:a)",
            "UPDATE jobs SET organization_id = :a, client_id = NULL, technician_id = NULL",
            "UPDATE invoices SET organization_id = :a, job_id = NULL",
            "UPDATE automation_workflows SET organization_id = :a",
            """
            INSERT INTO automation_workflows
                (id, organization_id, name, status, trigger_type, trigger_config, steps, version)
            VALUES (gen_random_uuid(), :a, 'Evil', 'active', 'job_completed', '{}', '[{}]', 1)
            """,
            """
            INSERT INTO automation_workflow_versions
                (automation_id, version, organization_id, pinned)
            VALUES (:a_automation, 2, :a, '{}')
            """,
            # An upsert that meets their row.
            """
            INSERT INTO jobs (organization_id, id) VALUES (:a, 'J-1')
            ON CONFLICT (organization_id, id) DO UPDATE SET status = 'completed'
            """,
            """
            INSERT INTO clients (id, organization_id) VALUES (:a_client, :b)
            ON CONFLICT (id) DO UPDATE SET email = 'x@example.com'
            """,
            """
            INSERT INTO automation_workflows
                (id, organization_id, name, status, trigger_type, trigger_config, steps, version)
            VALUES (:a_automation, :b, 'Evil', 'active', 'job_completed', '{}', '[{}]', 1)
            ON CONFLICT (id) DO UPDATE SET status = 'paused'
            """,
        ],
    )
    async def test_nothing_can_be_written_for_them(
        self, attacker: Attacker, statement: str
    ) -> None:
        with refused(by="violates row-level security policy"):
            await attacker.run(statement)

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO jobs (organization_id, id, client_id) VALUES (:b, 'J-2', :a_client)",
            "INSERT INTO jobs (organization_id, id, technician_id) VALUES (:b, '2', :a_technician)",
            "UPDATE jobs SET client_id = :a_client",
            "UPDATE jobs SET technician_id = :a_technician",
            "UPDATE invoices SET client_id = :a_client",
            """
            INSERT INTO automation_workflow_versions
                (automation_id, version, organization_id, pinned)
            VALUES (:a_automation, 2, :b, '{}')
            """,
        ],
    )
    async def test_nothing_of_ours_can_point_at_theirs(
        self, attacker: Attacker, statement: str
    ) -> None:
        with refused(by="violates foreign key constraint"):
            await attacker.run(statement)

    async def test_their_job_of_the_same_name_is_another_job(self, attacker: Attacker) -> None:
        """Job ids are unique within a company only; an invoice finds ours."""
        await attacker.run("UPDATE invoices SET job_id = 'J-1'")
        with refused(by="violates foreign key constraint"):
            await attacker.run("UPDATE invoices SET job_id = 'J-of-theirs'")


class TestSettingOff:
    """Nothing of theirs can be set off."""

    async def test_writing_all_jobs_records_events_of_ours_alone(self, attacker: Attacker) -> None:
        before = len(await attacker.theirs.office.events())
        await attacker.run("UPDATE jobs SET status = 'completed'")
        last = (await attacker.ours.office.events())[-1]
        assert (last["event_type"], last["data"]["after"]) == ("job_status_changed", "completed")
        assert len(await attacker.theirs.office.events()) == before

    @pytest.mark.parametrize("whose", ["a", "b"])
    @pytest.mark.parametrize(
        "statement",
        [
            """
            INSERT INTO automation_events (organization_id, event_type, subject_type, subject_id)
            VALUES (:{}, 'job_created', 'job', 'J-1')
            """,
            """
            INSERT INTO automation_execution_logs
                (id, organization_id, automation_id, automation_version, occurrence_key,
                 subject_type, subject_id, trigger_type, trigger_value, trigger_data, occurred_at,
                 status)
            VALUES (gen_random_uuid(), :{}, :a_automation, 1, 'x', 'job', 'J-1', 'job_completed',
                    'completed', '{{}}', now(), 'pending')
            """,
            """
            INSERT INTO messages (id, organization_id, execution_id, step_id, channel,
                                  recipient_kind, recipient, body_text, status)
            VALUES (gen_random_uuid(), :{}, :a_execution, 'evil', 'sms', 'client', '+12125550100',
                    'Evil', 'queued')
            """,
        ],
    )
    async def test_the_engines_tables_take_nothing_from_outside(
        self, attacker: Attacker, statement: str, whose: str
    ) -> None:
        with refused(by="permission denied"):
            await attacker.run(statement.format(whose))

    @pytest.mark.parametrize(
        "function", ["fixlify_record_job_created", "fixlify_record_job_status"]
    )
    async def test_events_cannot_be_forged_with_the_triggers_rights(
        self, attacker: Attacker, function: str
    ) -> None:
        with refused(by="permission denied for function"):
            await attacker.run(
                "CREATE TEMP TABLE mine (organization_id uuid, id text, status text)",
                "CREATE TRIGGER forge AFTER INSERT ON mine "
                f"FOR EACH ROW EXECUTE FUNCTION public.{function}()",
                "INSERT INTO mine VALUES (:a, 'J-1', 'completed')",
            )


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
        column = "id" if table == "organizations" else "organization_id"
        rows = await self.run(engine, f"SELECT DISTINCT {column} FROM {table}")
        assert set(rows.scalars()) == {ours.id, theirs.id}

    @pytest.mark.parametrize("table", TABLES)
    async def test_it_deletes_nothing(self, engine: Database, table: str) -> None:
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with refused(by="permission denied"):
                await self.run(engine, statement)

    @pytest.mark.parametrize(
        "table",
        [
            "organizations",
            "profiles",
            "clients",
            "jobs",
            "invoices",
            "automation_workflows",
            "automation_workflow_versions",
            "automation_schedules",
        ],
    )
    async def test_it_writes_no_business_rows_and_no_definitions(
        self, engine: Database, table: str
    ) -> None:
        """An engine that cannot write a job cannot set itself off."""
        for statement in (
            f"INSERT INTO {table} DEFAULT VALUES",
            f"UPDATE {table} SET created_at = now()",
        ):
            with refused(by="permission denied"):
                await self.run(engine, statement)

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO automation_events (event_type, subject_type) VALUES ('x', 'job')",
            "UPDATE automation_events SET data = '{}'",
            "UPDATE automation_events SET organization_id = NULL",
        ],
    )
    async def test_it_neither_makes_events_nor_changes_what_they_say(
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
        assert {row["relname"] for row in rows} == set(TABLES)
        for row in rows:
            assert row["relrowsecurity"], row
            assert row["policies"] == ["every_organization", "one_organization"], row

    async def test_every_view_shows_only_what_its_reader_may_see(self, ours: Company) -> None:
        rows = await ours.office.query("""
            SELECT relname, reloptions FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
        """)
        assert {row["relname"] for row in rows} == {*VIEWS, "automation_cron_status"}
        assert all("security_invoker=true" in row["reloptions"] for row in rows)

    async def test_the_app_role_has_these_rights_and_no_more(self, ours: Company) -> None:
        assert await self.rights(ours.office, Role.APP) == {
            **{table: {"SELECT"} for table in [*TABLES, *VIEWS, "automation_cron_status"]},
            **{table: {"SELECT", *rights} for table, rights in WRITABLE.items()},
        }

    async def test_the_engine_role_has_these_rights_and_no_more(self, ours: Company) -> None:
        written = {"automation_execution_logs", "automation_step_logs", "messages"}
        assert await self.rights(ours.office, Role.ENGINE) == {
            table: {"SELECT", "INSERT", "UPDATE"} if table in written else {"SELECT"}
            for table in [*TABLES, *VIEWS, "automation_cron_status"]
        }

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
