"""Whatever fails around the relay, nothing is lost and nobody else is held up."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import string
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.runs import ExecutionStatus
from fixlify.storage.database import Database, Role
from fixlify.storage.executions import PendingExecution
from fixlify.storage.listen import EventSignal
from fixlify.storage.migrations import migrate
from starter.relay import Relay
from tests.clones import delete_everything, new_database
from tests.conftest import TEMPLATE
from tests.engine import eventually
from tests.office import Office
from tests.relaying import (
    ON_ANY_CHANGE,
    ON_COMPLETION,
    KilledError,
    RecordingLauncher,
    age,
    event_outcomes,
    outcomes,
    relay_everything,
)


@pytest.fixture(scope="module")
async def shared_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """One database for these tests, which empty it one after another."""
    async with new_database(postgres, TEMPLATE) as url:
        yield url


@pytest.fixture
async def database_url(shared_database: str) -> str:
    """That database, with nothing in it."""
    await delete_everything(shared_database)
    return shared_database


@pytest.fixture
def launcher() -> RecordingLauncher:
    return RecordingLauncher()


@pytest.fixture
def relay(engine_database: Database, launcher: RecordingLauncher, database_url: str) -> Relay:
    """A relay that the test drives by hand."""
    return Relay(engine_database, launcher, EventSignal(database_url))


class TestLaunching:
    """What was matched is launched, if not now then by the sweep."""

    async def completed(self, office: Office) -> None:
        await office.apply(ON_COMPLETION)
        job = await office.add_job()
        await office.write_status(job, "completed")

    async def test_a_crash_between_commit_and_launch(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        await self.completed(office)
        launcher.dying = True
        with pytest.raises(KilledError):
            await relay.relay_batch()
        assert await outcomes(office) == [("pending", None)]

        launcher.dying = False
        assert await relay.relay_batch() == 0
        await age(office, "taken_at", timedelta(minutes=1))
        assert await relay.launch_waiting() == 1
        assert launcher.launched == [e["id"] for e in await office.executions()]
        assert await relay.launch_waiting() == 0

    async def test_a_crash_before_the_commit(
        self,
        office: Office,
        relay: Relay,
        launcher: RecordingLauncher,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await self.completed(office)

        async def die(*_: Any) -> None:
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr("starter.relay.mark_processed", die)
            with pytest.raises(KilledError):
                await relay.relay_batch()
        assert await outcomes(office) == []
        assert await event_outcomes(office) == [None, None]

        await relay_everything(relay)
        assert await outcomes(office) == [("pending", None)]
        assert len(launcher.launched) == 1

    async def test_temporal_is_away(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        await self.completed(office)
        launcher.away = True
        await relay_everything(relay)
        await age(office, "taken_at", timedelta(minutes=1))
        assert await relay.launch_waiting() == 0
        (execution,) = await office.executions()
        assert (execution["status"], execution["launched_at"]) == ("pending", None)

        launcher.away = False
        await age(office, "taken_at", timedelta(minutes=1))
        assert await relay.launch_waiting() == 1
        assert await relay.launch_waiting() == 0
        assert launcher.launched == [execution["id"]] * 3

    async def test_the_sweep_leaves_alone_what_is_just_being_launched(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        await self.completed(office)
        launcher.away = True
        await relay_everything(relay)
        assert await relay.launch_waiting() == 0

    async def test_temporal_was_set_up_anew(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        """What was launched and never began is launched again after a while."""
        await self.completed(office)
        await relay_everything(relay)
        await age(office, "taken_at", timedelta(hours=1))
        await age(office, "launched_at", timedelta(minutes=4))
        assert await relay.launch_waiting() == 0
        await age(office, "launched_at", timedelta(minutes=2))
        assert await relay.launch_waiting() == 1

    @pytest.mark.parametrize(
        "status", [each.value for each in ExecutionStatus if each is not ExecutionStatus.PENDING]
    )
    async def test_only_pending_executions_are_launched(
        self, office: Office, relay: Relay, status: str
    ) -> None:
        await self.completed(office)
        await relay_everything(relay)
        await office.query(
            "UPDATE automation_execution_logs SET status = %s, launched_at = NULL", status
        )
        await age(office, "taken_at", timedelta(hours=1))
        assert await relay.launch_waiting() == 0

    async def test_a_launch_knows_its_automation_and_nothing_personal(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        await self.completed(office)
        launcher.away = True
        await relay_everything(relay)
        await age(office, "taken_at", timedelta(minutes=1))
        await relay.launch_waiting()
        (execution,) = await office.executions()
        by_relay, by_sweep = launcher.asked
        assert by_relay == by_sweep
        assert by_relay == PendingExecution(
            id=execution["id"],
            organization_id=office.organization_id,
            automation_id=execution["automation_id"],
            automation="Thanks",
            version=1,
            trigger_type="job_completed",
            subject_type="job",
            subject_id="J-2019",
        )


class TestBadRows:
    """One bad row never stops the rest, nor anybody else."""

    @pytest.fixture
    async def neighbour(self, database_url: str) -> AsyncIterator[Office]:
        """Another company, whose automation must run whatever happens to the first."""
        async with await Office.open(database_url, "Harbor Plumbing") as company:
            await company.apply(ON_COMPLETION)
            yield company

    async def test_events_nobody_can_read(
        self, office: Office, neighbour: Office, relay: Relay
    ) -> None:
        await office.apply(ON_COMPLETION)
        garbage: list[tuple[Any, Any, Any, str, str]] = [
            (None, "job_created", "J-1", "{}", "now"),
            (office.organization_id, "job_created", None, "{}", "now"),
            (office.organization_id, "job_status_changed", "J-1", "[]", "now"),
            (office.organization_id, "job_status_changed", "J-1", "null", "now"),
            (office.organization_id, "job_status_changed", "J-1", '"x"', "now"),
            (office.organization_id, "job_status_changed", "J-1", '{"after": 5}', "now"),
            (office.organization_id, "job_status_changed", "J-1", '{"after": ["x"]}', "now"),
            (office.organization_id, "job_status_changed", "J-1", "{}", "infinity"),
            (office.organization_id, "job_status_changed", "J-1", "{}", "4713-01-01 BC"),
        ]
        for organization, kind, subject, data, occurred_at in garbage:
            await office.query(
                "INSERT INTO automation_events "
                "(organization_id, event_type, subject_type, subject_id, data, occurred_at) "
                "VALUES (%s, %s, 'job', %s, %s, %s)",
                *(organization, kind, subject, data, occurred_at),
            )
        for company in (office, neighbour):
            await company.write_status(await company.add_job(), "completed")
        await relay_everything(relay)

        assert await outcomes(office) == [("pending", None)]
        assert await outcomes(neighbour) == [("pending", None)]
        recorded = await office.query(
            "SELECT outcome, processed_at FROM automation_events ORDER BY id LIMIT %s", len(garbage)
        )
        assert all(row["outcome"].startswith("unreadable: ") for row in recorded)
        assert all(row["processed_at"] for row in recorded)

    async def test_an_event_of_a_newer_schema_waits_for_a_newer_relay(
        self, office: Office, relay: Relay
    ) -> None:
        """Migrations run before the code that knows their events."""
        await office.insert(
            "automation_events",
            organization_id=office.organization_id,
            event_type="boiler_exploded",
            subject_type="job",
            subject_id="J-1",
        )
        await relay_everything(relay)
        assert [(e["processed_at"], e["outcome"]) for e in await office.events()] == [(None, None)]

    async def test_an_event_of_an_organization_nobody_knows(
        self, office: Office, relay: Relay
    ) -> None:
        await office.query(
            "INSERT INTO automation_events (organization_id, event_type, subject_type, subject_id) "
            "VALUES (%s, 'job_created', 'job', 'J-1')",
            uuid4(),
        )
        assert await relay.relay_batch() == 1
        assert await relay.relay_batch() == 0

    @pytest.mark.parametrize(
        "assignment",
        [
            "trigger_config = '[]'",
            "trigger_config = '7'",
            "trigger_config = 'null'",
            """trigger_config = '{"too": ["x"]}'""",
            "conditions = '[]'",
            "conditions = '\"x\"'",
            """conditions = '{"field": "job.nothing", "operator": "is_empty"}'""",
            """conditions = '{"field": "job.total", "operator": "equals"}'""",
            "name = repeat('x', 500)",
            "version = 7",
            "conditions = (repeat('{\"not\":', 300) || 'null' || repeat('}', 300))::jsonb",
        ],
    )
    async def test_an_automation_nobody_can_read(
        self, office: Office, neighbour: Office, relay: Relay, assignment: str
    ) -> None:
        broken = await office.apply(ON_COMPLETION.replace("Thanks", "Broken"))
        await office.query(
            f"UPDATE automation_workflows SET {assignment} WHERE id = %s", broken.automation.id
        )
        await office.apply(ON_COMPLETION)
        for company in (office, neighbour):
            await company.write_status(await company.add_job(), "completed")
        await relay_everything(relay)

        assert await outcomes(office) == [("pending", None)]
        assert await outcomes(neighbour) == [("pending", None)]
        last = (await event_outcomes(office))[-1]
        assert last is not None
        assert last.startswith("1 pending; automations nobody can read: ")
        assert (await event_outcomes(neighbour))[-1] == "1 pending"

    @pytest.mark.parametrize(
        "assignment",
        [
            "total = 'NaN'",
            "tags = '{a,NULL,b}'",
            "tags = '{{a,b},{c,d}}'",
            "schedule_start = 'infinity'",
            "schedule_start = '-infinity', schedule_end = '10000-01-01'",
            "created_at = '4000-01-01 BC'",
        ],
    )
    async def test_facts_that_python_cannot_hold(
        self, office: Office, neighbour: Office, relay: Relay, assignment: str
    ) -> None:
        """Postgres keeps more than that; one such job once stopped every company's automations."""
        picky = "    conditions: {field: job.title, operator: is_not_empty}"
        await office.apply(ON_COMPLETION + picky)
        job = await office.add_job()
        await office.query(f"UPDATE jobs SET {assignment}")
        for company in (neighbour, office):
            if company is neighbour:
                await company.add_job()
            await company.write_status(job, "completed")
        await relay_everything(relay)
        assert await outcomes(office) == [("pending", None)]
        assert await outcomes(neighbour) == [("pending", None)]

    async def test_an_event_that_cannot_be_stored(
        self, office: Office, neighbour: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        """A status of three thousand random letters fits no index."""
        letters = random.Random(0).choices(string.ascii_letters, k=10_000)  # noqa: S311
        await office.apply(ON_ANY_CHANGE)
        job = await office.add_job()
        await neighbour.write_status(await neighbour.add_job(), "completed")
        await office.write_status(job, "".join(letters))
        await office.write_status(job, "completed")
        await relay_everything(relay)

        assert [e["trigger_value"] for e in await office.executions()] == ["completed"]
        assert await outcomes(neighbour) == [("pending", None)]
        assert len(launcher.launched) == 2
        assert await event_outcomes(office) == [
            "nothing matched",
            "failed: ProgramLimitExceeded",
            "1 pending",
        ]


class TestRunning:
    """A relay that runs is woken by events, and outlives what it depends on."""

    @asynccontextmanager
    async def running(
        self, url: str, launcher: RecordingLauncher, *, listening: bool = True
    ) -> AsyncIterator[asyncio.Task[None]]:
        database = Database(url, Role.ENGINE, pool_size=2)
        events = EventSignal(url)
        async with AsyncExitStack() as stack:
            if listening:
                await stack.enter_async_context(events)
            task = asyncio.create_task(Relay(database, launcher, events).run())
            try:
                yield task
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                await database.close()

    async def launched(self, launcher: RecordingLauncher, count: int) -> None:
        async def enough() -> bool:
            return len(launcher.launched) >= count

        await eventually(enough)
        assert len(set(launcher.launched)) == count

    @staticmethod
    async def listener(office: Office) -> int | None:
        """Return the process that listens, once it has said so."""
        rows = await office.query(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'fixlify listen' "
            "AND datname = current_database() AND query LIKE 'LISTEN%%' AND state = 'idle'"
        )
        return rows[0]["pid"] if rows else None

    async def test_a_notification_wakes_it(
        self, office: Office, launcher: RecordingLauncher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("starter.relay.POLL_INTERVAL", timedelta(hours=1))
        await office.apply(ON_COMPLETION)
        job = await office.add_job()
        async with self.running(office.url, launcher):
            await eventually(lambda: self.listener(office))
            await office.write_status(job, "completed")
            await self.launched(launcher, 1)

    async def test_a_notification_is_news_more_than_once(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A commit that left it to another is done a moment after the one that notified."""
        monkeypatch.setattr(
            "fixlify.storage.listen.AFTERTHOUGHTS",
            [n * timedelta(milliseconds=25) for n in range(1, 1000)],
        )
        async with EventSignal(office.url) as signal, asyncio.timeout(30):
            await eventually(lambda: self.listener(office))
            await office.add_job()
            # Once for listening, once for the job, and then for what came with it.
            for _ in range(4):
                await signal.wait(timedelta(hours=1))

    async def test_without_notifications_it_polls(
        self, office: Office, launcher: RecordingLauncher
    ) -> None:
        await office.apply(ON_COMPLETION)
        job = await office.add_job()
        async with self.running(office.url, launcher, listening=False):
            await office.write_status(job, "completed")
            await self.launched(launcher, 1)

    async def test_a_connection_that_is_cut_is_made_again(
        self, office: Office, launcher: RecordingLauncher
    ) -> None:
        await office.apply(ON_COMPLETION)
        job = await office.add_job()
        async with self.running(office.url, launcher):
            lost = await eventually(lambda: self.listener(office))
            await office.query("SELECT pg_terminate_backend(%s)", lost)
            await office.write_status(job, "completed")
            await self.launched(launcher, 1)

            async def listens_again() -> bool:
                return (await self.listener(office)) not in (None, lost)

            await eventually(listens_again)

    async def test_what_a_crash_left_behind_is_launched_at_the_start(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        await office.apply(ON_COMPLETION)
        await office.write_status(await office.add_job(), "completed")
        launcher.dying = True
        with pytest.raises(KilledError):
            await relay.relay_batch()
        launcher.dying = False
        await age(office, "taken_at", timedelta(minutes=1))
        async with self.running(office.url, launcher):
            await self.launched(launcher, 1)

    async def test_postgres_is_killed_and_comes_back(
        self, tmp_path: Path, launcher: RecordingLauncher
    ) -> None:
        async with EmbeddedPostgres(tmp_path) as server:
            url = server.dsn("fixlify")
            await asyncio.to_thread(migrate, url)
            async with await Office.open(url) as office:
                await office.apply(ON_COMPLETION)
                organization = office.organization_id
                await office.add_job("J-1")
                await office.add_job("J-2")
            async with self.running(url, launcher) as relay:
                async with await Office.open(url) as office:
                    office.organization_id = organization
                    await office.write_status("J-1", "completed")
                    await self.launched(launcher, 1)
                    # Committed in the moment before the crash: on disk, and nowhere else.
                    await office.write_status("J-2", "completed")
                    os.kill(
                        int((tmp_path / "data/postmaster.pid").read_text().split()[0]),
                        signal.SIGKILL,
                    )
                await server.wait()
                await server.start()
                await self.launched(launcher, 2)
                assert not relay.done()
