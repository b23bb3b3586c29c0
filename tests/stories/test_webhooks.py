"""Other systems hear what steps tell them, and the company's own hears of failed runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.domain import queues
from fixlify.domain.webhooks import WebhookDelivery, delivery_workflow_id
from fixlify.storage.database import Database
from fixlify.storage.webhook_deliveries import FAILED_ATTEMPTS
from fixlify.storage.webhooks import set_failure_url, signing_secret
from starter.webhooks import FailureReporter
from tests.engine import Engine, eventually, running_engine
from tests.office import Office
from tests.receiving import Received, Receiver, Reply
from workflows.webhook import WebhookDeliveryWorkflow

TELL = """
    name: Tell the books
    trigger: {type: job_completed}
    steps:
      - id: tell
        type: call_webhook
        url: https://books.example.com/jobs?token=T0KEN
        fields: [job.total, client.first_name, event.after]
      - {id: text, type: send_sms, text: Thank you.}
"""
FAIL = """
    name: Fails
    trigger: {type: job_completed}
    steps: [{id: mail, type: send_email, subject: Done, text: Thank you.}]
"""
SOON = {"Retry-After": "1"}
FAILURE_URL = "https://office.example.com/failures"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as server:
        yield server


@pytest.fixture
async def engine(
    office: Office,
    temporal_client: Client,
    mail: MailCatcher,
    phone: SmsCatcher,
    receiver: Receiver,
) -> AsyncIterator[Engine]:
    async with running_engine(
        office, temporal_client, mail, phone, webhooks=receiver.url
    ) as engine:
        yield engine


@pytest.fixture
async def patient_engine(
    office: Office,
    time_machine: WorkflowEnvironment,
    mail: MailCatcher,
    phone: SmsCatcher,
    receiver: Receiver,
) -> AsyncIterator[Engine]:
    async with running_engine(
        office, time_machine.client, mail, phone, webhooks=receiver.url
    ) as engine:
        yield engine


async def complete_a_job(office: Office, **client: Any) -> None:
    count = len(await office.query("SELECT 1 FROM jobs"))
    client_id = await office.add_client(**client)
    job_id = await office.add_job(f"J-{2019 + count}", client_id=client_id)
    await office.write_status(job_id, "completed")


async def steps(office: Office) -> dict[str, tuple[str, str | None]]:
    rows = await office.query("SELECT step_id, status, reason FROM automation_step_logs")
    return {row["step_id"]: (row["status"], row["reason"]) for row in rows}


async def secret_of(office: Office, database: Database) -> Webhook:
    async with database.statement() as connection:
        secret = await signing_secret(connection, office.organization_id)
    return Webhook(secret.get_secret_value())


async def test_a_step_tells_what_it_names_and_nothing_else(
    office: Office, engine: Engine, receiver: Receiver, engine_database: Database
) -> None:
    await office.apply(TELL)
    await complete_a_job(office)
    (execution,) = await engine.settled()
    assert execution["status"] == "completed"
    (call,) = receiver.received
    assert call.headers["fixlify-target"] == "https://books.example.com/jobs?token=T0KEN"
    told = (await secret_of(office, engine_database)).verify(call.body, dict(call.headers))
    assert told["type"] == "automation.step"
    assert told["data"] == {
        "organization_id": str(office.organization_id),
        "execution_id": str(execution["id"]),
        "automation_id": str(execution["automation_id"]),
        "automation": "Tell the books",
        "step_id": "tell",
        "subject": {"type": "job", "id": "J-2019"},
        "fields": {"job.total": "240.00", "client.first_name": "Ada", "event.after": "completed"},
    }
    assert await steps(office) == {"tell": ("completed", None), "text": ("completed", None)}
    history = (await engine.handle(execution["id"]).fetch_history()).to_json()
    assert "T0KEN" not in history


async def test_a_receiver_knows_a_second_attempt_by_its_id(
    office: Office, engine: Engine, receiver: Receiver
) -> None:
    receiver.replies += [Reply(503, {"Retry-After": "0"}), Reply(hangs_up=True)]
    await office.apply(TELL)
    await complete_a_job(office)
    (execution,) = await engine.settled()
    assert execution["status"] == "completed"
    assert len(receiver.received) == 3
    assert len({call.headers["webhook-id"] for call in receiver.received}) == 1
    assert len({call.body for call in receiver.received}) == 1
    (action,) = await office.query("SELECT * FROM automation_actions")
    assert (action["status"], action["attempts"]) == ("completed", 3)
    assert action["detail"] == {"host": "books.example.com", "code": "200"}


async def test_a_receiver_that_refuses_for_good_fails_the_step_and_its_run(
    office: Office, engine: Engine, receiver: Receiver
) -> None:
    receiver.otherwise = Reply(404)
    await office.apply(TELL)
    await complete_a_job(office)
    (execution,) = await engine.settled()
    assert execution["status"] == "failed"
    assert len(receiver.received) == 1
    status, reason = (await steps(office))["tell"]
    assert status == "failed"
    assert reason is not None
    assert "answered 404" in reason
    (action,) = await office.query("SELECT * FROM automation_actions")
    assert (action["status"], action["reason"]) == ("failed", reason)


async def test_a_webhook_is_held_while_the_automation_is_paused(
    office: Office,
    patient_engine: Engine,
    time_machine: WorkflowEnvironment,
    receiver: Receiver,
) -> None:
    await office.apply(TELL.replace("steps:", "steps:\n      - {id: wait, type: wait, for: 1d}"))
    await complete_a_job(office)
    await patient_engine.relay_everything()
    await office.query("UPDATE automation_workflows SET status = 'paused'")
    (execution,) = await office.executions()

    async def is_held() -> bool:
        (held,) = await office.executions()
        return "paused" in (held["waiting_for"] or "")

    await time_machine.sleep(timedelta(days=2))
    await eventually(is_held)
    assert receiver.received == []
    await office.query("UPDATE automation_workflows SET status = 'active'")
    await patient_engine.handle(execution["id"]).result()
    assert len(receiver.received) == 1


async def test_a_webhook_that_was_taken_counts_whatever_became_true_since(
    office: Office,
    patient_engine: Engine,
    time_machine: WorkflowEnvironment,
    receiver: Receiver,
) -> None:
    """A worker that dies between the receiver's answer and its own leaves only the account."""
    await office.apply(TELL.replace("steps:", "steps:\n      - {id: wait, type: wait, for: 1d}"))
    await complete_a_job(office)
    await patient_engine.relay_everything()
    (execution,) = await office.executions()
    await office.insert(
        "automation_actions",
        execution_id=execution["id"],
        step_id="tell",
        organization_id=office.organization_id,
        kind="webhook",
        status="completed",
    )
    await office.query("UPDATE automation_workflows SET status = 'paused'")

    async def text_is_held() -> bool:
        (held,) = await office.executions()
        return "text: held" in (held["waiting_for"] or "")

    await time_machine.sleep(timedelta(days=2))
    await eventually(text_is_held)
    assert await steps(office) == {"wait": ("completed", None), "tell": ("completed", None)}
    assert receiver.received == []
    await office.query("UPDATE automation_workflows SET status = 'active'")
    await patient_engine.handle(execution["id"]).result()


