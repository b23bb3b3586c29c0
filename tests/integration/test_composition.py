"""Messages about every subject say what is known of it, or why they cannot be sent."""

from __future__ import annotations

import json
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from temporalio.testing import ActivityEnvironment

from activities.executions import ExecutionActivities
from activities.rendering import RenderingActivities
from activities.writing import MessageWriter
from fixlify.domain.events import SubjectType
from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import ContextRequest, MessageStatus, RenderRequest, RunPlan
from fixlify.storage.database import Database
from tests.office import Office
from tests.runs import add_execution

AUTOMATION = """
    name: Note
    trigger: {type: job_completed}
    steps: [{id: note, type: send_sms, to: %s, text: "%s"}]
"""


MARKETING = """
    name: News
    trigger: {type: job_completed}
    message_class: marketing
    steps: [{id: news, type: send_sms, text: "News!"}, {type: wait, for: 1d}]
"""


class Desk:
    """Renders one step for an execution about any subject of an office."""

    def __init__(self, office: Office, database: Database) -> None:
        self.office = office
        self.begin = ExecutionActivities(database, MessageWriter()).fetch_context
        self._render = RenderingActivities(database, MessageWriter()).render_messages

    async def add(self, table: str, **columns: Any) -> str:
        row = await self.office.insert(
            table, **{"organization_id": self.office.organization_id} | columns
        )
        return str(row["id"])

    async def write(
        self,
        template: str,
        subject_type: SubjectType,
        subject_id: str,
        *,
        to: str = "client",
        **trigger_data: Any,
    ) -> dict[str, Any]:
        """Render *template* in a run of its own, and return its row of the ledger."""
        automation = (await self.office.apply(AUTOMATION % (to, template))).automation
        execution = await add_execution(
            self.office,
            "pending",
            automation_id=automation.id,
            automation_version=automation.version,
            subject_type=subject_type.value,
            subject_id=subject_id,
            trigger_data=json.dumps({"event_id": 1, "event_type": "x", **trigger_data}),
        )
        plan = await self._plan(execution)
        await ActivityEnvironment().run(
            self._render,
            RenderRequest(
                execution_id=execution,
                organization_id=self.office.organization_id,
                automation_id=plan.automation_id,
                version=plan.version,
                subject_type=plan.subject_type,
                subject_id=plan.subject_id,
                step_ids=("note",),
            ),
        )
        (row,) = await self.office.query(
            "SELECT * FROM messages WHERE execution_id = %s", execution
        )
        return row

    async def _plan(self, execution: UUID) -> RunPlan:
        run = ContextRequest(execution_id=execution, organization_id=self.office.organization_id)
        plan: RunPlan = await ActivityEnvironment().run(self.begin, run)
        return plan


@pytest.fixture
async def desk(office: Office, engine_database: Database) -> Desk:
    await office.add_job("J-2019")
    return Desk(office, engine_database)


async def test_an_invoice_is_written_about_to_its_client(desk: Desk) -> None:
    client = await desk.office.add_client(first_name="Grace")
    invoice = await desk.add(
        "invoices",
        client_id=client,
        number="INV-77",
        total=100,
        amount_paid=40,
        due_date=date(2026, 11, 12),
    )
    row = await desk.write(
        "{{ client.first_name }}, ${{ amount_due }} of {{ invoice_number }} was due {{ due_date }}",
        SubjectType.INVOICE,
        invoice,
    )
    assert (row["status"], row["recipient_id"]) == ("queued", client)
    assert row["body_text"] == "Grace, $60.00 of INV-77 was due November 12, 2026"


async def test_what_set_it_off_is_written_about_too(desk: Desk) -> None:
    row = await desk.write(
        "{{ event.name }}: {{ event.stars }} stars, {{ event.comment | default('no words') }}",
        SubjectType.JOB,
        "J-2019",
        name="review.submitted",
        data={"stars": 5, "comment": None},
    )
    assert row["body_text"] == "review.submitted: 5 stars, no words"


async def test_what_the_event_does_not_say_is_missed(desk: Desk) -> None:
    row = await desk.write("{{ event.before }}", SubjectType.JOB, "J-2019", after="paid")
    assert row["status"] == MessageStatus.FAILED
    assert "'event.before' is empty" in row["reason"]


async def test_what_is_gone_is_named(desk: Desk) -> None:
    row = await desk.write("Hello", SubjectType.INVOICE, str(UUID(int=7)))
    assert (row["status"], row["reason"]) == ("cancelled", "the invoice no longer exists")


@pytest.mark.parametrize(
    ("subject_type", "table", "to", "reason"),
    [
        ("invoice", "invoices", "client", "the invoice has no client; assign one to it"),
        (
            "invoice",
            "invoices",
            "technician",
            "the invoice has no technician; assign one to its job",
        ),
        ("task", "tasks", "technician", "the task has no technician; assign one to it"),
        ("sms", "inbound_messages", "client", "the sms has no client; assign one to it"),
        (
            "client",
            "clients",
            "technician",
            "the client has no technician; choose a trigger or an audience that is about jobs",
        ),
    ],
)
async def test_who_is_missing_is_named(
    desk: Desk, subject_type: str, table: str, to: str, reason: str
) -> None:
    subject_id = await desk.add(table)
    row = await desk.write("Hello", SubjectType(subject_type), subject_id, to=to)
    assert (row["status"], row["reason"]) == ("failed", reason)


async def test_an_organization_is_nobody_to_write_to(desk: Desk) -> None:
    organization = str(desk.office.organization_id)
    row = await desk.write("Hello", SubjectType.ORGANIZATION, organization)
    assert (row["status"], row["reason"]) == (
        "failed",
        "the organization has no client; choose a trigger or an audience that is about clients",
    )


def test_a_run_of_before_there_were_other_subjects_is_about_a_job() -> None:
    older = {"automation_id": UUID(int=1), "version": 1, "subject_id": "J-1"}
    assert RunPlan.model_validate(older).subject_type is SubjectType.JOB
    asked = older | {"execution_id": UUID(int=2), "organization_id": UUID(int=3), "step_ids": ()}
    assert RenderRequest.model_validate(asked).subject_type is SubjectType.JOB


async def test_what_a_run_begins_with_is_written_as_it_is_taken(desk: Desk) -> None:
    """With its class, by which the run knows for how long it is worth trying."""
    automation = (await desk.office.apply(MARKETING)).automation
    execution = await add_execution(
        desk.office,
        "pending",
        automation_id=automation.id,
        automation_version=automation.version,
        subject_type="job",
        subject_id="J-2019",
        trigger_data=json.dumps({"event_id": 1, "event_type": "x"}),
    )
    request = ContextRequest(
        execution_id=execution, organization_id=desk.office.organization_id, writes=True
    )

    plan: RunPlan = await ActivityEnvironment().run(desk.begin, request)
    again: RunPlan = await ActivityEnvironment().run(desk.begin, request)

    assert plan.written is not None
    assert [(m.step_id, m.status, m.message_class) for m in plan.written.messages] == [
        ("news", MessageStatus.QUEUED, MessageClass.MARKETING)
    ]
    (message,) = plan.written.messages
    found = plan.written.model_copy(
        update={"messages": (message.model_copy(update={"found": True}),)}
    )
    assert again == plan.model_copy(update={"written": found})
    assert len(await desk.office.messages()) == 1
