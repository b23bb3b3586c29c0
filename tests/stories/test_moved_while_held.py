"""A reminder that a rule holds still hangs on its visit: wherever that is moved, it comes then."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import pytest

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.storage.database import Database
from tests.stories.test_held_by_rules import NIGHT, next_time, rule
from tests.stories.waiting import WaitingRoom

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# A visit at nine is to be reminded of at eleven, which is night.
REMINDER = """
name: Reminder
trigger: {type: job_status_changed, to: [scheduled]}
steps:
  - id: before
    type: wait_until
    at: {field: job.schedule_start, offset: -10h}
    if_late: {within: 12h}
  - {id: remind, type: send_sms, text: "We come on {{ job.schedule_start | date }}."}
  - {id: mail, type: send_email, subject: Visit, text: "We come."}
"""


@pytest.fixture
async def visit(room: WaitingRoom, app_database: Database) -> datetime:
    """The visit of J-2019, whose reminders are held in the night before."""
    await rule(room, app_database, **NIGHT)
    start = await next_time(room, time(9)) + DAY
    await room.begin(REMINDER, schedule_start=start)
    await room.sleep_until(start - 9 * HOUR)
    await room.waits_for("remind: held until", "mail: held until")
    return start


async def move(room: WaitingRoom, start: datetime) -> None:
    await room.move_visit("J-2019", start)
    await room.engine.relay_everything()


async def test_of_two_messages_held_neither_goes_before_the_new_moment(
    room: WaitingRoom, visit: datetime, phone: SmsCatcher, mail: MailCatcher
) -> None:
    await move(room, visit + 5 * DAY + 3 * HOUR)
    await room.waits_for("remind: held until", "the moment was moved")
    await room.sleep_until(visit + 5 * DAY - 12 * HOUR)
    assert not phone.messages
    assert not mail.messages

    execution = await room.end()
    assert execution["status"] == "completed"
    assert (len(phone.messages), len(mail.messages)) == (1, 1)


async def test_a_message_moved_by_more_than_the_limit_is_held_from_its_new_moment_on(
    room: WaitingRoom, visit: datetime, phone: SmsCatcher
) -> None:
    """It would else have been held for too long as soon as its moment came."""
    await move(room, visit + 10 * DAY)
    await room.waits_for("the moment was moved")
    execution = await room.end()

    assert (execution["status"], execution["reason"]) == ("completed", None)
    assert len(phone.messages) == 1


async def test_no_word_sends_a_message_before_its_new_moment(
    room: WaitingRoom, visit: datetime, phone: SmsCatcher
) -> None:
    await move(room, visit + 5 * DAY)
    await room.waits_for("the moment was moved")
    await room.sleep_until(visit + 3 * HOUR)
    (execution,) = await room.office.executions()
    await room.engine.handle(execution["id"]).signal("release")
    await room.sleep_until(visit + 1 * DAY)

    assert not phone.messages
    await room.end()
    assert len(phone.messages) == 1


async def test_a_visit_moved_away_and_back_is_reminded_of_in_the_morning(
    room: WaitingRoom, visit: datetime, phone: SmsCatcher
) -> None:
    await move(room, visit + 5 * DAY)
    await room.waits_for("the moment was moved")
    await move(room, visit)
    await room.sleep_until(visit - HOUR / 2)
    execution = await room.ended()

    assert execution["status"] == "completed"
    assert len(phone.messages) == 1