async def fail_a_run(office: Office, engine: Engine) -> None:
    await complete_a_job(office, email=None)
    executions = await engine.settled()
    assert executions[-1]["status"] == "failed"


async def listen(office: Office, database: Database) -> None:
    await office.apply(FAIL)
    async with database.statement() as connection:
        await set_failure_url(connection, office.organization_id, FAILURE_URL)


async def deliveries(office: Office) -> list[dict[str, Any]]:
    return await office.query("SELECT * FROM webhook_deliveries ORDER BY created_at")


async def settings(office: Office) -> dict[str, Any]:
    (row,) = await office.query("SELECT * FROM webhook_settings")
    return row


def handle_of(engine: Engine, delivery: dict[str, Any]) -> WorkflowHandle[Any, Any]:
    return engine.client.get_workflow_handle(delivery_workflow_id(delivery["id"]))


async def told(office: Office, engine: Engine, database: Database) -> dict[str, Any]:
    """Launch the newest delivery, wait for its end and return its row."""
    await FailureReporter(engine.client, database).launch_batch()
    await handle_of(engine, (await deliveries(office))[-1]).result()
    return (await deliveries(office))[-1]


async def test_the_company_hears_of_a_failed_run(
    office: Office, engine: Engine, receiver: Receiver, engine_database: Database
) -> None:
    await listen(office, engine_database)
    await fail_a_run(office, engine)
    delivery = await told(office, engine, engine_database)
    assert (delivery["status"], delivery["attempts"], delivery["reason"]) == ("delivered", 1, None)
    (call,) = receiver.received
    assert call.headers["fixlify-target"] == FAILURE_URL
    news = (await secret_of(office, engine_database)).verify(call.body, dict(call.headers))
    (execution,) = await office.executions()
    assert news["type"] == "execution.failed"
    assert news["data"] == {
        "organization_id": str(office.organization_id),
        "execution_id": str(execution["id"]),
        "automation_id": str(execution["automation_id"]),
        "automation": "Fails",
        "subject": {"type": "job", "id": "J-2019"},
        "reason": execution["error_message"],
        "failed_steps": [{"step_id": "mail", "reason": news["data"]["failed_steps"][0]["reason"]}],
    }
    assert "address" in news["data"]["failed_steps"][0]["reason"]
    assert (await settings(office))["failing_since"] is None


