"""Whatever writes a job in plain SQL is recorded with it, and is never held up by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.events import CHANNEL
from tests.clones import new_database
from tests.conftest import TEMPLATE
from tests.office import Office

ANOTHER_ROLE = "fixlify_test_bookkeeper"
COMPLETE = "UPDATE public.jobs SET status = 'completed' WHERE organization_id = %s"
START = "UPDATE public.jobs SET status = 'started' WHERE organization_id = %s"


async def changes(office: Office) -> list[tuple[Any, Any]]:
    """Return the status changes that were recorded, as before and after."""
    return [
        (event["data"]["before"], event["data"]["after"])
        for event in await office.events()
        if event["event_type"] == "job_status_changed"
    ]


async def update(office: Office, assignment: str) -> None:
    """Write all of the company's jobs at once."""
    await office.query(
        f"UPDATE jobs SET {assignment} WHERE organization_id = %s", office.organization_id
    )


@pytest.fixture(scope="module")
async def url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """One database for most of these tests; each founds its own company in it."""
    async with new_database(postgres, TEMPLATE) as clone:
        yield clone


@pytest.fixture
async def office(url: str) -> AsyncIterator[Office]:
    """A company that only this test writes."""
    async with await Office.open(url) as company:
        yield company


@pytest.fixture
async def meddled(database_url: str) -> AsyncIterator[Office]:
    """A company whose database the test gives triggers of its own."""
    async with await Office.open(database_url) as company:
        yield company


class TestWhatIsRecorded:
    """One row per thing that happened."""

    async def test_a_new_job(self, office: Office) -> None:
        await office.add_job("J-1", status="New")
        (event,) = await office.events()
        assert event["event_type"] == "job_created"
        assert event["subject_type"] == "job"
        assert event["subject_id"] == "J-1"
        assert event["organization_id"] == office.organization_id
        assert event["data"] == {"after": "New"}
        assert event["processed_at"] is None

    async def test_a_new_job_without_a_status(self, office: Office) -> None:
        await office.add_job(status=None)
        assert [event["data"] for event in await office.events()] == [{"after": None}]

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("scheduled", "completed"),
            (None, "completed"),
            ("completed", None),
            ("", "completed"),
            ("in_progress", "In-Progress"),
            ('it\'s "quoted" \\ {}', "línea\nnueva\t✓"),
        ],
    )
    async def test_a_status_that_changed(
        self, office: Office, before: str | None, after: str | None
    ) -> None:
        job = await office.add_job(status=before)
        await office.write_status(job, after)
        assert await changes(office) == [(before, after)]

    async def test_a_status_of_any_length(self, office: Office) -> None:
        job = await office.add_job()
        await office.write_status(job, "x" * 100_000)
        assert await changes(office) == [("scheduled", "x" * 100_000)]

    @pytest.mark.parametrize("status", ["completed", None])
    async def test_the_same_status_written_again(self, office: Office, status: str | None) -> None:
        job = await office.add_job(status=status)
        await office.write_status(job, status)
        assert await changes(office) == [(status, status)]

    async def test_other_columns_alone_are_no_event(self, office: Office) -> None:
        await office.add_job()
        await update(office, "title = 'x', total = 1, schedule_start = now(), tags = '{vip}'")
        assert await changes(office) == []

    async def test_other_columns_beside_the_status_change_nothing_about_it(
        self, office: Office
    ) -> None:
        await office.add_job()
        await update(office, "schedule_start = now(), status = 'completed', total = 9")
        assert await changes(office) == [("scheduled", "completed")]

    async def test_an_upsert(self, office: Office) -> None:
        job = await office.add_job()
        upsert = """
            INSERT INTO jobs (organization_id, id, status) VALUES (%s, %s, 'completed')
            ON CONFLICT (organization_id, id) DO UPDATE SET status = excluded.status
        """
        await office.query(upsert, office.organization_id, job)
        await office.query(upsert, office.organization_id, "J-new")
        assert await changes(office) == [("scheduled", "completed")]
        assert [event["event_type"] for event in await office.events()].count("job_created") == 2

    async def test_jobs_that_are_copied_in(self, office: Office) -> None:
        await office.query(
            "INSERT INTO jobs (organization_id, id) SELECT %s, 'J-' || generate_series(1, 5)",
            office.organization_id,
        )
        assert [event["subject_id"] for event in await office.events()] == [
            f"J-{n}" for n in range(1, 6)
        ]

    async def test_a_status_that_another_trigger_changes(self, meddled: Office) -> None:
        """The statement names the total alone; the company's own rule closes the job."""
        await meddled.query("""
            CREATE FUNCTION close_paid_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.total = 0 THEN NEW.status := 'closed'; END IF;
                RETURN NEW;
            END $$
        """)
        await meddled.query(
            "CREATE TRIGGER close_paid_jobs BEFORE UPDATE ON jobs "
            "FOR EACH ROW EXECUTE FUNCTION close_paid_jobs()"
        )
        await meddled.add_job()
        await update(meddled, "total = 0")
        assert await changes(meddled) == [("scheduled", "closed")]

    async def test_a_status_that_another_trigger_takes_back(self, meddled: Office) -> None:
        await meddled.query("""
            CREATE FUNCTION keep_status() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                NEW.status := OLD.status;
                RETURN NEW;
            END $$
        """)
        await meddled.query(
            "CREATE TRIGGER keep_status BEFORE UPDATE ON jobs "
            "FOR EACH ROW EXECUTE FUNCTION keep_status()"
        )
        await meddled.add_job()
        await update(meddled, "status = 'completed'")
        assert await changes(meddled) == [("scheduled", "scheduled")]

    async def test_a_thousand_jobs_at_once(self, office: Office) -> None:
        client = await office.add_client()
        await office.query(
            "INSERT INTO jobs (organization_id, id, client_id, status) "
            "SELECT %s, 'J-' || n, %s, 'scheduled' FROM generate_series(1, 1000) n",
            office.organization_id,
            client,
        )
        await update(office, "status = 'completed'")
        events = await office.events()
        assert len(events) == 2_000
        assert len({event["subject_id"] for event in events}) == 1_000
        assert await changes(office) == [("scheduled", "completed")] * 1_000

    async def test_a_deleted_job_leaves_its_events(self, office: Office) -> None:
        await office.add_job()
        await office.query("DELETE FROM jobs WHERE organization_id = %s", office.organization_id)
        assert len(await office.events()) == 1


