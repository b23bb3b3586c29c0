"""A run that waits hears what happens to its subject and its client, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.events import SubjectType
from fixlify.domain.ids import workflow_id
from fixlify.domain.relatives import BELONGS_TO
from fixlify.domain.runs import RunProgress
from fixlify.storage.database import Database
from fixlify.storage.executions import begin_execution, record_progress
from fixlify.storage.listen import EventSignal
from starter.relay import Relay
from tests.clones import delete_everything, new_database
from tests.conftest import TEMPLATE
from tests.office import Office
from tests.relaying import RecordingLauncher, RecordingTeller, relay_everything

ON_NEW_JOB = """
    name: Reminder
    trigger: {type: job_created}
    steps: [{type: wait, for: 2d}, {type: send_sms, text: See you.}]
"""
ON_NEW_CLIENT = """
    name: Welcome
    trigger: {type: client_created}
    steps: [{type: wait, for: 2d}, {type: send_sms, text: Welcome.}]
"""


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


class Town:
    """A company with runs that wait, and a relay driven by hand; lives as long as its test."""

    def __init__(self, office: Office, database: Database) -> None:
        self.office = office
        self.database = database
        self.teller = RecordingTeller()
        self.relay = Relay(database, RecordingLauncher(), EventSignal(office.url), self.teller)

    async def relay_everything(self) -> None:
        await relay_everything(self.relay)

    async def waits(self, automation: str, subject: Callable[[], Awaitable[Any]]) -> UUID:
        """Let one run of *automation* wait, set off by what *subject* enters."""
        applied = await self.office.apply(automation)
        await subject()
        await self.relay_everything()
        [row] = await self.office.query(
            "SELECT id FROM automation_execution_logs WHERE automation_id = %s "
            "AND status = 'pending'",
            applied.automation.id,
        )
        await self.begin(row["id"])
        self.teller.told.clear()
        execution: UUID = row["id"]
        return execution

    async def begin(self, execution: UUID) -> None:
        organization = self.office.organization_id
        async with self.database.transaction() as connection:
            await begin_execution(
                connection, execution, organization, workflow_id=workflow_id(execution), run_id="r"
            )

    async def wait(self, execution: UUID) -> None:
        """Record that the run waits, as it does whenever it begins to."""
        progress = RunProgress(
            execution_id=execution, organization_id=self.office.organization_id, waiting_for="x"
        )
        async with self.database.transaction() as connection:
            await record_progress(connection, progress)

    async def heard(self, execution: UUID) -> list[str]:
        """Relay what happened; return the types of the events that the run was told of."""
        await self.relay_everything()
        heard = self.teller.heard.get(execution, [])
        types = {event["id"]: event["event_type"] for event in await self.office.events()}
        return [types[event_id] for event_id in heard]


@pytest.fixture
async def town(office: Office, engine_database: Database) -> Town:
    return Town(office, engine_database)


@pytest.fixture
async def run(town: Town) -> UUID:
    """A run about the job J-2019 that waits."""
    return await town.waits(ON_NEW_JOB, town.office.add_job)


class TestItsSubject:
    """What happens to the very record that the run is about."""

    async def test_a_visit_that_is_moved_and_a_job_that_is_cancelled(
        self, town: Town, run: UUID
    ) -> None:
        await town.office.query("UPDATE jobs SET schedule_start = '2026-12-01T10:00Z'")
        await town.office.write_status("J-2019", "cancelled")
        heard = await town.heard(run)
        assert heard == ["job_scheduled", "job_updated", "job_status_changed", "job_updated"]
        [hearing] = town.teller.told
        assert hearing.workflow_id == f"automation/{run}"

    async def test_a_run_that_already_waits(self, town: Town, run: UUID) -> None:
        await town.wait(run)
        await town.office.write_status("J-2019", "cancelled")
        assert "job_status_changed" in await town.heard(run)

    async def test_another_job_is_none_of_its_business(self, town: Town, run: UUID) -> None:
        await town.office.add_job("J-2020", client_id=None)
        await town.office.write_status("J-2020", "cancelled")
        assert await town.heard(run) == []

    async def test_another_company_may_have_a_job_of_the_same_name(
        self, town: Town, run: UUID
    ) -> None:
        async with await Office.open(town.office.url, "Southwind") as other:
            theirs = Town(other, town.database)
            their_run = await theirs.waits(ON_NEW_JOB, other.add_job)
            await other.write_status("J-2019", "cancelled")
            assert await theirs.heard(their_run) == ["job_status_changed", "job_updated"]
            assert theirs.teller.heard.keys() == {their_run}

    async def test_a_job_whose_number_reads_like_a_client(self, town: Town, run: UUID) -> None:
        """Ids are unique within their kind; companies choose those of jobs."""
        client = str(town.office.newest_client_id)
        await town.office.query("UPDATE automation_execution_logs SET client_id = NULL")
        await town.office.query("UPDATE automation_execution_logs SET subject_id = %s", client)
        await town.office.query("UPDATE clients SET email = 'ada@example.org'")
        assert await town.heard(run) == []

    async def test_a_status_that_is_written_again_is_no_news(self, town: Town, run: UUID) -> None:
        await town.office.write_status("J-2019", "scheduled")
        assert await town.heard(run) == []

    async def test_what_a_sweep_found_is_for_its_automation_alone(
        self, town: Town, run: UUID
    ) -> None:
        await town.office.query(
            "INSERT INTO automation_events (organization_id, event_type, subject_type, subject_id,"
            " automation_id, occurrence_key) VALUES (%s, 'stale_job', 'job', 'J-2019', %s, 'x')",
            town.office.organization_id,
            uuid4(),
        )
        assert await town.heard(run) == []

    @pytest.mark.parametrize("its_own", [True, False])
    async def test_what_the_run_did_itself_is_no_news_to_it(
        self, town: Town, run: UUID, its_own: bool
    ) -> None:
        await town.office.query(
            "INSERT INTO automation_events (organization_id, event_type, subject_type, subject_id,"
            " caused_by) VALUES (%s, 'job_updated', 'job', 'J-2019', %s)",
            town.office.organization_id,
            run if its_own else uuid4(),
        )
        assert await town.heard(run) == ([] if its_own else ["job_updated"])


class TestWhatBelongsToIt:
    """What happens to the records of a job reaches its runs, and its client's."""

    @pytest.fixture
    async def client(self, town: Town) -> UUID:
        """A run about the client of the job."""
        return await town.waits(ON_NEW_CLIENT, town.office.add_client)

    @pytest.mark.parametrize(
        ("kind", "event_type"),
        [
            ("estimate", "estimate_status_changed"),
            ("invoice", "invoice_status_changed"),
            ("payment", "payment_received"),
            ("task", "task_created"),
        ],
    )
    @pytest.mark.parametrize("whose", ["the client's own", "the job's"])
    async def test_of_a_job_and_of_a_client(
        self, town: Town, client: UUID, kind: str, event_type: str, whose: str
    ) -> None:
        """A record that names no client is the client's whose job it belongs to."""
        office = town.office
        client_id = office.newest_client_id
        job = await town.waits(ON_NEW_JOB, lambda: office.add_job(client_id=client_id))
        columns: dict[str, Any] = {"client_id": client_id if whose == "the client's own" else None}
        if kind == "payment":
            columns["invoice_id"] = await office.add_invoice(job_id="J-2019", **columns)
            await town.relay_everything()
            town.teller.told.clear()
        else:
            columns["job_id"] = "J-2019"
        await getattr(office, f"add_{kind}")(**columns)
        assert await town.heard(job) == [event_type]
        assert await town.heard(client) == [event_type]

    async def test_a_new_job_reaches_the_runs_of_its_client(self, town: Town, client: UUID) -> None:
        await town.office.add_job(client_id=town.office.newest_client_id)
        assert await town.heard(client) == ["job_created"]

    async def test_a_job_does_not_belong_to_its_invoice(self, town: Town) -> None:
        office = town.office
        await office.add_job()
        sent = "{name: Dunning, trigger: {type: invoice_sent}, steps: [{type: wait, for: 1d}]}"
        run = await town.waits(sent, lambda: office.add_invoice(job_id="J-2019", status="sent"))
        await office.write_status("J-2019", "completed")
        assert await town.heard(run) == []
        await office.query("UPDATE invoices SET status = 'paid'")
        assert await town.heard(run) == ["invoice_status_changed"]


