"""A run that waits hears the truth when it wakes, however long it slept."""

from __future__ import annotations

from datetime import timedelta

import pytest
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
        ("UPDATE automation_workflows SET status = 'paused'", "cancelled", "paused"),
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


async def test_a_cancelled_run_is_recorded_and_sends_nothing_more(
    office: Office, engine: Engine, mail: MailCatcher
) -> None:
    await office.apply(FOLLOW_UP)
    job = await office.add_job()
    await office.write_status(job, "completed")
    await _until_waiting(office, engine)
    (execution,) = await office.executions()

    await engine.handle(execution["id"]).cancel()
    with pytest.raises(WorkflowFailureError):
        await engine.handle(execution["id"]).result()

    (execution,) = await office.executions()
    assert (execution["status"], execution["reason"]) == ("cancelled", "the run was cancelled")
    assert not mail.messages
