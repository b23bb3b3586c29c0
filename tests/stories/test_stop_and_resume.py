"""In an emergency everything holds; afterwards nothing is lost, and nothing comes weeks late."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.domain.ids import workflow_id
from fixlify.storage.database import Database
from fixlify.storage.stops import Resumption, resume_automations, stop_automations
from starter.release import release_runs
from tests.engine import Engine, eventually, running_engine
from tests.office import Office
from workflows.holding import HELD_LIMIT

THANKS = """
name: Thanks
trigger: {type: job_completed}
steps:
  - {id: cool-down, type: wait, for: WAIT}
  - {id: mail, type: send_email, subject: Done, text: "Thank you, {{ client.first_name }}!"}
  - {id: text, type: send_sms, text: "{{ job.title }} is done."}
  - {id: much-later, type: wait, for: 2d}
  - {id: review, type: send_sms, text: "How was it?"}
"""
# Long enough to write a stop before it is over, on a machine that is busy.
SOON = THANKS.replace("WAIT", "2s").partition("  - {id: much-later")[0]
SLOW = THANKS.replace("WAIT", "2h")
HELD = "automations are stopped: wrong prices"


async def stop(database: Database, office: Office) -> None:
    async with database.transaction() as connection:
        await stop_automations(connection, office.organization_id, "wrong prices")


async def resume(
    database: Database, office: Office, cancel_older_than: timedelta | None = None
) -> Resumption:
    """Lift the stop, waking nobody."""
    async with database.transaction() as connection:
        return await resume_automations(
            connection, office.organization_id, cancel_older_than=cancel_older_than
        )


def statuses(office: Office, *expected: str) -> Callable[[], Awaitable[bool]]:
    """Return the condition that the messages have these statuses, in the order of the steps."""

    async def reached() -> bool:
        return [message["status"] for message in await office.messages()] == list(expected)

    return reached


async def begin(office: Office, engine: Engine, automation: str) -> UUID:
    """Set *automation* off, and return its execution once that waits."""
    await office.apply(automation)
    await office.write_status(await office.add_job(), "completed")
    await engine.relay_everything()

    async def waits() -> bool:
        return [each["status"] for each in await office.executions()] == ["waiting"]

    await eventually(waits)
    execution_id: UUID = (await office.executions())[0]["id"]
    return execution_id


async def hold(office: Office, engine: Engine, database: Database) -> UUID:
    """Stop a run between its wait and its messages; return its execution."""
    execution_id = await begin(office, engine, SOON)
    await stop(database, office)

    async def says_so() -> bool:
        said = (await office.executions())[0]["waiting_for"] or ""
        return sorted(said.split("; ")) == [f"mail: held, {HELD}", f"text: held, {HELD}"]

    await eventually(says_so)
    return execution_id


async def test_a_run_that_meets_a_stop_holds_and_goes_on_when_it_is_released(
    office: Office,
    engine: Engine,
    engine_database: Database,
    mail: MailCatcher,
    phone: SmsCatcher,
) -> None:
    execution_id = await hold(office, engine, engine_database)
    assert not mail.messages
    assert not phone.messages
    held = await office.messages()
    assert [(each["status"], each["attempts"], each["reason"]) for each in held] == [
        ("held", 0, HELD),
        ("held", 0, HELD),
    ]

    resumption = await resume(engine_database, office)
    assert await release_runs(engine.client, resumption.runs) == 1
    (execution,) = await engine.settled()

    assert execution["id"] == execution_id
    assert (execution["status"], execution["reason"]) == ("completed", None)
    assert (len(mail.messages), len(phone.messages)) == (1, 1)
    assert [each["attempts"] for each in await office.messages()] == [1, 1]


async def test_a_release_while_the_stop_stands_sends_nothing(
    office: Office, engine: Engine, engine_database: Database, mail: MailCatcher
) -> None:
    execution_id = await hold(office, engine, engine_database)
    # As a resume leaves it that is followed at once by another stop.
    await office.query(
        "UPDATE automation_execution_logs SET status = 'running', waiting_for = NULL"
    )
    await release_runs(engine.client, [workflow_id(execution_id)])

    async def holds_again() -> bool:
        (execution,) = await office.executions()
        return execution["status"] == "waiting" and "text: held" in execution["waiting_for"]

    await eventually(holds_again)
    assert not mail.messages

    await resume(engine_database, office)
    await release_runs(engine.client, [workflow_id(execution_id)])
    await engine.settled()
    assert len(mail.messages) == 1


async def test_a_held_run_can_be_cancelled(
    office: Office,
    engine: Engine,
    engine_database: Database,
    mail: MailCatcher,
    phone: SmsCatcher,
) -> None:
    execution_id = await hold(office, engine, engine_database)
    await engine.handle(execution_id).cancel()
    with pytest.raises(WorkflowFailureError):
        await engine.handle(execution_id).result()

    (execution,) = await office.executions()
    assert (execution["status"], execution["reason"]) == ("cancelled", "the run was cancelled")
    await resume(engine_database, office)
    assert [each["status"] for each in await office.messages()] == ["cancelled"] * 2
    assert not mail.messages
    assert not phone.messages


async def test_a_run_that_is_reset_while_it_holds_holds_again(
    office: Office, engine: Engine, engine_database: Database, mail: MailCatcher
) -> None:
    """Its messages were written before; the run begun anew must not take them for failed."""
    execution_id = await hold(office, engine, engine_database)
    handle = engine.handle(execution_id)

    async def after_the_wait() -> int | None:
        # The ledger says so before the task is complete that found it held.
        tasks = [
            event.event_id
            for event in (await handle.fetch_history()).events
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        ]
        return next((task for task in tasks if task > 8), None)

    await engine.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
            workflow_task_finish_event_id=await eventually(after_the_wait),
            request_id=str(uuid4()),
        )
    )

    await resume(engine_database, office)
    await release_runs(engine.client, [workflow_id(execution_id)])
    (execution,) = await engine.settled()

    assert execution["status"] == "completed"
    assert len(mail.messages) == 1


async def test_a_message_cancelled_by_a_resume_ends_its_run(
    office: Office,
    engine: Engine,
    engine_database: Database,
    mail: MailCatcher,
    phone: SmsCatcher,
) -> None:
    await hold(office, engine, engine_database)
    await office.query("UPDATE messages SET created_at = created_at - interval '3 hours'")

    resumption = await resume(engine_database, office, timedelta(hours=2))
    assert resumption.cancelled_messages == 2
    await release_runs(engine.client, resumption.runs)
    (execution,) = await engine.settled()

    assert execution["status"] == "cancelled"
    assert execution["reason"].count("cancelled on resume") == 2
    assert not mail.messages
    assert not phone.messages


async def test_what_is_in_a_providers_hands_is_let_go(
    office: Office, engine: Engine, engine_database: Database, mail: MailCatcher
) -> None:
    """Nobody can call it back; cutting the line would only make its outcome unknown."""
    await office.apply(
        "name: Thanks\ntrigger: {type: job_completed}\n"
        "steps: [{id: mail, type: send_email, subject: Done, text: Thank you}]"
    )
    client = await office.add_client(email="slow@example.com")
    await office.write_status(await office.add_job(client_id=client), "completed")
    await engine.relay_everything()
    await eventually(statuses(office, "sending"))

    await stop(engine_database, office)
    (execution,) = await engine.settled()

    assert execution["status"] == "completed"
    assert len(mail.messages) == 1


async def test_what_happens_during_a_stop_is_recorded_and_runs_afterwards(
    office: Office, engine: Engine, engine_database: Database, phone: SmsCatcher
) -> None:
    await office.apply(
        "name: Thanks\ntrigger: {type: job_completed}\n"
        "steps: [{id: text, type: send_sms, text: Thank you}]"
    )
    await stop(engine_database, office)
    await office.write_status(await office.add_job(), "completed")
    await engine.relay_everything()
    (execution,) = await office.executions()
    assert (execution["status"], execution["launched_at"]) == ("pending", None)
    assert await engine.relay.launch_waiting() == 0

    await resume(engine_database, office)
    assert await engine.relay.launch_waiting() == 1
    await engine.settled()

    assert len(phone.messages) == 1


async def test_nobody_elses_run_is_held(
    office: Office, engine: Engine, engine_database: Database, phone: SmsCatcher
) -> None:
    """The emergency stop once had no organization filter."""
    await stop(engine_database, office)
    async with await Office.open(office.url, "Harbor Plumbing") as other:
        await other.apply(
            "name: Thanks\ntrigger: {type: job_completed}\n"
            "steps: [{id: text, type: send_sms, text: Thank you}]"
        )
        await other.write_status(await other.add_job(), "completed")
        await engine.relay_everything()
        (execution,) = await other.executions()
        await engine.handle(execution["id"]).result()
    assert len(phone.messages) == 1


async def test_a_held_run_goes_on_by_itself_when_nobody_could_wake_it(
    office: Office,
    patient_engine: Engine,
    time_machine: WorkflowEnvironment,
    engine_database: Database,
    mail: MailCatcher,
) -> None:
    """Temporal was away when the stop was lifted, say."""
    await begin(office, patient_engine, SLOW)
    await stop(engine_database, office)
    await time_machine.sleep(timedelta(hours=3))
    await eventually(statuses(office, "held", "held"))
    assert not mail.messages

    await resume(engine_database, office)
    await time_machine.sleep(timedelta(minutes=15))
    await eventually(statuses(office, "sent", "sent"))
    await time_machine.sleep(timedelta(days=2))
    (execution,) = await patient_engine.settled()

    assert execution["status"] == "completed"
    assert [each["attempts"] for each in await office.messages()] == [1, 1, 1]


async def test_after_a_week_a_held_message_is_cancelled_and_its_run_ends(
    office: Office,
    patient_engine: Engine,
    time_machine: WorkflowEnvironment,
    engine_database: Database,
    mail: MailCatcher,
    phone: SmsCatcher,
) -> None:
    """A burst of stale rows once went out weeks late as spam."""
    await begin(office, patient_engine, SLOW)
    await stop(engine_database, office)
    await time_machine.sleep(HELD_LIMIT - timedelta(hours=1))
    await eventually(statuses(office, "held", "held"))
    await time_machine.sleep(timedelta(hours=4))
    (execution,) = await patient_engine.settled()

    reason = f"held for 7d: {HELD}"
    assert (await patient_engine.handle(execution["id"]).describe()).history_length < 6_000
    assert execution["status"] == "cancelled"
    assert execution["reason"] == f"mail: {reason}; text: {reason}"
    messages = await office.messages()
    assert [(each["status"], each["reason"]) for each in messages] == [("cancelled", reason)] * 2
    history = await patient_engine.handle(execution["id"]).fetch_history()
    # Temporal ends a run at 51,200 events.
    assert len(history.events) < 20_000
    assert not mail.messages
    assert not phone.messages


async def test_one_message_may_hold_while_its_neighbour_is_already_out(
    office: Office,
    temporal_client: Client,
    engine_database: Database,
    mail: MailCatcher,
    phone: SmsCatcher,
) -> None:
    await office.apply(
        "name: Both\ntrigger: {type: job_completed}\nsteps:\n"
        "  - {id: mail, type: send_email, subject: Done, text: Done}\n"
        "  - {id: text, type: send_sms, text: Done}\n"
    )
    client = await office.add_client(phone="+15005555031")
    async with running_engine(office, temporal_client, mail, phone) as engine:
        await office.write_status(await office.add_job(client_id=client), "completed")
        await engine.relay_everything()

        async def refused_once() -> object:
            return await office.query(
                "SELECT 1 FROM messages m JOIN messages t USING (execution_id)"
                " WHERE m.status = 'sent' AND t.status = 'queued' AND t.attempts = 1"
            )

        await eventually(refused_once)
        await stop(engine_database, office)
        await eventually(statuses(office, "sent", "held"))
        resumption = await resume(engine_database, office)
        await release_runs(engine.client, resumption.runs)
        (execution,) = await engine.settled()
    assert execution["status"] == "completed"
    assert (len(mail.messages), len(phone.messages)) == (1, 1)
