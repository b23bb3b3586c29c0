"""Recorded events become executions: one per automation and occurrence, or a reason why not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import product

import psycopg
import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.events import SubjectType
from fixlify.domain.facts import Subject
from fixlify.storage.database import Database, Role
from fixlify.storage.facts import load_facts
from fixlify.storage.launching import InFlight
from fixlify.storage.listen import EventSignal
from starter.relay import BATCH, Relay
from tests.clones import delete_everything, new_database
from tests.conftest import TEMPLATE
from tests.office import Office
from tests.relaying import (
    ON_ANY_CHANGE,
    ON_COMPLETION,
    RecordingLauncher,
    age,
    event_outcomes,
    outcomes,
    relay_everything,
    status_events,
)

# These runs never begin, and are not to wait for that.
PLENTY = InFlight(per_organization=1000, overall=1000)


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


async def add_jobs(office: Office, count: int) -> None:
    """Enter jobs J-1, J-2, …, as if that had been relayed."""
    await office.query(
        "INSERT INTO jobs (organization_id, id, status) "
        "SELECT %s, 'J-' || generate_series(1, %s), 'scheduled'",
        office.organization_id,
        count,
    )
    await office.query("UPDATE automation_events SET processed_at = now()")


class TestMatching:
    """Every event ends in executions, or in a recorded reason why not."""

    async def test_one_execution_for_each_automation_that_listens(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        await office.apply(ON_COMPLETION)
        await office.apply(ON_ANY_CHANGE)
        job = await office.add_job()
        await office.write_status(job, "completed")
        await relay_everything(relay)

        executions = await office.executions()
        assert [(e["status"], e["subject_id"]) for e in executions] == [("pending", job)] * 2
        assert sorted(launcher.launched) == sorted(e["id"] for e in executions)
        assert all(e["launched_at"] is not None for e in executions)
        assert await event_outcomes(office) == ["nothing matched", "2 pending"]

    async def test_an_execution_says_what_set_it_off(self, office: Office, relay: Relay) -> None:
        applied = await office.apply(ON_COMPLETION)
        job = await office.add_job()
        await office.write_status(job, "Completed")
        await relay_everything(relay)

        (execution,) = await office.executions()
        event = (await status_events(office))[-1]
        assert execution["automation_id"] == applied.automation.id
        assert execution["automation_version"] == 1
        assert execution["occurrence_key"] == f"event/{event['id']}"
        assert execution["occurred_at"] == event["occurred_at"]
        assert execution["trigger_type"] == "job_completed"
        assert execution["trigger_data"] == {
            "event_id": event["id"],
            "event_type": "job_status_changed",
            "job_id": job,
            "before": "scheduled",
            "after": "Completed",
        }

    async def test_what_nothing_listens_for_is_recorded_as_such(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        job = await office.add_job()
        await office.write_status(job, "completed")
        await relay_everything(relay)
        assert await event_outcomes(office) == ["nothing matched"] * 2
        assert all(event["processed_at"] for event in await office.events())
        assert launcher.launched == []

    @pytest.mark.parametrize("status", ["draft", "paused", "archived"])
    async def test_only_active_automations_listen(
        self, office: Office, relay: Relay, status: str
    ) -> None:
        await office.apply(ON_COMPLETION)
        await office.query("UPDATE automation_workflows SET status = %s", status)
        job = await office.add_job()
        await office.write_status(job, "completed")
        await relay_everything(relay)
        assert await outcomes(office) == []

    async def test_enabling_and_editing_take_effect_at_the_next_batch(
        self, office: Office, relay: Relay
    ) -> None:
        await office.apply(ON_COMPLETION)
        job = await office.add_job()
        await office.write_status(job, "completed")
        await relay_everything(relay)
        await office.apply(ON_COMPLETION.replace("job_completed", "job_status_changed, to: closed"))
        await office.write_status(job, "closed")
        await relay_everything(relay)
        await office.query("UPDATE automation_workflows SET status = 'paused'")
        await office.write_status(job, "completed")
        await relay_everything(relay)

        executions = await office.executions()
        assert [(e["trigger_value"], e["automation_version"], e["status"]) for e in executions] == [
            ("completed", 1, "pending"),
            ("closed", 2, "pending"),
        ]

    async def test_an_edit_by_hand_takes_effect_at_the_next_batch(
        self, office: Office, relay: Relay
    ) -> None:
        await office.apply(ON_ANY_CHANGE)
        job = await office.add_job()
        await office.write_status(job, "started")
        await relay_everything(relay)
        await office.query("""UPDATE automation_workflows SET trigger_config = '{"to": ["x"]}'""")
        await office.write_status(job, "completed")
        await relay_everything(relay)
        assert [e["trigger_value"] for e in await office.executions()] == ["started"]

    async def test_a_condition_that_is_not_met_is_recorded_with_what_was_found(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        await office.apply(
            ON_COMPLETION
            + "    conditions: {field: job.total, operator: greater_than, value: 1000}"
        )
        job = await office.add_job(total=240)
        await office.write_status(job, "completed")
        await relay_everything(relay)

        reason = "conditions not met: job.total greater_than 1000 (it is '240.00')"
        assert await outcomes(office) == [("skipped", reason)]
        assert launcher.launched == []
        (execution,) = await office.executions()
        assert execution["completed_at"] is not None
        assert await event_outcomes(office) == ["nothing matched", "1 skipped"]

    async def test_a_job_that_is_gone_meets_no_condition(
        self, office: Office, relay: Relay
    ) -> None:
        await office.apply(ON_COMPLETION)
        await office.apply(
            ON_COMPLETION.replace("Thanks", "Picky")
            + "    conditions: {field: job.total, operator: greater_than, value: 1}"
        )
        job = await office.add_job()
        await office.write_status(job, "completed")
        await office.query("DELETE FROM jobs")
        await relay_everything(relay)
        assert sorted(await outcomes(office)) == [
            ("pending", None),
            ("skipped", "the job no longer exists"),
        ]

    async def test_what_a_sweep_found_waits_for_a_relay_only_so_long(
        self, office: Office, relay: Relay
    ) -> None:
        """The sweeps go on while no relay does; a visit of last week needs no reminder."""
        applied = await office.apply(
            "name: Reminder\ntrigger: {type: appointment_reminder, before: 24h}\n"
            "steps: [{type: send_sms, text: See you tomorrow.}]"
        )
        await office.query("UPDATE automation_workflows SET activated_at = now() - interval '9 d'")
        for number, hours in enumerate((1, 3)):
            await office.query(
                "INSERT INTO automation_events (organization_id, event_type, subject_type,"
                " subject_id, automation_id, occurrence_key, occurred_at)"
                " VALUES (%s, 'appointment_reminder', 'job', 'J-1', %s, %s, now() - %s)",
                office.organization_id,
                applied.automation.id,
                f"appointment_reminder/J-1/{number}/86400",
                timedelta(hours=hours),
            )
        await relay_everything(relay)
        assert sorted(await outcomes(office)) == [
            ("pending", None),
            ("skipped", "found 180 minutes before a relay came to it; it is sent at most 2h late"),
        ]

    async def test_null_and_back(self, office: Office, relay: Relay) -> None:
        await office.apply(ON_ANY_CHANGE)
        job = await office.add_job(status=None)
        for status in ("scheduled", None, "completed"):
            await office.write_status(job, status)
        await relay_everything(relay)
        assert [(e["status"], e["trigger_value"]) for e in await office.executions()] == [
            ("pending", "scheduled"),
            ("pending", ""),
            ("pending", "completed"),
        ]

    async def test_a_change_of_spelling_is_no_change(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        await office.apply(ON_ANY_CHANGE)
        job = await office.add_job(status="in_progress")
        await office.write_status(job, "In-Progress")
        await relay_everything(relay)
        assert await outcomes(office) == []
        assert await event_outcomes(office) == ["nothing matched"] * 2

    async def test_a_spelling_the_automation_does_not_use(
        self, office: Office, relay: Relay
    ) -> None:
        await office.apply(
            ON_COMPLETION.replace("job_completed", "job_status_changed, to: in_progress")
        )
        job = await office.add_job()
        await office.write_status(job, "In-Progress")
        await relay_everything(relay)
        assert await outcomes(office) == [("pending", None)]


class TestDuplicates:
    """Within thirty seconds one execution per automation, job and status."""

    async def test_the_same_status_reached_twice(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        await office.apply(ON_COMPLETION)
        job = await office.add_job()
        for status in ("completed", "scheduled", "completed"):
            await office.write_status(job, status)
        await relay_everything(relay)
        assert await outcomes(office) == [("pending", None), ("skipped", "duplicate")]
        assert len(launcher.launched) == 1

    async def test_the_same_update_twice(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        await office.apply(ON_COMPLETION)
        job = await office.add_job()
        await office.write_status(job, "completed")
        await office.write_status(job, "completed")
        await relay_everything(relay)
        assert await outcomes(office) == [("pending", None), ("skipped", "duplicate")]
        assert await event_outcomes(office) == ["nothing matched", "1 pending", "1 skipped"]

    async def test_the_same_update_again_in_a_later_batch(
        self, office: Office, relay: Relay
    ) -> None:
        await office.apply(ON_COMPLETION)
        job = await office.add_job()
        for spelling in ("completed", "completed", "Completed"):
            await office.write_status(job, spelling)
            await relay_everything(relay)
        assert await outcomes(office) == [
            ("pending", None),
            ("skipped", "duplicate"),
            ("skipped", "duplicate"),
        ]

    @pytest.mark.parametrize(
        ("seconds", "second"),
        [
            (29.9, ("skipped", "duplicate")),
            (30, ("pending", None)),
            (30.1, ("pending", None)),
            (-29.9, ("skipped", "duplicate")),
            (-30.1, ("pending", None)),
        ],
    )
    async def test_the_window_counts_between_the_changes(
        self, office: Office, relay: Relay, seconds: float, second: tuple[str, str | None]
    ) -> None:
        """Not between the batches, and not by the clock's half minutes."""
        await office.apply(ON_COMPLETION)
        job = await office.add_job()
        await office.write_status(job, "completed")
        await relay_everything(relay)
        await office.query("UPDATE automation_workflows SET activated_at = NULL")
        await office.write_status(job, "scheduled")
        await office.write_status(job, "completed")
        await office.query(
            """
            UPDATE automation_events SET occurred_at =
                (SELECT occurred_at FROM automation_execution_logs) + make_interval(secs => %s)
            WHERE processed_at IS NULL
            """,
            seconds,
        )
        await relay_everything(relay)
        assert await outcomes(office) == [("pending", None), second]

    @pytest.mark.parametrize("ended", ["completed", "failed", "cancelled", "skipped"])
    async def test_a_run_that_is_over_still_fills_its_window(
        self, office: Office, relay: Relay, ended: str
    ) -> None:
        """Also one that was skipped at its end, because everybody had opted out."""
        await office.apply(ON_COMPLETION)
        job = await office.add_job()
        await office.write_status(job, "completed")
        await relay_everything(relay)
        await office.query(
            "UPDATE automation_execution_logs SET status = %s, started_at = now()", ended
        )
        await office.write_status(job, "completed")
        await relay_everything(relay)
        assert await outcomes(office) == [(ended, None), ("skipped", "duplicate")]

    async def test_what_the_conditions_skipped_fills_no_window(
        self, office: Office, relay: Relay
    ) -> None:
        await office.apply(
            ON_COMPLETION
            + "    conditions: {field: job.total, operator: greater_than, value: 1000}"
        )
        job = await office.add_job(total=240)
        await office.write_status(job, "completed")
        await relay_everything(relay)
        await office.query("UPDATE jobs SET total = 2000, status = 'scheduled'")
        await office.write_status(job, "completed")
        await relay_everything(relay)
        assert [status for status, _ in await outcomes(office)] == ["skipped", "pending"]

    async def test_every_status_has_a_window_of_its_own(self, office: Office, relay: Relay) -> None:
        await office.apply(ON_ANY_CHANGE)
        job = await office.add_job()
        for status in ("started", "completed"):
            await office.write_status(job, status)
            await relay_everything(relay)
        assert await outcomes(office) == [("pending", None)] * 2

    async def test_every_job_has_a_window_of_its_own(self, office: Office, relay: Relay) -> None:
        await office.apply(ON_ANY_CHANGE)
        for job in ("J-1", "J-2"):
            await office.add_job(job)
            await office.write_status(job, "completed")
            await relay_everything(relay)
        assert await outcomes(office) == [("pending", None)] * 2

    async def test_two_automations_have_a_window_each(self, office: Office, relay: Relay) -> None:
        await office.apply(ON_COMPLETION)
        job = await office.add_job()
        await office.write_status(job, "completed")
        await relay_everything(relay)
        await office.apply(ON_ANY_CHANGE)
        await office.write_status(job, "scheduled")
        await office.write_status(job, "completed")
        await relay_everything(relay)
        decided = Counter(
            (e["trigger_type"], e["trigger_value"], e["status"]) for e in await office.executions()
        )
        assert decided == {
            ("job_completed", "completed", "pending"): 1,
            ("job_completed", "completed", "skipped"): 1,
            ("job_status_changed", "scheduled", "pending"): 1,
            ("job_status_changed", "completed", "pending"): 1,
        }

    async def test_an_event_that_is_relayed_again_changes_nothing(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        """An occurrence is one execution for ever, also after its window."""
        await office.apply(ON_COMPLETION)
        job = await office.add_job()
        await office.write_status(job, "completed")
        await relay_everything(relay)
        await age(office, "occurred_at", timedelta(days=1))
        await office.query("UPDATE automation_events SET processed_at = NULL")
        await relay_everything(relay)
        assert await outcomes(office) == [("pending", None)]
        assert await event_outcomes(office) == ["nothing matched", "1 pending"]
        assert len(launcher.launched) == 1


class TestSeveralRelays:
    """Relays share the work; together they decide what one would."""

    @asynccontextmanager
    async def two_relays(
        self, url: str, launcher: RecordingLauncher
    ) -> AsyncIterator[tuple[Relay, Relay]]:
        databases = [Database(url, Role.ENGINE, pool_size=2) for _ in range(2)]
        one, other = (
            Relay(database, launcher, EventSignal(url), bounds=PLENTY) for database in databases
        )
        try:
            yield one, other
        finally:
            for database in databases:
                await database.close()

    async def test_every_event_is_taken_by_one_of_them(
        self, office: Office, launcher: RecordingLauncher
    ) -> None:
        await office.apply(ON_COMPLETION)
        await add_jobs(office, 300)
        await office.query("UPDATE jobs SET status = 'completed'")
        async with self.two_relays(office.url, launcher) as relays:
            await asyncio.gather(*map(relay_everything, relays))

        assert Counter(await outcomes(office)) == {("pending", None): 300}
        assert len({e["subject_id"] for e in await office.executions()}) == 300
        assert len(set(launcher.launched)) == len(launcher.launched) == 300

    async def test_they_share_one_duplicate_window(
        self, office: Office, launcher: RecordingLauncher
    ) -> None:
        """Three jobs go back and forth fifty times: both relays always meet the same windows."""
        await office.apply(ON_ANY_CHANGE)
        await add_jobs(office, 3)
        for _ in range(50):
            await office.query("UPDATE jobs SET status = 'a'")
            await office.query("UPDATE jobs SET status = 'b'")
        async with self.two_relays(office.url, launcher) as relays:
            await asyncio.gather(*map(relay_everything, relays))

        decided = Counter(
            (e["subject_id"], e["trigger_value"], e["status"], e["reason"])
            for e in await office.executions()
        )
        jobs, values = ("J-1", "J-2", "J-3"), ("a", "b")
        expected: dict[tuple[str, str, str, str | None], int] = {}
        for job, value in product(jobs, values):
            expected[job, value, "pending", None] = 1
            expected[job, value, "skipped", "duplicate"] = 49
        assert decided == expected
        assert len(launcher.launched) == 6

    async def test_one_that_hangs_holds_up_only_what_it_holds(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        await office.apply(ON_COMPLETION)
        await add_jobs(office, 2)
        await office.query("UPDATE jobs SET status = 'completed'")
        async with await psycopg.AsyncConnection.connect(office.url) as hanging:
            await hanging.execute(
                "SELECT * FROM automation_events WHERE subject_id = 'J-1' FOR UPDATE"
            )
            await relay_everything(relay)
            assert [e["subject_id"] for e in await office.executions()] == ["J-2"]
        await relay_everything(relay)
        assert [e["subject_id"] for e in await office.executions()] == ["J-2", "J-1"]


class TestOrganizations:
    """One company's events never meet another's automations."""

    async def test_the_same_job_id_in_two_companies(
        self, office: Office, database_url: str, relay: Relay
    ) -> None:
        async with await Office.open(database_url, "Harbor Plumbing") as other:
            await office.apply(ON_COMPLETION)
            await other.apply(ON_ANY_CHANGE)
            for company in (office, other):
                await company.add_job("J-1")
            await other.write_status("J-1", "completed")
            await relay_everything(relay)
            assert await outcomes(office) == []
            assert [e["trigger_type"] for e in await other.executions()] == ["job_status_changed"]

    async def test_two_companies_in_one_batch(
        self, office: Office, database_url: str, relay: Relay
    ) -> None:
        async with await Office.open(database_url, "Harbor Plumbing") as other:
            await office.apply(ON_COMPLETION)
            await other.apply(ON_ANY_CHANGE)
            for company in (office, other):
                await company.add_job("J-1")
                await company.write_status("J-1", "completed")
            assert await relay.relay_batch() == len(
                await office.query("SELECT id FROM automation_events")
            )
            assert [e["trigger_type"] for e in await office.executions()] == ["job_completed"]
            assert [e["trigger_type"] for e in await other.executions()] == ["job_status_changed"]

    async def test_facts_are_those_of_ones_own_people(
        self, office: Office, database_url: str, engine_database: Database
    ) -> None:
        async with await Office.open(database_url, "Harbor Plumbing") as other:
            await office.add_job("J-1")
            await other.add_job("J-1", client_id=await other.add_client(first_name="Grace"))
            subject = Subject(other.organization_id, SubjectType.JOB, "J-1")
            gone = Subject(office.organization_id, SubjectType.JOB, "J-2")
            async with engine_database.statement() as connection:
                known = await load_facts(connection, [subject, gone])
            assert set(known) == {subject}
            assert known[subject].organization.name == "Harbor Plumbing"
            assert known[subject].lookup("client.first_name") == "Grace"

    async def test_conditions_look_at_ones_own_job(
        self, office: Office, database_url: str, relay: Relay
    ) -> None:
        async with await Office.open(database_url, "Harbor Plumbing") as other:
            await office.apply(
                ON_COMPLETION
                + "    conditions: {field: client.first_name, operator: equals, value: Grace}"
            )
            await office.add_job("J-1")
            client = await other.add_client(first_name="Grace")
            await other.add_job("J-1", client_id=client)
            await office.write_status("J-1", "completed")
            await relay_everything(relay)
            ((status, reason),) = await outcomes(office)
            assert (status, "(it is 'Ada')" in str(reason)) == ("skipped", True)


async def test_five_hundred_jobs_at_once(
    office: Office, engine_database: Database, launcher: RecordingLauncher
) -> None:
    relay = Relay(engine_database, launcher, EventSignal(office.url), bounds=PLENTY)
    await office.apply(ON_COMPLETION)
    await add_jobs(office, 500)
    await office.query("UPDATE jobs SET status = 'completed'")
    claimed = []
    while size := await relay.relay_batch():
        claimed.append(size)
    # A change of status is also an edit.
    assert claimed == [BATCH] * 10
    assert Counter(await outcomes(office)) == {("pending", None): 500}
    assert len(set(launcher.launched)) == 500
