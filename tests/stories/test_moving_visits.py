"""A reminder goes out before the visit, wherever the visit is moved meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from tests.engine import eventually, running_engine
from tests.office import Office
from tests.stories.waiting import WaitingRoom

# As docs and design show it to users.
REMINDER_AND_REVIEW = """
name: Visit reminder and review
trigger:
  type: job_status_changed
  to: [scheduled]
conditions:
  all:
    - {field: job.job_type, operator: in, value: [repair, installation]}
exit_when:
  any:
    - {field: job.status, operator: equals, value: cancelled}
steps:
  - id: day-before
    type: wait_until
    at: {field: job.schedule_start, offset: -24h}   # re-armed when the visit moves
    if_late: skip                                   # send | skip | {within: 2h}
  - id: remind
    type: send_sms
    to: client
    template: visit-reminder
  - id: after
    type: wait_for_event
    event: {type: job_status_changed, to: [completed]}
    timeout: 7d
    on_timeout: exit
  - id: cool-down
    type: wait
    for: 2d
  - id: review
    type: send_email
    to: client
    template: review-request
"""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DAY_BEFORE = "day-before"


async def test_the_automation_of_the_documentation_follows_a_visit_that_is_moved_twice(
    room: WaitingRoom, phone: SmsCatcher, mail: MailCatcher
) -> None:
    begun = await room.now()
    job = await room.begin(REMINDER_AND_REVIEW, schedule_start=begun + 5 * DAY)
    await room.waits_until(DAY_BEFORE, begun + 4 * DAY)

    await room.sleep_until(begun + 1 * DAY)
    await room.move_visit(job, begun + 10 * DAY)
    await room.engine.relay_everything()
    await room.waits_until(DAY_BEFORE, begun + 9 * DAY)

    await room.sleep_until(begun + 5 * DAY)
    assert not phone.messages, "the former day has come and gone"
    await room.move_visit(job, begun + 7 * DAY)
    await room.engine.relay_everything()
    await room.waits_until(DAY_BEFORE, begun + 6 * DAY)

    await room.sleep_until(begun + 6 * DAY + HOUR)
    await room.waits_for("after until")
    assert len(phone.messages) == 1

    await room.office.write_status(job, "completed")
    await room.engine.relay_everything()
    await room.waits_for("cool-down until")
    execution = await room.end()

    assert (execution["status"], execution["reason"]) == ("completed", None)
    assert len(phone.messages) == 1
    assert len(mail.messages) == 1


async def test_a_visit_moved_closer_is_reminded_of_earlier(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    begun = await room.now()
    job = await room.begin(REMINDER_AND_REVIEW, schedule_start=begun + 30 * DAY)
    await room.waits_until(DAY_BEFORE, begun + 29 * DAY)

    await room.move_visit(job, begun + 3 * DAY)
    await room.engine.relay_everything()
    await room.waits_until(DAY_BEFORE, begun + 2 * DAY)
    await room.sleep_until(begun + 2 * DAY + HOUR)
    await room.waits_for("after until")

    assert len(phone.messages) == 1


@pytest.mark.parametrize("start_in", [timedelta(hours=3), timedelta(hours=-3)], ids=["soon", "ago"])
async def test_a_visit_moved_too_close_is_not_reminded_of_and_the_review_still_comes(
    room: WaitingRoom, phone: SmsCatcher, mail: MailCatcher, start_in: timedelta
) -> None:
    """A missing or past date once meant "no delay": the reminder went out at once."""
    begun = await room.now()
    job = await room.begin(REMINDER_AND_REVIEW, schedule_start=begun + 30 * DAY)
    await room.waits_until(DAY_BEFORE, begun + 29 * DAY)

    await room.move_visit(job, begun + start_in)
    await room.engine.relay_everything()
    await room.waits_for("after until")
    await room.office.write_status(job, "completed")
    execution = await room.end()

    assert not phone.messages
    assert len(mail.messages) == 1
    steps = await room.steps()
    assert steps[DAY_BEFORE][0] == "skipped"
    assert "too late" in (steps[DAY_BEFORE][1] or "")
    assert steps["remind"] == ("skipped", "skipped with day-before")
    assert execution["status"] == "completed"
    assert "too late" in execution["reason"]


async def test_a_job_without_a_date_is_not_reminded_of_at_once(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    await room.begin(REMINDER_AND_REVIEW, schedule_start=None)
    await room.waits_for("after until")

    assert not phone.messages
    assert (await room.steps())[DAY_BEFORE] == ("skipped", "job.schedule_start is empty")


async def test_a_visit_moved_twice_in_one_second_counts_as_it_was_moved_last(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    begun = await room.now()
    job = await room.begin(REMINDER_AND_REVIEW, schedule_start=begun + 5 * DAY)
    await room.waits_until(DAY_BEFORE, begun + 4 * DAY)

    await room.move_visit(job, begun + 2 * DAY)
    await room.move_visit(job, begun + 8 * DAY)
    await room.engine.relay_everything()
    await room.waits_until(DAY_BEFORE, begun + 7 * DAY)
    await room.sleep_until(begun + 6 * DAY)
    assert not phone.messages
    await room.sleep_until(begun + 7 * DAY + HOUR)
    await room.waits_for("after until")

    assert len(phone.messages) == 1


async def test_a_visit_moved_while_no_worker_runs_is_reminded_of_at_its_new_time(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> None:
    """On a server whose clock nobody moves: the former moment passes while all is down."""
    async with running_engine(office, temporal_client, mail, phone) as engine:
        start = datetime.now(UTC) + DAY + timedelta(seconds=4)
        await office.apply(REMINDER_AND_REVIEW)
        job = await office.add_job(status="requested", schedule_start=start)
        await office.write_status(job, "scheduled")
        await engine.relay_everything()

        async def is_armed() -> bool:
            (execution,) = await office.executions()
            return f"{DAY_BEFORE} until" in (execution["waiting_for"] or "")

        await eventually(is_armed)
    later = datetime.now(UTC) + DAY + timedelta(seconds=9)
    await office.query("UPDATE jobs SET schedule_start = %s", later)

    async def former_moment_passed() -> bool:
        return datetime.now(UTC) > start - DAY

    await eventually(former_moment_passed)
    async with running_engine(office, temporal_client, mail, phone) as engine:
        await engine.relay_everything()

        async def is_reminded() -> list[dict[str, Any]]:
            return [m for m in await office.messages() if m["status"] == "sent"]

        (reminder,) = await eventually(is_reminded)

    assert reminder["sent_at"] > later - DAY
    assert len(phone.messages) == 1


async def test_a_cancelled_visit_ends_the_run_at_once(
    room: WaitingRoom, phone: SmsCatcher, mail: MailCatcher
) -> None:
    """A rescheduled visit once kept its old reminder, and a cancelled one was still reminded."""
    begun = await room.now()
    job = await room.begin(REMINDER_AND_REVIEW, schedule_start=begun + 5 * DAY)
    await room.waits_until(DAY_BEFORE, begun + 4 * DAY)

    await room.office.write_status(job, "Cancelled")
    execution = await room.ended()

    assert await room.now() < begun + 4 * DAY, "it need not sleep to know"
    assert execution["status"] == "skipped"
    assert "exit_when: job.status equals 'cancelled'" in execution["reason"]
    assert not phone.messages
    assert not mail.messages


async def test_a_visit_that_lost_its_date_is_reminded_of_when_it_has_one_again(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    begun = await room.now()
    job = await room.begin(REMINDER_AND_REVIEW, schedule_start=begun + 5 * DAY)
    await room.waits_until(DAY_BEFORE, begun + 4 * DAY)

    await room.move_visit(job, None)
    await room.engine.relay_everything()
    await room.sleep_until(begun + 3 * DAY)
    await room.move_visit(job, begun + 9 * DAY)
    await room.engine.relay_everything()
    await room.waits_until(DAY_BEFORE, begun + 8 * DAY)
    await room.sleep_until(begun + 8 * DAY + HOUR)
    await room.waits_for("after until")

    assert len(phone.messages) == 1


async def test_a_visit_nobody_completes_ends_with_the_time_out(
    room: WaitingRoom, mail: MailCatcher
) -> None:
    begun = await room.now()
    await room.begin(REMINDER_AND_REVIEW, schedule_start=begun + 2 * DAY)
    execution = await room.end()

    assert execution["status"] == "completed"
    assert "did not happen within 7d" in execution["reason"]
    assert "ended at after" in execution["reason"]
    assert not mail.messages


WITHIN = """
name: Reminder
trigger: {type: job_status_changed, to: [scheduled]}
steps:
  - id: day-before
    type: wait_until
    at: {field: job.schedule_start, offset: -24h}
    if_late: POLICY
  - {id: remind, type: send_sms, text: "Your visit is soon."}
