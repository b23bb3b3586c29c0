"""What an automation does says what led to it, and sets the automation itself off no more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.ids import new_id, workflow_id
from fixlify.storage.chains import carry_chain, names_in_chains
from fixlify.storage.database import Database
from fixlify.storage.executions import begin_execution
from fixlify.storage.listen import EventSignal
from starter.matching import MAX_CHAIN
from starter.relay import Relay
from tests.clones import delete_everything, new_database
from tests.conftest import TEMPLATE
from tests.office import Office
from tests.relaying import RecordingLauncher, RecordingTeller, relay_everything

ON_NEW_JOB = """
    name: Book a follow-up
    trigger: {type: job_created}
    steps: [{type: send_sms, text: Booked.}]
"""
ON_NEW_TASK = """
    name: Enter the job
    trigger: {type: task_created}
    steps: [{type: send_sms, text: Entered.}]
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


@pytest.fixture
def relay(engine_database: Database, database_url: str) -> Relay:
    """A relay that the test drives by hand."""
    return Relay(engine_database, RecordingLauncher(), EventSignal(database_url), RecordingTeller())


async def enter_job(database: Database, office: Office, execution: UUID, job: str) -> None:
    """Do what a step that acts does: carry the chain, and write."""
    async with database.transaction() as connection:
        await carry_chain(connection, execution)
        # The owner of the tables; what the engine may write is not what this is about.
        await connection.execute(text("SET LOCAL ROLE NONE"))
        await connection.execute(
            text("INSERT INTO jobs (organization_id, id, status) VALUES (:o, :job, 'new')"),
            {"o": office.organization_id, "job": job},
        )


async def enter_task(database: Database, office: Office, execution: UUID) -> None:
    async with database.transaction() as connection:
        await carry_chain(connection, execution)
        await connection.execute(
            text("INSERT INTO tasks (organization_id, title) VALUES (:o, 'Call')"),
            {"o": office.organization_id},
        )


async def newest(office: Office) -> dict[str, Any]:
    return (await office.executions())[-1]


class TestCarrying:
    """Every event of the transaction says which automations led to it, and which execution."""

    async def test_the_executions_own_chain_and_its_automation(
        self, office: Office, engine_database: Database, relay: Relay
    ) -> None:
        automation = (await office.apply(ON_NEW_JOB)).automation
        await office.add_job("J-1")
        await relay_everything(relay)
        execution = await newest(office)
        assert execution["chain"] is None
        await enter_job(engine_database, office, execution["id"], "J-2")
        created = (await office.events())[-1]
        assert (created["chain"], created["caused_by"]) == ([automation.id], execution["id"])

        earlier = new_id()
        await office.query("UPDATE automation_execution_logs SET chain = %s", [earlier])
        await enter_job(engine_database, office, execution["id"], "J-3")
        assert (await office.events())[-1]["chain"] == [earlier, automation.id]

    async def test_the_next_transaction_of_the_connection_carries_nothing(
        self, office: Office, engine_database: Database, relay: Relay
    ) -> None:
        await office.apply(ON_NEW_JOB)
        await office.add_job("J-1")
        await relay_everything(relay)
        async with engine_database.transaction() as connection:
            await carry_chain(connection, (await newest(office))["id"])
        async with engine_database.transaction() as connection:
            said = text("SELECT current_setting('fixlify.chain', true)")
            assert not await connection.scalar(said)
            assert await connection.scalar(text("SELECT fixlify_current_chain()")) is None

    async def test_there_is_no_such_execution(self, engine_database: Database) -> None:
        async with engine_database.transaction() as connection:
            with pytest.raises(LookupError, match="there is no execution"):
                await carry_chain(connection, new_id())

    async def test_people_cause_what_they_write(self, office: Office) -> None:
        await office.add_job()
        assert {(e["chain"], e["caused_by"]) for e in await office.events()} == {(None, None)}

    async def test_a_run_does_not_hear_what_it_did(
        self, office: Office, engine_database: Database, relay: Relay
    ) -> None:
        """Another run of the same subject does."""
        waiting = "steps: [{type: wait, for: 1d}, {type: send_sms, text: x}]"
        for name in ("One", "Two"):
            await office.apply(f"{{name: {name}, trigger: {{type: job_created}}, {waiting}}}")
        await office.add_job("J-1")
        await relay_everything(relay)
        one, two = [row["id"] for row in await office.executions()]
        async with engine_database.transaction() as connection:
            for each in (one, two):
                await begin_execution(
                    connection,
                    each,
                    office.organization_id,
                    workflow_id=workflow_id(each),
                    run_id="r",
                )
        async with engine_database.transaction() as connection:
            await carry_chain(connection, one)
            await connection.execute(text("UPDATE jobs SET status = 'confirmed'"))
        await relay_everything(relay)
        signals = await office.query("SELECT DISTINCT execution_id FROM automation_signals")
        assert [signal["execution_id"] for signal in signals] == [two]