class TestTogetherWithTheWrite:
    """Business write and event commit together, or not at all."""

    async def test_a_rollback_leaves_none(self, office: Office) -> None:
        job = await office.add_job()
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute(COMPLETE, [office.organization_id])
            await connection.rollback()
        assert await changes(office) == []
        await office.write_status(job, "cancelled")
        assert await changes(office) == [("scheduled", "cancelled")]

    async def test_a_savepoint_takes_back_only_its_own(self, office: Office) -> None:
        await office.add_job()
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute(START, [office.organization_id])
            async with connection.transaction() as savepoint:
                await connection.execute(COMPLETE, [office.organization_id])
                raise psycopg.Rollback(savepoint)
        assert await changes(office) == [("scheduled", "started")]

    async def test_nobody_sees_the_event_before_the_commit(self, office: Office) -> None:
        await office.add_job()
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute(COMPLETE, [office.organization_id])
            assert await changes(office) == []
            await connection.commit()
        assert await changes(office) == [("scheduled", "completed")]


class TestNotification:
    """The relay is woken by what may set something off, once it is committed."""

    @pytest.fixture
    async def listener(self, office: Office) -> Any:
        connection = await psycopg.AsyncConnection.connect(office.url, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}".encode())
            yield connection

    @staticmethod
    async def heard(listener: psycopg.AsyncConnection) -> int:
        """Return how many notifications came before one of our own."""
        await listener.execute(f"NOTIFY {CHANNEL}, 'the end'".encode())
        count = 0
        async for notification in listener.notifies():
            if notification.payload == "the end":
                break
            count += 1
        return count

    async def test_a_committed_change(self, office: Office, listener: Any) -> None:
        await office.add_job()
        assert await self.heard(listener) == 1
        await update(office, "status = 'completed'")
        assert await self.heard(listener) == 1

    async def test_a_change_from_and_to_nothing(self, office: Office, listener: Any) -> None:
        job = await office.add_job(status=None)
        await self.heard(listener)
        await office.write_status(job, "x")
        assert await self.heard(listener) == 1
        await office.write_status(job, None)
        assert await self.heard(listener) == 1

    async def test_a_thousand_changes_are_one_notification(
        self, office: Office, listener: Any
    ) -> None:
        await office.query(
            "INSERT INTO jobs (organization_id, id) SELECT %s, n FROM generate_series(1, 1000) n",
            office.organization_id,
        )
        assert await self.heard(listener) == 1

    async def test_a_rewrite_wakes_nobody(self, office: Office, listener: Any) -> None:
        job = await office.add_job()
        await self.heard(listener)
        await office.write_status(job, "scheduled")
        assert await self.heard(listener) == 0
        assert await changes(office) == [("scheduled", "scheduled")]

    async def test_a_rollback_wakes_nobody(self, office: Office, listener: Any) -> None:
        await office.add_job()
        await self.heard(listener)
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute(COMPLETE, [office.organization_id])
            await connection.rollback()
        assert await self.heard(listener) == 0


