"""What happens again sends nothing twice: re-entry, loops, old news, and words that stop it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from tests.engine import eventually
from tests.stories.waiting import WaitingRoom

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
REMINDER = """
name: Reminder
trigger: {type: job_status_changed, to: [scheduled]}
steps:
  - {id: day-before, type: wait_until, at: {field: job.schedule_start, offset: -24h}}
  - {id: remind, type: send_sms, text: "Your visit is tomorrow."}
"""
BOOKED = """
name: Booked
trigger: {type: job_scheduled}
steps: [{id: text, type: send_sms, text: "Your visit has a time."}]
"""


async def test_being_booked_and_being_reminded_are_two_things(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    """Both once had one name: clients were reminded at booking, and later were not."""
    begun = await room.now()
    await room.office.apply(BOOKED)
    await room.begin(REMINDER, schedule_start=begun + 5 * DAY)

    async def booked() -> bool:
        return len(phone.messages) == 1

    await eventually(booked)
    assert [message.body for message in phone.messages] == ["Your visit has a time."]
    await room.clock.sleep(4 * DAY + HOUR)
    await room.all_ended()
    assert [message.body for message in phone.messages] == [
        "Your visit has a time.",
        "Your visit is tomorrow.",
    ]


async def _booked_again(room: WaitingRoom, job: str) -> None:
    """Book the same job again, later than the duplicate window reaches."""
    await room.office.query(
        "UPDATE automation_execution_logs SET occurred_at = occurred_at - interval '1 minute'"
    )
    await room.office.write_status(job, "requested")
    await room.office.write_status(job, "scheduled")
    await room.engine.relay_everything()


async def test_booked_again_there_is_one_reminder_and_the_newer_run_sends_it(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    """Re-entry once left two pending timers for one person."""
    begun = await room.now()
    job = await room.begin(REMINDER, schedule_start=begun + 5 * DAY)
    await room.waits_until("day-before", begun + 4 * DAY)
    await _booked_again(room, job)
    await room.clock.sleep(4 * DAY + HOUR)
    older, newer = await room.all_ended()

    assert len(phone.messages) == 1
    assert (older["status"], older["reason"]) == (
        "cancelled",
        "a newer run of the automation took over",
    )
    assert newer["status"] == "completed"


async def test_an_edited_automation_lives_on_in_one_version_per_job(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    """An old and a new version of the same automation once both stayed live."""
    begun = await room.now()
    job = await room.begin(REMINDER, schedule_start=begun + 5 * DAY)
    await room.waits_until("day-before", begun + 4 * DAY)
    await room.office.apply(REMINDER.replace("is tomorrow", "is in a day"))
    await _booked_again(room, job)
    await room.clock.sleep(4 * DAY + HOUR)
    await room.all_ended()

    assert [message.body for message in phone.messages] == ["Your visit is in a day."]


async def test_where_it_is_allowed_both_runs_go_on(room: WaitingRoom, phone: SmsCatcher) -> None:
    begun = await room.now()
    both = REMINDER.replace("trigger:", "reentry: allow\ntrigger:")
    job = await room.begin(both, schedule_start=begun + 5 * DAY)
    await room.waits_until("day-before", begun + 4 * DAY)
    await _booked_again(room, job)
    await room.clock.sleep(4 * DAY + HOUR)
    await room.all_ended()

    assert len(phone.messages) == 2


async def test_an_automation_is_not_set_off_by_its_own_job(room: WaitingRoom) -> None:
    """One that created jobs was once triggered by them until the browser gave up."""
    await room.office.apply(
        "name: Tag\ntrigger: {type: job_updated}\n"
        "steps: [{id: tag, type: update_record, add_tags: [seen]}]\n"
    )
    job = await room.office.add_job()
    await room.office.query("UPDATE jobs SET title = 'New' WHERE id = %s", job)
    executions = await room.all_ended()

    assert [each["status"] for each in executions] == ["completed", "skipped"]
    assert "loop" in executions[1]["reason"]
    assert (await room.office.query("SELECT tags FROM jobs"))[0]["tags"] == ["seen"]


async def test_two_automations_do_not_set_each_other_off_for_ever(room: WaitingRoom) -> None:
    for name, status, writes in (("Ping", "ping", "pong"), ("Pong", "pong", "ping")):
        await room.office.apply(
            f"name: {name}\ntrigger: {{type: job_status_changed, to: [{status}]}}\n"
            f"steps: [{{id: write, type: update_record, set: {{status: {writes}}}}}]\n"
        )
    await room.office.write_status(await room.office.add_job(), "ping")
    executions = await room.all_ended()

    assert [each["status"] for each in executions] == ["completed", "completed", "skipped"]
    assert "Ping → Pong → Ping" in executions[2]["reason"].replace("->", "→")


async def test_last_weeks_events_set_nothing_off(room: WaitingRoom, phone: SmsCatcher) -> None:
    """A burst of stale pending rows once went out weeks late as spam."""
    await room.office.apply(REMINDER)
    await room.office.query(
        "UPDATE automation_workflows SET activated_at = activated_at - interval '1 year'"
    )
    await room.office.write_status(await room.office.add_job(status="requested"), "scheduled")
    await room.office.query(
        "UPDATE automation_events SET occurred_at = occurred_at - interval '8 days'"
    )
    await room.engine.relay_everything()
    (execution,) = await room.office.executions()

    assert execution["status"] == "skipped"
    assert "before a relay came to it; it begins at most 3d late" in execution["reason"]
    assert not phone.messages


@pytest.mark.parametrize("message_class", ["transactional", "urgent"])
async def test_stop_in_a_chat_stops_the_texts_that_were_under_way(
    room: WaitingRoom, phone: SmsCatcher, mail: MailCatcher, message_class: str
) -> None:
    """A STOP sent in a chat once did not opt out; "essential" messages ignored opt-outs."""
    begun = await room.now()
    await room.begin(
        REMINDER.replace("trigger:", f"message_class: {message_class}\ntrigger:")
        + "  - {id: mail, type: send_email, subject: Visit, text: Tomorrow.}\n",
        schedule_start=begun + 5 * DAY,
    )
    await room.waits_until("day-before", begun + 4 * DAY)
    await room.office.add_inbound_message(" Stop. ", client_id=room.office.newest_client_id)
    await room.engine.relay_everything()
    await room.clock.sleep(4 * DAY + HOUR)
    await room.all_ended()

    assert not phone.messages
    assert len(mail.messages) == 1
    assert [message["status"] for message in await room.office.messages()] == [
        "suppressed",
        "sent",
    ]