async def test_nobody_hears_of_what_went_well_or_without_an_address(
    office: Office, engine: Engine, engine_database: Database
) -> None:
    await office.apply(FAIL)
    await fail_a_run(office, engine)
    await listen(office, engine_database)
    await complete_a_job(office)
    assert {each["status"] for each in await engine.settled()} == {"failed", "completed"}
    assert await deliveries(office) == []


async def test_a_stop_does_not_keep_the_company_from_hearing(
    office: Office, engine: Engine, receiver: Receiver, engine_database: Database
) -> None:
    await listen(office, engine_database)
    await fail_a_run(office, engine)
    await office.insert("automation_stops", organization_id=office.organization_id)
    assert (await told(office, engine, engine_database))["status"] == "delivered"


async def test_a_failure_is_told_until_it_is_taken(
    office: Office, engine: Engine, receiver: Receiver, engine_database: Database
) -> None:
    """Whatever the receiver answers: what is for good to a step is not to the news."""
    receiver.replies += [Reply(status, SOON) for status in (500, 404, 302)]
    await listen(office, engine_database)
    await fail_a_run(office, engine)
    delivery = await told(office, engine, engine_database)
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 4)
    assert len({call.headers["webhook-id"] for call in receiver.received}) == 1
    assert len({call.body for call in receiver.received}) == 1
    assert (await settings(office))["failing_since"] is None


async def test_a_failure_that_nobody_takes_is_given_up(
    office: Office, engine: Engine, receiver: Receiver, engine_database: Database
) -> None:
    receiver.otherwise = Reply(500)
    await listen(office, engine_database)
    await fail_a_run(office, engine)
    (delivery,) = await deliveries(office)
    # The next attempt would come after five seconds.
    await engine.client.execute_workflow(
        WebhookDeliveryWorkflow.run,
        WebhookDelivery(
            delivery_id=delivery["id"],
            organization_id=office.organization_id,
            give_up_after=timedelta(seconds=4),
        ),
        id=delivery_workflow_id(delivery["id"]),
        task_queue=queues.AUTOMATIONS,
    )
    (delivery,) = await deliveries(office)
    assert (delivery["status"], delivery["attempts"]) == ("failed", 1)
    assert delivery["reason"].startswith("given up after 4s: 127.0.0.1 answered 500")
    standing = await settings(office)
    assert standing["failing_since"] is not None
    assert standing["disabled_at"] is None