class TestItsClient:
    """Whatever a run is about, it hears of its client, and what the client writes."""

    async def test_the_client_is_edited_and_writes(self, town: Town, run: UUID) -> None:
        await town.office.query("UPDATE clients SET sms_opted_out = true")
        await town.office.add_inbound_message("STOP", client_id=town.office.newest_client_id)
        assert await town.heard(run) == ["client_updated", "sms_received"]

    async def test_what_is_reported_about_the_client(self, town: Town, run: UUID) -> None:
        await town.office.query(
            "INSERT INTO automation_events (organization_id, event_type, subject_type, subject_id,"
            " data) SELECT organization_id, 'custom', 'client', id, '{\"name\": \"review\"}'"
            " FROM clients"
        )
        assert await town.heard(run) == ["custom"]

    async def test_another_client(self, town: Town, run: UUID) -> None:
        await town.office.add_inbound_message()
        assert await town.heard(run) == []

    async def test_another_job_of_the_client_is_none_of_its_business(
        self, town: Town, run: UUID
    ) -> None:
        await town.office.add_job("J-2020", client_id=town.office.newest_client_id)
        assert await town.heard(run) == []

    async def test_the_job_is_given_to_another_client(self, town: Town, run: UUID) -> None:
        """Whoever is its client when it begins to wait again is whom it hears of."""
        old = town.office.newest_client_id
        new = await town.office.add_client(first_name="Grace")
        await town.office.query("UPDATE jobs SET client_id = %s", new)
        await town.relay_everything()
        town.teller.told.clear()
        await town.wait(run)
        await town.office.add_inbound_message(client_id=old)
        assert await town.heard(run) == []
        await town.office.add_inbound_message(client_id=new)
        assert await town.heard(run) == ["sms_received"]


