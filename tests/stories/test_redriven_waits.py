"""A run that is set going again passes the waits it has behind it, and heeds what was moved."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.storage.database import Database
from starter.redrive import redrive_executions
from tests.stories.waiting import WaitingRoom

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
REFUSED = "fail-550@example.com"
HEAD = "name: Visit\ntrigger: {type: job_status_changed, to: [scheduled]}\nsteps:\n"
DAY_BEFORE = (
    "  - {id: day-before, type: wait_until, at: {field: job.schedule_start, offset: -24h}}\n"
)
TEXT = "  - {id: text, type: send_sms, text: Soon}\n"
MAIL = "  - {id: mail, type: send_email, subject: Visit, text: Visit}\n"


async def redrive(room: WaitingRoom, database: Database) -> UUID:
    """Mend the client's address, and begin the one run anew."""
    await room.office.query("UPDATE clients SET email = 'ada@example.com'")
    (execution,) = await room.office.executions()
    redriven = await redrive_executions(database, room.office.organization_id, [execution["id"]])
    assert redriven == [execution["id"]]
    assert await room.engine.relay.launch_waiting()
    return redriven[0]


async def test_what_follows_a_later_wait_hangs_on_no_visit(
    room: WaitingRoom, engine_database: Database, mail: MailCatcher
) -> None:
    client = await room.office.add_client(email=REFUSED)
    await room.begin(
        HEAD + DAY_BEFORE + TEXT + "  - {id: cool-down, type: wait, for: 3d}\n" + MAIL,
        schedule_start=await room.now() + 2 * DAY,
        client_id=client,
    )
    assert (await room.end())["status"] == "failed"

    await redrive(room, engine_database)
    execution = await room.ended()

    assert (execution["status"], execution["reason"]) == ("completed", None)
    assert len(mail.messages) == 1


async def test_a_visit_that_was_moved_is_waited_for_again(
    room: WaitingRoom, engine_database: Database, phone: SmsCatcher, mail: MailCatcher
) -> None:
    start = await room.now() + 2 * DAY
    client = await room.office.add_client(email=REFUSED)
    job = await room.begin(HEAD + DAY_BEFORE + TEXT + MAIL, schedule_start=start, client_id=client)
    assert (await room.end())["status"] == "failed"

    start = await room.now() + 9 * DAY
    await room.move_visit(job, start)
    await redrive(room, engine_database)
    await room.waits_until("day-before", start - DAY)
    await room.sleep_until(start - 2 * DAY)
    assert not mail.messages
    execution = await room.end()

    assert execution["status"] == "completed"
    assert (len(phone.messages), len(mail.messages)) == (1, 1)


async def test_a_visit_that_lost_its_date_is_not_written_about(
    room: WaitingRoom, engine_database: Database, mail: MailCatcher
) -> None:
    client = await room.office.add_client(email=REFUSED)
    job = await room.begin(
        HEAD + DAY_BEFORE + TEXT + MAIL,
        schedule_start=await room.now() + 2 * DAY,
        client_id=client,
    )
    assert (await room.end())["status"] == "failed"

    await room.move_visit(job, None)
    await redrive(room, engine_database)
    execution = await room.ended()

    assert not mail.messages
    assert (await room.steps())["mail"] == ("skipped", "job.schedule_start is empty")
    assert execution["status"] == "completed", "its text went out"


async def test_a_time_of_day_that_came_is_not_waited_for_again(
    room: WaitingRoom, engine_database: Database, mail: MailCatcher
) -> None:
    client = await room.office.add_client(email=REFUSED)
    await room.begin(
        HEAD + '  - {id: morning, type: wait_until, at: "09:30", if_late: send}\n' + MAIL,
        client_id=client,
    )
    assert (await room.end())["status"] == "failed"

    await redrive(room, engine_database)
    execution = await room.ended()

    assert execution["status"] == "completed"
    assert len(mail.messages) == 1