"""


@pytest.mark.parametrize(
    ("policy", "hours_ahead", "sent"),
    [
        ("{within: 2h}", 23, 1),
        ("{within: 2h}", 21, 0),
        ("send", 3, 1),
        ("skip", 23, 0),
        ("skip", 24, 1),
    ],
)
async def test_what_is_late_goes_by_its_policy(
    room: WaitingRoom, phone: SmsCatcher, policy: str, hours_ahead: int, sent: int
) -> None:
    start = await room.now() + timedelta(hours=hours_ahead)
    await room.begin(WITHIN.replace("POLICY", policy), schedule_start=start)
    execution = await room.end()

    assert len(phone.messages) == sent
    assert execution["status"] == ("completed" if sent else "skipped")


async def test_reminders_of_three_days_do_not_go_out_together(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    """Joining a day before expiry once sent the -3, -2 and -1-day mails together."""
    three = "name: Three\ntrigger: {type: job_status_changed, to: [scheduled]}\nsteps:\n" + "".join(
        f"  - {{id: wait-{days}, type: wait_until, "
        f"at: {{field: job.schedule_start, offset: -{days}d}}}}\n"
        f"  - {{id: remind-{days}, type: send_sms, text: 'In {days} days.'}}\n"
        for days in (3, 2, 1)
    )
    await room.begin(three, schedule_start=await room.now() + timedelta(hours=36))
    execution = await room.end()

    assert [message.body for message in phone.messages] == ["In 1 days."]
    assert execution["status"] == "completed"
    assert [status for status, _ in (await room.steps()).values()] == [
        *["skipped"] * 4,
        *["completed"] * 2,
    ]
