"""A run that waits hears the truth when it wakes, however long it slept."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import psycopg
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from tests.engine import Engine, eventually
from tests.office import Office

FOLLOW_UP = """
name: Follow up
trigger: {type: job_completed}
steps:
  - {id: text, type: send_sms, text: "{{ job.title }} is done."}
  - {id: cool-down, type: wait, for: 30d}
  - {id: mail, type: send_email, subject: "How was it?", text: "How is the {{ job.title }}?"}
"""


A_MONTH = timedelta(days=30)


async def _until_waiting(office: Office, engine: Engine) -> None:
    await engine.relay_everything()

    async def waits() -> bool:
        return [e["status"] for e in await office.executions()] == ["waiting"]

    await eventually(waits)


async def test_a_wait_of_a_month_ends(
    office: Office,
    patient_engine: Engine,
    time_machine: WorkflowEnvironment,
    mail: MailCatcher,
    phone: SmsCatcher,
) -> None:
    await office.apply(FOLLOW_UP)
    job = await office.add_job()
    await office.write_status(job, "completed")
    await _until_waiting(office, patient_engine)
    assert len(phone.messages) == 1
    assert not mail.messages
    assert "cool-down until" in (await office.executions())[0]["waiting_for"]

    await time_machine.sleep(A_MONTH)
    (execution,) = await patient_engine.settled()

    assert (execution["status"], execution["waiting_for"]) == ("completed", None)
    assert [email.subject for email in mail.messages] == ["How was it?"]


async def test_facts_are_read_after_the_wait(
    office: Office, patient_engine: Engine, time_machine: WorkflowEnvironment, mail: MailCatcher
) -> None:
    await office.apply(FOLLOW_UP)
    job = await office.add_job()
    await office.write_status(job, "completed")
    await _until_waiting(office, patient_engine)

    await office.query("UPDATE jobs SET title = 'new boiler'")
    await office.query("UPDATE clients SET email = 'moved@example.com'")
    await time_machine.sleep(A_MONTH)
    await patient_engine.settled()

    (email,) = mail.messages
    assert email.recipients == ("moved@example.com",)
    assert "How is the new boiler?" in email.text


async def test_an_edit_never_reaches_a_run_that_waits(
    office: Office, patient_engine: Engine, time_machine: WorkflowEnvironment, mail: MailCatcher
) -> None:
    """Content edited later once leaked into messages that were already waiting."""
    await office.apply(FOLLOW_UP)
    job = await office.add_job()
    await office.write_status(job, "completed")
    await _until_waiting(office, patient_engine)

    applied = await office.apply(FOLLOW_UP.replace("How was it?", "BUY NOW"))
    assert applied.automation.version == 2
    await time_machine.sleep(A_MONTH)
    await patient_engine.settled()

    assert [email.subject for email in mail.messages] == ["How was it?"]


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ("UPDATE clients SET email_opted_out = true", "suppressed", "opted out"),
        ("DELETE FROM jobs", "cancelled", "no longer exists"),
    ],
)
async def test_a_reason_that_came_up_during_the_wait_stops_the_message(
    office: Office,
    patient_engine: Engine,
    time_machine: WorkflowEnvironment,
    mail: MailCatcher,
    change: str,
    status: str,
    reason: str,
) -> None:
    await office.apply(FOLLOW_UP)
    job = await office.add_job()
    await office.write_status(job, "completed")
    await _until_waiting(office, patient_engine)

    await office.query(change)
    await time_machine.sleep(A_MONTH)
    await patient_engine.settled()

    assert not mail.messages
    held = (await office.messages())[1]
    assert held["status"] == status
    assert reason in held["reason"]


@pytest.mark.parametrize(
    ("said", "recorded"),
    [("", "the run was cancelled"), ("cancelled by hand", "cancelled by hand")],
)
async def test_a_cancelled_run_is_recorded_and_sends_nothing_more(
    office: Office, engine: Engine, mail: MailCatcher, said: str, recorded: str
) -> None:
    await office.apply(FOLLOW_UP)
    job = await office.add_job()
    await office.write_status(job, "completed")
    await _until_waiting(office, engine)
    (execution,) = await office.executions()

    await engine.handle(execution["id"]).cancel(reason=said)
    with pytest.raises(WorkflowFailureError):
        await engine.handle(execution["id"]).result()

    (execution,) = await office.executions()
    assert (execution["status"], execution["reason"]) == ("cancelled", recorded)
    assert not mail.messages


async def test_a_run_cancelled_while_one_message_waits_tells_of_the_other(
    office: Office, engine: Engine, mail: MailCatcher
) -> None:
    await office.apply(
        "name: Both\ntrigger: {type: job_completed}\nsteps:\n"
        "  - {id: text, type: send_sms, text: Done}\n"
        "  - {id: mail, type: send_email, subject: Done, text: Done}\n"
    )
    client = await office.add_client(phone="+15005555030")
    await office.write_status(await office.add_job(client_id=client), "completed")
    await engine.relay_everything()

    async def mail_is_out() -> object:
        return await office.query(
            "SELECT 1 FROM messages m JOIN messages t USING (execution_id)"
            " WHERE m.status = 'sent' AND t.status = 'queued' AND t.attempts > 0"
        )

    await eventually(mail_is_out)
    (execution,) = await office.executions()
    handle = engine.handle(execution["id"])

    async def the_run_knows() -> bool:
        # The task that tried both is complete when the text is to be tried again.
        history = await handle.fetch_history()
        return any(e.event_type == EventType.EVENT_TYPE_TIMER_STARTED for e in history.events)

    await eventually(the_run_knows)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await engine.handle(execution["id"]).result()

    steps = await office.query("SELECT step_id, position, status FROM automation_step_logs")
    assert [tuple(step.values()) for step in steps] == [("mail", 2, "completed")]
    assert [m["status"] for m in await office.messages()] == ["cancelled", "sent"]


async def test_a_cancellation_during_the_last_record_comes_too_late(
    office: Office, engine: Engine
) -> None:
    """Everything is done but the writing; an execution nobody wrote about would stay open."""
    await office.apply(FOLLOW_UP.replace("for: 30d", "for: 1s"))
    client = await office.add_client(email="slow@example.com")
    await office.write_status(await office.add_job(client_id=client), "completed")
    await engine.relay_everything()

    async def mailing() -> object:
        return await office.query(
            "SELECT 1 FROM messages WHERE channel = 'email' AND status = 'sending'"
        )

    await eventually(mailing)
    (execution,) = await office.executions()
    handle = engine.handle(execution["id"])
    async with await psycopg.AsyncConnection.connect(office.url) as somebody:
        await somebody.execute("SELECT 1 FROM automation_execution_logs FOR UPDATE")

        async def recording() -> object:
            return await office.query(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock' AND position('error_message' IN query) > 0"
            )

        await eventually(recording)
        await handle.cancel()

        async def heard() -> bool:
            return (await handle.describe()).raw_description.workflow_extended_info.cancel_requested

        await eventually(heard)
    # Temporal may call the workflow cancelled or completed; what was written first stands.
    with suppress(WorkflowFailureError):
        await handle.result()

    (execution,) = await office.executions()
    assert (execution["status"], execution["reason"]) == ("completed", None)
