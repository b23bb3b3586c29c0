"""Steps write to the business's records once, and whatever keeps them from it is told."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import ProgrammingError

from activities.actions import ActionActivities
from activities.versions import PinnedVersions
from fixlify.domain.events import SubjectType
from fixlify.domain.ids import new_id
from fixlify.domain.runs import ActionReceipt, StepRequest, StepStatus
from fixlify.storage.database import Database
from fixlify.storage.stops import stop_automations
from tests.office import Office

NOW = datetime(2026, 11, 26, 15, 0, tzinfo=UTC)
DONE = ActionReceipt(status=StepStatus.COMPLETED)
TRIGGERS = {
    SubjectType.JOB: "{type: job_completed}",
    SubjectType.INVOICE: "{type: invoice_paid}",
    SubjectType.CLIENT: "{type: client_created}",
    SubjectType.ESTIMATE: "{type: estimate_sent}",
    SubjectType.TASK: "{type: task_completed}",
    SubjectType.PAYMENT: "{type: payment_received}",
}


class Acting:
    """Runs that come to a step that acts."""

    def __init__(self, database: Database, office: Office) -> None:
        self._database = database
        self._office = office
        self._activities = ActionActivities(database, PinnedVersions())

    async def request(
        self,
        step: str,
        subject_id: str | UUID = "J-2019",
        subject_type: SubjectType = SubjectType.JOB,
        **columns: Any,
    ) -> StepRequest:
        """Enter a run about this subject that has come to *step*, written in YAML."""
        applied = await self._office.apply(f"""
            name: Acts {new_id()}
            trigger: {columns.pop("trigger", TRIGGERS[subject_type])}
            {columns.pop("also", "")}
            steps:
              - {{id: act, {step}}}
        """)
        execution_id = new_id()
        await self._office.insert(
            "automation_execution_logs",
            **{
                "id": execution_id,
                "organization_id": self._office.organization_id,
                "automation_id": applied.automation.id,
                "automation_version": 1,
                "occurrence_key": f"test/{execution_id}",
                "subject_type": subject_type.value,
                "subject_id": str(subject_id),
                "trigger_type": "test",
                "trigger_value": "",
                "trigger_data": json.dumps({}),
                "occurred_at": NOW,
                "status": "running",
                **columns,
            },
        )
        return StepRequest(
            execution_id=execution_id,
            organization_id=self._office.organization_id,
            automation_id=applied.automation.id,
            version=1,
            subject_type=subject_type,
            subject_id=str(subject_id),
            step_id="act",
            now=NOW,
        )

    async def update(self, request: StepRequest) -> ActionReceipt:
        return await self._activities.update_record(request)

    async def enter(self, request: StepRequest) -> ActionReceipt:
        return await self._activities.create_task(request)

    async def account(self, request: StepRequest) -> dict[str, Any]:
        """Return what is recorded of the step."""
        (row,) = await self._office.query(
            "SELECT * FROM automation_actions WHERE execution_id = %s", request.execution_id
        )
        return row


@pytest.fixture
def acting(engine_database: Database, office: Office) -> Acting:
    return Acting(engine_database, office)


async def job(office: Office) -> dict[str, Any]:
    (row,) = await office.query("SELECT * FROM jobs WHERE id = 'J-2019'")
    return row


class TestUpdating:
    """A step writes what it says, and nothing else."""

    async def test_the_record_of_the_run(self, acting: Acting, office: Office) -> None:
        await office.add_job()
        before = await job(office)
        request = await acting.request(
            "type: update_record, set: {status: reviewed, description: null, lead_source: Web}"
        )
        assert await acting.update(request) == DONE
        changed = {"status": "reviewed", "description": None, "lead_source": "Web"}
        assert await job(office) == before | changed
        account = await acting.account(request)
        assert (account["kind"], account["status"]) == ("update", "completed")
        assert account["detail"] == {
            "record": "job",
            "id": "J-2019",
            "changed": ["lead_source", "status"],
        }

    async def test_tags_beside_those_there_are(self, acting: Acting, office: Office) -> None:
        await office.add_job(tags=["Gold", "do-not-call", "boiler"])
        request = await acting.request(
            "type: update_record, add_tags: [gold, reviewed], remove_tags: [Do Not Call]"
        )
        assert await acting.update(request) == DONE
        assert (await job(office))["tags"] == ["Gold", "boiler", "reviewed"]

    async def test_two_steps_at_once_lose_no_tag(self, acting: Acting, office: Office) -> None:
        await office.add_job()
        requests = [
            await acting.request(f"type: update_record, add_tags: [tag {n}]") for n in range(8)
        ]
        await asyncio.gather(*map(acting.update, requests))
        assert sorted((await job(office))["tags"]) == [f"tag {n}" for n in range(8)]

    async def test_all_tags(self, acting: Acting, office: Office) -> None:
        await office.add_job(tags=["Gold"])
        await acting.update(await acting.request("type: update_record, set: {tags: [a, b]}"))
        assert (await job(office))["tags"] == ["a", "b"]
        await acting.update(await acting.request("type: update_record, set: {tags: []}"))
        assert (await job(office))["tags"] == []

    async def test_what_stands_already_is_not_written(self, acting: Acting, office: Office) -> None:
        """A trigger of the company's on every UPDATE would fire for nothing."""
        await office.add_job(status="reviewed", tags=["Gold"])
        before = await office.query("SELECT xmin::text FROM jobs")
        request = await acting.request(
            "type: update_record, set: {status: reviewed}, add_tags: [gold]"
        )
        assert await acting.update(request) == DONE
        assert (await acting.account(request))["detail"]["changed"] == []
        # A lock leaves its mark elsewhere.
        assert await office.query("SELECT xmin::text FROM jobs") == before

    async def test_only_the_columns_it_names_are_written(
        self, acting: Acting, office: Office
    ) -> None:
        await office.add_job()
        await office.query("""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'not the description'; END $$
        """)
        await office.query(
            "CREATE TRIGGER guard BEFORE UPDATE OF description, lead_source ON jobs"
            " FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        assert await acting.update(await acting.request(STATUS)) == DONE

    @pytest.mark.parametrize("kind", ["estimate", "invoice", "task"])
    async def test_other_records(self, acting: Acting, office: Office, kind: str) -> None:
        add = {
            "estimate": office.add_estimate,
            "invoice": office.add_invoice,
            "task": office.add_task,
        }[kind]
        row = await add()
        request = await acting.request(
            "type: update_record, set: {status: seen}",
            row,
            SubjectType(kind),
        )
        assert await acting.update(request) == DONE
        (stored,) = await office.query(f"SELECT status FROM {kind}s WHERE id = %s", row)
        assert stored["status"] == "seen"

    async def test_a_record_the_subject_belongs_to(self, acting: Acting, office: Office) -> None:
        job_id = await office.add_job(tags=["a"])
        client = office.newest_client_id
        invoice = await office.add_invoice(client_id=None, job_id=job_id)
        for record in ("job", "client"):
            request = await acting.request(
                f"type: update_record, record: {record}, add_tags: [paid]",
                invoice,
                SubjectType.INVOICE,
            )
            assert await acting.update(request) == DONE
        assert (await job(office))["tags"] == ["a", "paid"]
        (stored,) = await office.query("SELECT tags FROM clients WHERE id = %s", client)
        assert stored["tags"] == ["paid"]

    async def test_the_invoice_of_a_payment(self, acting: Acting, office: Office) -> None:
        invoice = await office.add_invoice()
        payment = await office.add_payment(invoice_id=invoice)
        request = await acting.request(
            "type: update_record, record: invoice, set: {status: paid}",
            payment,
            SubjectType.PAYMENT,
        )
        assert await acting.update(request) == DONE
        (stored,) = await office.query("SELECT status FROM invoices")
        assert stored["status"] == "paid"

    async def test_another_companys_record_of_the_same_id_is_left_alone(
        self, acting: Acting, office: Office
    ) -> None:
        async with await Office.open(office.url, "Southwind") as other:
            await other.add_job("J-2019")
            await office.add_job("J-2019")
            await acting.update(await acting.request(STATUS))
            rows = await other.query(
                "SELECT status FROM jobs WHERE organization_id = %s", other.organization_id
            )
        assert rows == [{"status": "scheduled"}]


STATUS = "type: update_record, set: {status: reviewed}"
CALL = "type: create_task, title: Call back"


class TestWhatKeepsItFromIt:
    """It is told with its reason; nothing is tried for ever that cannot succeed."""

    async def test_a_record_that_is_gone(self, acting: Acting) -> None:
        request = await acting.request(STATUS)
        receipt = await acting.update(request)
        assert (receipt.status, receipt.reason) == (
            StepStatus.SKIPPED,
            "the job no longer exists",
        )

    async def test_a_subject_without_such_a_record(self, acting: Acting, office: Office) -> None:
        invoice = await office.add_invoice()
        request = await acting.request(
            "type: update_record, record: job, set: {status: paid}", invoice, SubjectType.INVOICE
        )
        assert await acting.update(request) == ActionReceipt(
            status=StepStatus.SKIPPED, reason="the invoice belongs to no job"
        )

    async def test_a_custom_event_about_something_nobody_writes(
        self, acting: Acting, office: Office
    ) -> None:
        payment = await office.add_payment()
        request = await acting.request(
            STATUS, payment, SubjectType.PAYMENT, trigger="{type: custom, name: any}"
        )
        receipt = await acting.update(request)
        assert receipt.status is StepStatus.FAILED
        assert receipt.reason is not None
        assert receipt.reason.startswith("no automation writes the payment; say with 'record'")

    @pytest.mark.parametrize(
        ("refuses", "reason"),
        [
            (
                "ALTER TABLE jobs ADD CONSTRAINT known CHECK (status <> 'reviewed')",
                'the database refused it: new row for relation "jobs" violates check constraint '
                '"known"',
            ),
            (
                "ALTER TABLE jobs ADD CONSTRAINT known FOREIGN KEY (organization_id, status) "
                "REFERENCES jobs (organization_id, id) NOT VALID DEFERRABLE INITIALLY DEFERRED",
                'the database refused it: insert or update on table "jobs" violates foreign key '
                'constraint "known"',
            ),
        ],
    )
    async def test_a_constraint_of_the_companys_own(
        self, acting: Acting, office: Office, refuses: str, reason: str
    ) -> None:
        await office.add_job()
        await office.query(refuses)
        request = await acting.request(STATUS)
        expected = ActionReceipt(status=StepStatus.FAILED, reason=reason)
        assert await acting.update(request) == expected
        # And the account of it stands, though the write was undone.
        assert (await acting.account(request))["status"] == "failed"
        assert await acting.update(request) == expected

    async def test_a_trigger_of_the_companys_own_whose_words_stay_in_the_database(
        self, acting: Acting, office: Office
    ) -> None:
        """What it says may name a client, and a receipt goes into Temporal's history."""
        await office.add_job()
        await office.query("""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'Ada Byron has a complaint open'; END $$
        """)
        await office.query(
            "CREATE TRIGGER guard BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        request = await acting.request(STATUS)
        receipt = await acting.update(request)
        assert receipt.status is StepStatus.FAILED
        assert receipt.reason == (
            "the database refused it: PL/pgSQL function refuse() line 1 at RAISE"
        )
        account = await acting.account(request)
        assert account["detail"]["refused"] == "Ada Byron has a complaint open"

    async def test_missing_rights_are_waited_for(self, acting: Acting, office: Office) -> None:
        """They are put right, and then the step goes on."""
        await office.add_job()
        await office.query("REVOKE UPDATE ON jobs FROM fixlify_engine")
        request = await acting.request(STATUS)
        with pytest.raises(ProgrammingError):
            await acting.update(request)
        await office.query("GRANT UPDATE (status) ON jobs TO fixlify_engine")
        assert await acting.update(request) == DONE

    async def test_a_stop_holds_it_without_a_trace(
        self, acting: Acting, office: Office, engine_database: Database
    ) -> None:
        await office.add_job()
        request = await acting.request(STATUS)
        async with engine_database.transaction() as connection:
            await stop_automations(connection, office.organization_id, "wrong prices")
        assert (await acting.update(request)).status is StepStatus.HELD
        assert (await job(office))["status"] == "scheduled"
        await office.query("DELETE FROM automation_stops")
        assert await acting.update(request) == DONE


class TestOnce:
    """A retried activity, a replayed run or a redrive finds it done."""

    async def test_a_second_call_writes_nothing(self, acting: Acting, office: Office) -> None:
        await office.add_job()
        request = await acting.request(STATUS)
        assert await acting.update(request) == DONE
        await office.write_status("J-2019", "scheduled")
        assert await acting.update(request) == DONE
        assert (await job(office))["status"] == "scheduled"

    async def test_what_was_done_is_told_though_it_may_not_be_done_any_more(
        self, acting: Acting, office: Office
    ) -> None:
        await office.add_job()
        request = await acting.request(CALL)
        await acting.enter(request)
        await office.query("UPDATE automation_workflows SET status = 'archived'")
        assert await acting.enter(request) == DONE
        assert len(await office.query("SELECT 1 FROM tasks")) == 1

    async def test_attempts_at_once_enter_one_task(self, acting: Acting, office: Office) -> None:
        await office.add_job()
        request = await acting.request(CALL)
        receipts = await asyncio.gather(*(acting.enter(request) for _ in range(8)))
        assert receipts == [DONE] * 8
        assert len(await office.query("SELECT 1 FROM tasks")) == 1

    async def test_a_run_that_waited_runs_again(self, acting: Acting, office: Office) -> None:
        await office.add_job()
        request = await acting.request(CALL, status="waiting", waiting_for="a day")
        await acting.enter(request)
        (execution,) = await office.executions()
        assert (execution["status"], execution["waiting_for"]) == ("running", None)


class TestCauses:
    """What an automation writes says so, lest it sets itself off."""

    async def test_the_event_of_a_write_carries_the_chain(
        self, acting: Acting, office: Office
    ) -> None:
        await office.add_job()
        earlier = new_id()
        request = await acting.request(STATUS, chain=[earlier])
        await acting.update(request)
        chains = {
            each["event_type"]: (each["chain"], each["caused_by"]) for each in await office.events()
        }
        ours = ([earlier, request.automation_id], request.execution_id)
        assert (chains["job_created"], chains["job_updated"]) == ((None, None), ours)
        assert chains["job_status_changed"] == ours

    async def test_what_people_write_afterwards_does_not(
        self, acting: Acting, office: Office
    ) -> None:
        await office.add_job()
        await acting.update(await acting.request(STATUS))
        await office.write_status("J-2019", "scheduled")
        assert (await office.events())[-1]["chain"] is None

    async def test_the_event_of_a_task(self, acting: Acting, office: Office) -> None:
        await office.add_job()
        request = await acting.request(CALL)
        await acting.enter(request)
        event = (await office.events())[-1]
        assert (event["event_type"], event["caused_by"]) == (
            "task_created",
            request.execution_id,
        )


class TestTasks:
    """A task says what texts say, about the same client and job, to the right person."""

    async def test_about_the_client_and_the_job(self, acting: Acting, office: Office) -> None:
        await office.add_job()
        request = await acting.request(
            'type: create_task, title: "Call {{ client.first_name }}", '
            'description: "{{ job.title }}\\nis done.", due_in: 2d'
        )
        assert await acting.enter(request) == DONE
        (task,) = await office.query("SELECT * FROM tasks")
        assert (task["title"], task["description"]) == ("Call Ada", "Boiler repair\nis done.")
        assert (task["client_id"], task["job_id"]) == (office.newest_client_id, "J-2019")
        assert (task["status"], task["assignee_id"]) == ("open", None)
        assert task["due_at"] == NOW + timedelta(days=2)
        assert (await acting.account(request))["detail"] == {
            "record": "task",
            "id": str(task["id"]),
        }

    async def test_about_an_invoice(self, acting: Acting, office: Office) -> None:
        job_id = await office.add_job()
        invoice = await office.add_invoice(client_id=None, job_id=job_id)
        await acting.enter(await acting.request(CALL, invoice, SubjectType.INVOICE))
        (task,) = await office.query("SELECT * FROM tasks")
        assert (task["client_id"], task["job_id"], task["due_at"]) == (
            office.newest_client_id,
            "J-2019",
            None,
        )

    async def test_about_what_the_event_said(self, acting: Acting, office: Office) -> None:
        await office.add_job()
        request = await acting.request(
            'type: create_task, title: "Was {{ event.before }}"',
            trigger_data=json.dumps({"before": "scheduled"}),
        )
        assert await acting.enter(request) == DONE
        (task,) = await office.query("SELECT title FROM tasks")
        assert task["title"] == "Was scheduled"

    async def test_a_missing_value_fails_it(self, acting: Acting, office: Office) -> None:
        await office.add_job(client_id=await office.add_client(first_name=None))
        request = await acting.request('type: create_task, title: "Call {{ client.first_name }}"')
        receipt = await acting.enter(request)
        assert receipt.status is StepStatus.FAILED
        assert receipt.reason is not None
        assert receipt.reason.startswith("title line 1: 'client.first_name' is empty; fill it in")
        assert await office.query("SELECT 1 FROM tasks") == []

    async def test_a_title_is_one_line_of_some_length(self, acting: Acting, office: Office) -> None:
        await office.add_job(title="Boiler\nrepair " + "x" * 500)
        await acting.enter(await acting.request('type: create_task, title: "{{ job.title }}"'))
        (task,) = await office.query("SELECT title FROM tasks")
        assert task["title"].startswith("Boiler repair xxx")
        assert len(task["title"]) == 200

    async def test_for_the_technician(self, acting: Acting, office: Office) -> None:
        technician = await office.insert("profiles", organization_id=office.organization_id)
        await office.add_job(technician_id=technician["id"])
        await acting.enter(await acting.request(f"{CALL}, assign_to: technician"))
        (task,) = await office.query("SELECT assignee_id FROM tasks")
        assert task["assignee_id"] == technician["id"]

    async def test_for_the_owner(self, acting: Acting, office: Office) -> None:
        await office.add_job()
        people = [
            await office.insert("profiles", organization_id=office.organization_id, role=role)
            for role in ("technician", "Owner", "owner")
        ]
        await acting.enter(await acting.request(f"{CALL}, assign_to: owner"))
        (task,) = await office.query("SELECT assignee_id FROM tasks")
        assert task["assignee_id"] == people[1]["id"]

    @pytest.mark.parametrize(
        ("assign_to", "reason"),
        [
            ("technician", "the job has no technician; the task is assigned to nobody"),
            ("owner", "no profile has the role 'owner'; the task is assigned to nobody"),
        ],
    )
    async def test_for_somebody_who_is_not_there(
        self, acting: Acting, office: Office, assign_to: str, reason: str
    ) -> None:
        """A task nobody has is better than none."""
        await office.add_job()
        receipt = await acting.enter(await acting.request(f"{CALL}, assign_to: {assign_to}"))
        assert receipt == ActionReceipt(status=StepStatus.COMPLETED, reason=reason)
        assert len(await office.query("SELECT 1 FROM tasks")) == 1
