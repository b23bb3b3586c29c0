"""What falls due without anybody doing anything becomes a message, once, through Temporal."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from temporalio.exceptions import ApplicationError

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.domain import queues
from fixlify.domain.sweeps import Sweep, SweepFindings, SweepKind
from tests.engine import Engine, eventually
from tests.office import Office
from tests.sweeping import NEW_YORK, add_invoice, listen_since, swept_events
from workflows.sweep import SweepWorkflow

OVERDUE = """
name: Overdue
trigger: {type: invoice_overdue, days: [3, 7]}
steps:
  - {id: mail, type: send_email, subject: "Invoice {{ invoice.number }}", text: Please pay.}
"""
REMINDER = """
name: Reminder
trigger: {type: appointment_reminder, before: 24h}
steps: [{id: text, type: send_sms, text: See you tomorrow.}]
"""
DIGEST = """
name: Digest
trigger: {type: scheduled, frequency: daily, hour: 7}
steps: [{type: send_sms, text: Good morning}]
"""
_SCHEDULED_START = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


async def start(
    client: Client, kind: SweepKind, due_at: datetime | None = None, **details: Any
) -> WorkflowHandle[SweepWorkflow, SweepFindings]:
    """Start a run as a schedule does; *due_at* is when the schedule meant it to begin."""
    attributes = (
        TypedSearchAttributes([SearchAttributePair(_SCHEDULED_START, due_at)])
        if due_at
        else TypedSearchAttributes.empty
    )
    return await client.start_workflow(
        SweepWorkflow.run,
        Sweep(schedule_id=kind.value, kind=kind, **details),
        id=f"sweep/{kind.value}-{uuid4()}",
        task_queue=queues.AUTOMATIONS,
        search_attributes=attributes,
    )


async def sweep(client: Client, kind: SweepKind, **options: Any) -> SweepFindings:
    return await (await start(client, kind, **options)).result()


def local_today() -> date:
    return datetime.now(ZoneInfo(NEW_YORK)).date()


async def runs(office: Office) -> list[dict[str, Any]]:
    return await office.query("SELECT * FROM automation_schedule_runs ORDER BY started_at")


async def test_an_overdue_invoice_becomes_one_email_however_often_it_is_swept(
    office: Office, engine: Engine, mail: MailCatcher
) -> None:
    await office.apply(OVERDUE)
    client = await office.add_client()
    await add_invoice(office, local_today() - timedelta(days=3), client_id=client, number="I-7")

    swept = await asyncio.gather(
        *(sweep(engine.client, SweepKind.OVERDUE_INVOICES, time_zone=NEW_YORK) for _ in range(5))
    )
    executions = await engine.settled()

    assert sum(each.found for each in swept) == 1
    assert [execution["status"] for execution in executions] == ["completed"]
    assert [email.subject for email in mail.messages] == ["Invoice I-7"]
    assert [run["status"] for run in await runs(office)] == ["completed"] * 5


async def test_a_reminder_missed_for_too_long_is_recorded_and_not_sent(
    office: Office, engine: Engine, mail: MailCatcher
) -> None:
    await office.apply(OVERDUE)
    await listen_since(office, datetime.now(UTC) - timedelta(days=60))
    await add_invoice(
        office, local_today() - timedelta(days=6), client_id=await office.add_client()
    )

    await sweep(engine.client, SweepKind.OVERDUE_INVOICES, time_zone=NEW_YORK)
    (execution,) = await engine.settled()

    assert execution["status"] == "skipped"
    assert "found 3 days after the reminder of 3 days was due" in execution["reason"]
    assert not mail.messages


async def test_a_visit_is_reminded_of_by_text(
    office: Office, engine: Engine, phone: SmsCatcher
) -> None:
    await office.apply(REMINDER)
    now = datetime.now(UTC)
    await office.add_job(schedule_start=now + timedelta(hours=23, minutes=30))
    await office.query(
        "UPDATE automation_events SET occurred_at = now() - interval '1 day'"
        " WHERE event_type = 'job_scheduled'"
    )

    for _ in range(2):
        await sweep(engine.client, SweepKind.AUTOMATION_TRIGGERS)
    await engine.settled()

    assert [text.body for text in phone.messages] == ["See you tomorrow."]


async def test_a_run_is_of_the_time_it_was_due_and_not_of_when_it_began(
    office: Office, engine: Engine
) -> None:
    await office.apply(OVERDUE)
    due_at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
    await sweep(engine.client, SweepKind.OVERDUE_INVOICES, time_zone=NEW_YORK, due_at=due_at)
    (run,) = await runs(office)
    assert run["scheduled_at"] == due_at


async def test_a_run_carries_its_own_id_and_tells_the_web_ui_what_it_found(
    office: Office, engine: Engine
) -> None:
    await office.apply(OVERDUE)
    await add_invoice(office, local_today() - timedelta(days=3))
    handle = await start(engine.client, SweepKind.OVERDUE_INVOICES, time_zone=NEW_YORK)
    await handle.result()
    (run,) = await runs(office)
    assert run["id"] == handle.first_execution_run_id
    details = await handle.query("__temporal_workflow_metadata")
    assert "Looked at 1, found **1** new." in str(details)


async def test_a_run_whose_workers_came_too_late_is_left_out_and_says_so(
    office: Office, engine: Engine
) -> None:
    """Nobody wants the Monday digest on Tuesday."""
    automation = (await office.apply(DIGEST)).automation.id
    options: dict[str, Any] = {
        "automation_id": automation,
        "due_at": datetime.now(UTC) + timedelta(days=1),
    }

    handle = await start(
        engine.client, SweepKind.USER_SCHEDULE, catch_up=timedelta(microseconds=1), **options
    )
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert await swept_events(office) == []
    (run,) = await runs(office)
    assert run["status"] == "failed"
    assert run["error_message"].startswith("left out: no worker took it for 0 minutes")

    found = await sweep(
        engine.client, SweepKind.USER_SCHEDULE, catch_up=timedelta(hours=1), **options
    )
    assert found.found == 1


async def test_a_sweep_that_serves_nobody_fails_where_people_look(
    office: Office, engine: Engine
) -> None:
    await office.apply(OVERDUE)
    await office.query("UPDATE organizations SET time_zone = 'Mars/Olympus'")

    handle = await start(engine.client, SweepKind.OVERDUE_INVOICES, time_zone="Mars/Olympus")
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()

    assert isinstance(failure.value.cause, ApplicationError)
    assert "unknown time zone 'Mars/Olympus'" in failure.value.cause.message
    assert (await handle.describe()).status is WorkflowExecutionStatus.FAILED
    (run,) = await runs(office)
    assert run["status"] == "failed"
    assert "unknown time zone 'Mars/Olympus'" in run["error_message"]


async def test_a_database_that_was_away_costs_nothing(office: Office, engine: Engine) -> None:
    await office.apply(OVERDUE)
    await add_invoice(office, local_today() - timedelta(days=3))
    await office.query("ALTER TABLE invoices RENAME TO elsewhere")
    handle = await start(engine.client, SweepKind.OVERDUE_INVOICES, time_zone=NEW_YORK)

    async def retried() -> bool:
        pending = (await handle.describe()).raw_description.pending_activities
        return any(activity.attempt > 1 for activity in pending)

    await eventually(retried)
    await office.query("ALTER TABLE elsewhere RENAME TO invoices")

    assert (await handle.result()).found == 1
    assert len(await swept_events(office)) == 1
    assert [run["status"] for run in await runs(office)] == ["completed"]


async def test_a_cancelled_run_is_recorded(office: Office, engine: Engine) -> None:
    await office.apply(OVERDUE)
    await office.query("ALTER TABLE invoices RENAME TO elsewhere")
    handle = await start(engine.client, SweepKind.OVERDUE_INVOICES, time_zone=NEW_YORK)

    async def begun() -> list[dict[str, Any]]:
        return await runs(office)

    await eventually(begun)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()

    assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    (run,) = await runs(office)
    assert (run["status"], run["error_message"]) == ("failed", "the run was cancelled")