class TestTheWriteNeverFails:
    """Whoever may write a job can, whatever state the automations are in."""

    @pytest.fixture
    async def bookkeeper(self, office: Office) -> Any:
        """A connection whose user may write jobs and nothing else of ours."""
        await office.query(f"""
            DO $$ BEGIN
                CREATE ROLE {ANOTHER_ROLE} NOLOGIN;
            EXCEPTION WHEN duplicate_object THEN NULL; END $$
        """)
        await office.query(f"GRANT SELECT, INSERT, UPDATE ON jobs TO {ANOTHER_ROLE}")
        await office.query("DROP POLICY IF EXISTS bookkeeping ON jobs")
        await office.query(f"CREATE POLICY bookkeeping ON jobs TO {ANOTHER_ROLE} USING (true)")
        async with await psycopg.AsyncConnection.connect(office.url, autocommit=True) as connection:
            await connection.execute(f"SET ROLE {ANOTHER_ROLE}".encode())
            yield connection

    async def test_a_writer_without_any_right_to_the_outbox(
        self, office: Office, bookkeeper: psycopg.AsyncConnection
    ) -> None:
        await office.add_job()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await bookkeeper.execute("SELECT * FROM automation_events")
        await bookkeeper.execute(COMPLETE, [office.organization_id])
        assert await changes(office) == [("scheduled", "completed")]

    async def test_a_hostile_search_path(
        self, office: Office, bookkeeper: psycopg.AsyncConnection
    ) -> None:
        """A table of the same name, nearer on the writer's path, gets and breaks nothing."""
        await office.add_job()
        await office.query("CREATE SCHEMA hostile")
        await office.query("CREATE TABLE hostile.automation_events (nothing int)")
        await office.query(
            "CREATE FUNCTION hostile.pg_notify(text, text) RETURNS void LANGUAGE plpgsql "
            "AS $$ BEGIN RAISE 'never'; END $$"
        )
        await office.query(
            'CREATE FUNCTION hostile.jsonb_build_object(VARIADIC "any") RETURNS jsonb '
            "LANGUAGE internal AS 'jsonb_build_object'"
        )
        await office.query(f"GRANT USAGE ON SCHEMA hostile TO {ANOTHER_ROLE}")
        await bookkeeper.execute("CREATE TEMP TABLE automation_events (nothing int)")
        await bookkeeper.execute("SET search_path = pg_temp, hostile, pg_catalog")
        await bookkeeper.execute(COMPLETE, [office.organization_id])
        assert await changes(office) == [("scheduled", "completed")]

    async def test_an_empty_search_path(
        self, office: Office, bookkeeper: psycopg.AsyncConnection
    ) -> None:
        await office.add_job()
        await bookkeeper.execute("SET search_path = ''")
        await bookkeeper.execute(COMPLETE, [office.organization_id])
        assert await changes(office) == [("scheduled", "completed")]

    async def test_nobody_can_forge_events_with_the_triggers_rights(
        self, office: Office, bookkeeper: psycopg.AsyncConnection
    ) -> None:
        """The functions act as their owner: hung on a table of one's own they would write
        any organization's events."""
        await bookkeeper.execute(
            "CREATE TEMP TABLE mine (organization_id uuid, id text, status text)"
        )
        for function in ("fixlify_record_job_created", "fixlify_record_job_status"):
            statement = sql.SQL(
                "CREATE TRIGGER forge AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION {}()"
            ).format(sql.Identifier("public", function))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await bookkeeper.execute(statement)

    async def test_automations_that_are_garbage(self, office: Office) -> None:
        await office.query(
            "INSERT INTO automation_workflows (id, organization_id, name, status, trigger_type, "
            "trigger_config, conditions, steps, version) SELECT gen_random_uuid(), %s, "
            "'garbage ' || n, 'active', 'job_status_changed', '[]', '\"x\"', '7', -1 "
            "FROM generate_series(1, 20) n",
            office.organization_id,
        )
        await office.add_job()
        await update(office, "status = 'completed'")
        assert await changes(office) == [("scheduled", "completed")]

    async def test_a_job_of_a_company_that_is_being_changed(self, office: Office) -> None:
        """Recording takes no lock on the organization, its automations or other events."""
        await office.add_job()
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute("SELECT * FROM organizations FOR UPDATE")
            await connection.execute("SELECT * FROM automation_events FOR UPDATE")
            await connection.execute("LOCK TABLE automation_workflows IN ACCESS EXCLUSIVE MODE")
            await office.query("SET statement_timeout = '10s'")
            await update(office, "status = 'completed'")
        assert await changes(office) == [("scheduled", "completed")]


async def test_an_automation_cannot_be_made_active_without_steps(office: Office) -> None:
    """Not by plain SQL either: a run with nothing to do would call itself completed."""
    applied = await office.apply("name: Empty\ntrigger: {type: job_created}")
    with pytest.raises(psycopg.errors.CheckViolation):
        await office.query(
            "UPDATE automation_workflows SET status = 'active' WHERE id = %s", applied.automation.id
        )