class TestLoops:
    """An automation that creates jobs was once triggered by its own until nothing ran any more."""

    async def test_an_automation_that_creates_jobs_runs_once(
        self, office: Office, engine_database: Database, relay: Relay
    ) -> None:
        await office.apply(ON_NEW_JOB)
        await office.add_job("J-1")
        await relay_everything(relay)
        await enter_job(engine_database, office, (await newest(office))["id"], "J-2")
        await relay_everything(relay)
        first, second = await office.executions()
        assert (first["status"], first["subject_id"]) == ("pending", "J-1")
        assert (second["status"], second["subject_id"]) == ("skipped", "J-2")
        assert second["reason"] == (
            "loop: set off by its own change (Book a follow-up -> Book a follow-up)"
        )

    async def test_two_automations_that_set_each_other_off_run_once_each(
        self, office: Office, engine_database: Database, relay: Relay
    ) -> None:
        jobs = (await office.apply(ON_NEW_JOB)).automation
        await office.apply(ON_NEW_TASK)
        await office.add_job("J-1")
        await relay_everything(relay)
        await enter_task(engine_database, office, (await newest(office))["id"])
        await relay_everything(relay)
        assert (await newest(office))["chain"] == [jobs.id]
        await enter_job(engine_database, office, (await newest(office))["id"], "J-2")
        await relay_everything(relay)
        assert [each["status"] for each in await office.executions()] == [
            "pending",
            "pending",
            "skipped",
        ]
        assert (await newest(office))["reason"] == (
            "loop: set off by its own change "
            "(Book a follow-up -> Enter the job -> Book a follow-up)"
        )

    async def test_a_chain_of_different_automations_ends(
        self, office: Office, engine_database: Database, relay: Relay
    ) -> None:
        """Each waits for a status and writes the next; nobody made a loop, and it ends."""
        for number in range(MAX_CHAIN + 2):
            await office.apply(f"""
                name: Step {number}
                trigger: {{type: job_status_changed, to: s{number}}}
                steps: [{{type: send_sms, text: x}}]
            """)
        await office.add_job("J-1")
        await office.write_status("J-1", "s0")
        await relay_everything(relay)
        for number in range(1, MAX_CHAIN + 1):
            async with engine_database.transaction() as connection:
                await carry_chain(connection, (await newest(office))["id"])
                await connection.execute(
                    text("UPDATE jobs SET status = :status"), {"status": f"s{number}"}
                )
            await relay_everything(relay)
        executions = await office.executions()
        assert [each["status"] for each in executions] == ["pending"] * MAX_CHAIN + ["skipped"]
        assert executions[-1]["reason"] == (
            "chain too long: it ends after 5 automations "
            "(Step 0 -> Step 1 -> Step 2 -> Step 3 -> Step 4 -> Step 5)"
        )

    async def test_no_company_learns_what_anothers_automations_are_called(
        self, office: Office, engine_database: Database, relay: Relay
    ) -> None:
        """Whoever writes may say anything about the chain."""
        async with await Office.open(office.url, "Southwind") as other:
            secret = (await other.apply(ON_NEW_TASK.replace("Enter the job", "Secret"))).automation
        ours = (await office.apply(ON_NEW_JOB)).automation
        await office.query(f"SET fixlify.chain = '{secret.id},{ours.id}'")
        await office.add_job("J-1")
        await relay_everything(relay)
        reason = (await newest(office))["reason"]
        assert "Secret" not in reason
        assert str(secret.id) in reason
        known, theirs = (office.organization_id, ours.id), (office.organization_id, secret.id)
        async with engine_database.statement() as connection:
            assert await names_in_chains(connection, [known, theirs]) == {known: "Book a follow-up"}
            assert await names_in_chains(connection, []) == {}


ID = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


class TestGarbage:
    """Whatever stands in the settings, no business write fails for it."""

    @pytest.mark.parametrize("setting", ["chain", "cause"])
    @pytest.mark.parametrize("role", [None, "fixlify_app"])
    @pytest.mark.parametrize(
        "value",
        [
            "",
            " ",
            ",",
            "x",
            "{}",
            "NULL",
            ID[:-1],
            ID.replace("-", ""),
            f"{{{ID}}}",
            f" {ID}",
            f"{ID}\n",
            f"{ID},",
            f",{ID}",
            f"{ID};{ID}",
            f"{ID},nobody",
            ",".join([ID] * 40),
            "'; DROP TABLE jobs; --",
            "0" * 100_000,
            "\u202e\U0001f4a5",
        ],
    )
    async def test_what_is_no_chain_is_none(
        self, office: Office, setting: str, role: str | None, value: str
    ) -> None:
        await office.query(
            "SELECT set_config('fixlify.organization_id', %s, false)", str(office.organization_id)
        )
        if role is not None:
            await office.query(f"SET ROLE {role}")
        await office.query(f"SELECT set_config('fixlify.{setting}', %s, false)", value)
        await office.add_job(client_id=None)
        await office.write_status("J-2019", "completed")
        await office.query("RESET ROLE")
        events = await office.events()
        assert len(events) == 3
        assert {(each["chain"], each["caused_by"]) for each in events} == {(None, None)}

    @pytest.mark.parametrize("role", [None, "fixlify_app"])
    async def test_what_is_one_is_taken_down(self, office: Office, role: str | None) -> None:
        await office.query(
            "SELECT set_config('fixlify.organization_id', %s, false)", str(office.organization_id)
        )
        if role is not None:
            await office.query(f"SET ROLE {role}")
        await office.query("SELECT set_config('fixlify.chain', %s, false)", f"{ID},{ID}")
        await office.query("SELECT set_config('fixlify.cause', %s, false)", ID)
        await office.add_job(client_id=None)
        await office.query("RESET ROLE")
        [created] = await office.events()
        assert (created["chain"], created["caused_by"]) == ([UUID(ID), UUID(ID)], UUID(ID))