class TestWhichRuns:
    """Only runs under way that ever wait are told; the others read fresh facts."""

    @pytest.mark.parametrize(
        ("status", "hears"),
        [
            ("pending", False),
            ("running", True),
            ("waiting", True),
            ("completed", False),
            ("failed", False),
            ("skipped", False),
            ("cancelled", False),
        ],
    )
    async def test_by_their_status(self, town: Town, run: UUID, status: str, hears: bool) -> None:
        await town.office.query("UPDATE automation_execution_logs SET status = %s", status)
        await town.office.write_status("J-2019", "cancelled")
        await town.office.add_inbound_message(client_id=town.office.newest_client_id)
        assert bool(await town.heard(run)) is hears

    async def test_one_that_never_waits(self, town: Town) -> None:
        at_once = ON_NEW_JOB.replace("{type: wait, for: 2d}, ", "")
        run = await town.waits(at_once, town.office.add_job)
        await town.wait(run)
        await town.office.write_status("J-2019", "cancelled")
        await town.office.add_inbound_message(client_id=town.office.newest_client_id)
        assert await town.heard(run) == []

    async def test_several_of_one_job_each_hear_everything(self, town: Town) -> None:
        await town.office.apply(ON_NEW_JOB.replace("Reminder", "Another"))
        await town.office.apply(ON_NEW_JOB)
        await town.office.add_job()
        await town.relay_everything()
        runs = [row["id"] for row in await town.office.executions()]
        for each in runs:
            await town.begin(each)
        await town.office.write_status("J-2019", "cancelled")
        assert [await town.heard(each) for each in runs] == [
            ["job_status_changed", "job_updated"]
        ] * 2

    async def test_the_event_says_how_many_heard(self, town: Town, run: UUID) -> None:
        await town.office.apply(
            "{name: Any, trigger: {type: job_status_changed}, steps: [{type: exit}]}"
        )
        await town.office.write_status("J-2019", "cancelled")
        await town.heard(run)
        told = {event["event_type"]: event["outcome"] for event in await town.office.events()}
        assert told["job_status_changed"] == "1 pending; heard by 1"
        assert told["job_updated"] == "nothing matched; heard by 1"
        assert told["job_created"] == "1 pending"


class TestWhatBelongsToWhat:
    """The database finds the records that the definition's rules speak of."""

    @staticmethod
    async def relatives(office: Office, kind: str, subject: object) -> dict[str, str]:
        rows = await office.query(
            "SELECT * FROM fixlify_relatives_of(%s, %s, %s)",
            office.organization_id,
            kind,
            str(subject),
        )
        return {row["relative_type"]: row["relative_id"] for row in rows}

    async def test_every_kind_of_record(self, office: Office) -> None:
        client = await office.add_client()
        of_the_job = {"job_id": "J-2019", "client_id": None}
        job = await office.add_job(client_id=client)
        invoice = await office.add_invoice(**of_the_job)
        records = {
            "organization": office.organization_id,
            "client": client,
            "job": job,
            "estimate": await office.add_estimate(**of_the_job),
            "invoice": invoice,
            "payment": await office.add_payment(invoice_id=invoice, client_id=None),
            "task": await office.add_task(**of_the_job),
            "sms": await office.add_inbound_message(client_id=client),
        }
        for kind, record in records.items():
            found = await self.relatives(office, kind, record)
            assert found.keys() == {kind, *BELONGS_TO[SubjectType(kind)]}, kind
            assert found.items() <= {each: str(id_) for each, id_ in records.items()}.items()
        assert records.keys() == set(SubjectType)

    @pytest.mark.parametrize("kind", [*SubjectType, "spaceship"])
    @pytest.mark.parametrize("subject", ["", "J-1", "00000000-0000-0000-0000-000000000000"])
    async def test_what_is_gone_or_never_was(self, office: Office, kind: str, subject: str) -> None:
        assert await self.relatives(office, kind, subject) == {kind: subject}

    async def test_an_event_of_an_impossible_client_costs_nobody_theirs(
        self, town: Town, run: UUID
    ) -> None:
        await town.office.query(
            "INSERT INTO automation_events (organization_id, event_type, subject_type, subject_id)"
            " VALUES (%s, 'client_updated', 'client', '------------------------------------')",
            town.office.organization_id,
        )
        await town.office.write_status("J-2019", "cancelled")
        assert "job_status_changed" in await town.heard(run)
        assert not [e for e in await town.office.events() if "failed" in (e["outcome"] or "")]
