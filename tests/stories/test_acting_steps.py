"""Steps that act: a record is written, a task entered, another system told; each once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.testing import WorkflowEnvironment

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.storage.database import Database
from fixlify.storage.stops import resume_automations
from starter.release import release_runs
from tests.engine import running_engine
from tests.office import Office
from tests.receiving import Receiver, Reply
from tests.stories.waiting import WaitingRoom

AFTER_A_DAY = """
name: Acts
trigger: {type: job_status_changed, to: [scheduled]}
exit_when: {field: job.status, operator: equals, value: cancelled}
steps:
  - {id: nap, type: wait, for: 1d}
  - {id: tag, type: update_record, add_tags: [called], set: {lead_source: returning}}
  - {id: task, type: create_task, title: "Call {{ client.first_name }}", due_in: 2d}
  - id: tell
    type: call_webhook
    url: https://books.example.com/jobs
    fields: [job.total]
    on_error: stop
  - {id: text, type: send_sms, text: Told}
"""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as server:
        yield server


@pytest.fixture
async def room(
    office: Office,
    time_machine: WorkflowEnvironment,
    mail: MailCatcher,
    phone: SmsCatcher,
    receiver: Receiver,
) -> AsyncIterator[WaitingRoom]:
    async with running_engine(
        office, time_machine.client, mail, phone, webhooks=receiver.url
    ) as engine:
        room = WaitingRoom(office, engine, time_machine)
        yield room
        await room.close()


async def test_each_acts_once_and_with_the_facts_of_its_moment(
    room: WaitingRoom, receiver: Receiver, phone: SmsCatcher
) -> None:
    begun = await room.now()
    await room.begin(AFTER_A_DAY, total=240)
    await room.waits_for("nap until")
    await room.office.query("UPDATE jobs SET total = 999")
    execution = await room.end()

    assert (execution["status"], execution["reason"]) == ("completed", None)
    (job,) = await room.office.query("SELECT tags, lead_source FROM jobs")
    assert job == {"tags": ["called"], "lead_source": "returning"}
    (task,) = await room.office.query("SELECT title, due_at FROM tasks")
    assert task["title"] == "Call Ada"
    assert task["due_at"] >= begun + timedelta(days=3)
    (told,) = receiver.received
    assert float(told.payload["data"]["fields"]["job.total"]) == 999
    assert len(phone.messages) == 1


async def test_a_run_that_is_over_acts_no_more(
    room: WaitingRoom, receiver: Receiver, phone: SmsCatcher
) -> None:
    job = await room.begin(AFTER_A_DAY)
    await room.waits_for("nap until")
    await room.office.write_status(job, "cancelled")
    execution = await room.ended()

    assert execution["status"] == "skipped"
    assert not receiver.received
    assert not await room.office.query("SELECT FROM tasks")


async def test_a_refused_call_fails_the_run_and_stops_it_where_it_is_told_to(
    room: WaitingRoom, receiver: Receiver, phone: SmsCatcher
) -> None:
    receiver.otherwise = Reply(status=403)
    await room.begin(AFTER_A_DAY)
    execution = await room.end()

    assert execution["status"] == "failed"
    assert "tell: " in execution["error_message"]
    assert "403" in execution["error_message"]
    assert len(receiver.received) == 1
    assert not phone.messages


async def test_a_paused_automation_acts_when_it_is_enabled_again(
    room: WaitingRoom, receiver: Receiver
) -> None:
    await room.begin(AFTER_A_DAY)
    await room.waits_for("nap until")
    await room.office.query("UPDATE automation_workflows SET status = 'paused'")
    await room.clock.sleep(timedelta(days=1, minutes=1))
    await room.waits_for("tag: held, the automation is paused")
    assert not (await room.office.query("SELECT tags FROM jobs"))[0]["tags"]

    await room.office.query("UPDATE automation_workflows SET status = 'active'")
    (execution,) = await room.office.executions()
    await room.engine.handle(execution["id"]).signal("release")
    execution = await room.end()

    assert execution["status"] == "completed"
    assert len(receiver.received) == 1


async def test_a_stop_holds_what_acts_and_a_resume_wakes_it(
    room: WaitingRoom, engine_database: Database
) -> None:
    await room.begin(AFTER_A_DAY)
    await room.waits_for("nap until")
    await room.office.insert("automation_stops", organization_id=room.office.organization_id)
    await room.clock.sleep(timedelta(days=1, minutes=1))
    await room.waits_for("tag: held, automations are stopped")
    async with engine_database.transaction() as connection:
        resumed = await resume_automations(connection, room.office.organization_id)
    await release_runs(room.engine.client, resumed.runs)
    execution = await room.end()

    assert len(resumed.runs) == 1
    assert execution["status"] == "completed"