async def test_a_webhook_that_fails_for_days_is_disabled(
    office: Office, engine: Engine, receiver: Receiver, engine_database: Database
) -> None:
    receiver.otherwise = Reply(500, SOON)
    await listen(office, engine_database)
    await office.query("UPDATE webhook_settings SET failing_since = now() - interval '6 days'")
    await fail_a_run(office, engine)
    await office.query("UPDATE webhook_deliveries SET attempts = %s", FAILED_ATTEMPTS - 2)
    delivery = await told(office, engine, engine_database)
    assert (delivery["status"], delivery["attempts"]) == ("failed", FAILED_ATTEMPTS)
    standing = await settings(office)
    assert standing["disabled_at"] is not None
    assert standing["disabled_reason"].startswith("failing since ")
    assert "answered 500" in standing["disabled_reason"]
    # From now on nothing is noted for it.
    await fail_a_run(office, engine)
    assert len(await deliveries(office)) == 1


async def test_a_receiver_that_is_gone_is_called_once(
    office: Office, engine: Engine, receiver: Receiver, engine_database: Database
) -> None:
    receiver.otherwise = Reply(410)
    await listen(office, engine_database)
    await fail_a_run(office, engine)
    delivery = await told(office, engine, engine_database)
    assert (delivery["status"], delivery["attempts"]) == ("failed", 1)
    assert "410" in (await settings(office))["disabled_reason"]


async def test_a_delivery_of_a_disabled_webhook_is_cancelled_with_its_reason(
    office: Office, engine: Engine, receiver: Receiver, engine_database: Database
) -> None:
    await listen(office, engine_database)
    await fail_a_run(office, engine)
    await office.query(
        "UPDATE webhook_settings SET disabled_at = now(), disabled_reason = 'it was gone'"
    )
    delivery = await told(office, engine, engine_database)
    assert delivery["status"] == "cancelled"
    assert delivery["reason"] == "the failure webhook is disabled: it was gone"
    assert receiver.received == []


async def test_a_cancelled_delivery_says_so(
    office: Office, engine: Engine, receiver: Receiver, engine_database: Database
) -> None:
    receiver.otherwise = Reply(500)
    await listen(office, engine_database)
    await fail_a_run(office, engine)
    await FailureReporter(engine.client, engine_database).launch_batch()
    (delivery,) = await deliveries(office)

    async def was_tried() -> list[Received]:
        return receiver.received

    await eventually(was_tried)
    await handle_of(engine, delivery).cancel()
    with pytest.raises(WorkflowFailureError):
        await handle_of(engine, delivery).result()
    (delivery,) = await deliveries(office)
    assert (delivery["status"], delivery["reason"]) == ("cancelled", "the delivery was cancelled")


async def test_a_delivery_has_one_workflow_whoever_starts_it(
    office: Office, engine: Engine, receiver: Receiver, engine_database: Database
) -> None:
    await listen(office, engine_database)
    await fail_a_run(office, engine)
    reporter = FailureReporter(engine.client, engine_database)
    assert await reporter.launch_batch() == 1
    assert await reporter.launch_batch() == 0
    await handle_of(engine, (await deliveries(office))[0]).result()
    # As if the process had died between the start and its note.
    await office.query("UPDATE webhook_deliveries SET launched_at = NULL")
    assert await reporter.launch_batch() == 0
    assert len(receiver.received) == 1


async def test_a_delivery_whose_workflow_was_terminated_does_not_wait_for_ever(
    office: Office, engine: Engine, receiver: Receiver, engine_database: Database
) -> None:
    receiver.otherwise = Reply(500)
    await listen(office, engine_database)
    await fail_a_run(office, engine)
    reporter = FailureReporter(engine.client, engine_database)
    await reporter.launch_batch()
    (delivery,) = await deliveries(office)
    await handle_of(engine, delivery).terminate()
    await reporter.launch_batch(relaunch_after=timedelta(0))
    (delivery,) = await deliveries(office)
    assert delivery["status"] == "failed"
    assert delivery["reason"]
