"""At night, on holidays and beyond a cap a message waits, and is true when it goes."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.domain.rules import parse_rules
from fixlify.domain.runs import Heard
from fixlify.storage.database import Database
from fixlify.storage.rules import store_rules
from tests.engine import eventually
from tests.stories.waiting import WaitingRoom, quiet
from workflows.automation import AutomationWorkflow
from workflows.run import HISTORY_LIMIT

NEW_YORK = ZoneInfo("America/New_York")
DAY = timedelta(days=1)
NIGHT = {"quiet_hours": {"from": "21:00", "to": "08:00"}}
TEXT = """
name: Text
trigger: {type: job_status_changed, to: [scheduled]}
steps:
  - {id: tonight, type: wait_until, at: "22:30"}
  - {id: text, type: send_sms, text: "Your {{ job.title }} is booked."}
"""


async def rule(room: WaitingRoom, database: Database, **rules: Any) -> None:
    async with database.organization(room.office.organization_id) as connection:
        await store_rules(connection, room.office.organization_id, parse_rules("test.yaml", rules))


async def next_time(room: WaitingRoom, at: time) -> datetime:
    """Return the next instant at which New York's clocks say *at*."""
    now = (await room.now()).astimezone(NEW_YORK)
    moment = datetime.combine(now.date(), at, tzinfo=NEW_YORK)
    if moment <= now:
        moment = datetime.combine(now.date() + DAY, at, tzinfo=NEW_YORK)
    return moment.astimezone(UTC)


async def sent_at(room: WaitingRoom) -> list[time]:
    """Return what New York's clocks said when messages went out, to the hour."""
    return [
        message["sending_at"].astimezone(NEW_YORK).time().replace(minute=0, second=0, microsecond=0)
        for message in await room.office.messages()
        if message["status"] == "sent"
    ]


async def test_quiet_hours_hold_a_message_until_the_morning(
    room: WaitingRoom, app_database: Database, phone: SmsCatcher
) -> None:
    """A step outside business hours was once marked "deferred", and never came."""
    await rule(room, app_database, **NIGHT)
    await room.begin(TEXT)
    evening = await next_time(room, time(22, 30))
    await room.waits_until("tonight", evening)
    await room.sleep_until(evening + timedelta(minutes=1))
    said = await room.waits_for("text: held until")

    assert "08:00" in said
    assert "quiet hours 21:00-08:00" in said
    (message,) = await room.office.messages()
    assert message["status"] == "held"
    assert message["held_until"] == await next_time(room, time(8))
    assert not phone.messages

    execution = await room.end()
    assert execution["status"] == "completed"
    assert len(phone.messages) == 1
    assert await sent_at(room) == [time(8)]


async def test_the_clients_own_zone_decides_when_it_is_night(
    room: WaitingRoom, app_database: Database, phone: SmsCatcher
) -> None:
    await rule(room, app_database, **NIGHT)
    # Half past ten in New York is breakfast or noon in Tokyo.
    client = await room.office.add_client(time_zone="Asia/Tokyo")
    await room.begin(
        TEXT.replace('at: "22:30"', 'at: "12:00"').replace("tonight", "noon"), client_id=client
    )
    execution = await room.end()

    assert execution["status"] == "completed"
    (message,) = await room.office.messages()
    assert message["held_until"] is None
    assert message["sending_at"].astimezone(ZoneInfo("Asia/Tokyo")).hour == 12


async def test_urgent_goes_at_night_and_respects_consent(
    room: WaitingRoom, app_database: Database, phone: SmsCatcher
) -> None:
    await rule(room, app_database, **NIGHT)
    client = await room.office.add_client(email_opted_out=True)
    await room.begin(
        TEXT.replace("trigger:", "message_class: urgent\ntrigger:")
        + "  - {id: mail, type: send_email, subject: A, text: B}\n",
        client_id=client,
    )
    execution = await room.end()

    assert execution["status"] == "completed"
    assert await sent_at(room) == [time(22)]
    assert [message["status"] for message in await room.office.messages()] == ["sent", "suppressed"]


async def test_what_was_held_is_written_anew_in_the_morning(
    room: WaitingRoom, app_database: Database, phone: SmsCatcher
) -> None:
    await rule(room, app_database, **NIGHT)
    await room.begin(TEXT)
    evening = await next_time(room, time(22, 30))
    await room.sleep_until(evening + timedelta(minutes=1))
    await room.waits_for("held until")

    await room.office.query("UPDATE jobs SET title = 'new boiler'")
    await room.office.query("UPDATE clients SET phone = '+12125550199'")
    await room.end()

    (message,) = phone.messages
    assert (message.to, message.body) == ("+12125550199", "Your new boiler is booked.")


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ("UPDATE clients SET sms_opted_out = true", "suppressed", "opted out"),
        ("UPDATE jobs SET status = 'cancelled'", "cancelled", "exit_when"),
        ("UPDATE automation_workflows SET status = 'archived'", "cancelled", "archived"),
        ("UPDATE clients SET phone = NULL", "failed", "phone"),
    ],
    ids=["consent", "exit", "automation", "address"],
)
async def test_what_changed_in_the_night_is_heeded_in_the_morning(
    room: WaitingRoom,
    app_database: Database,
    phone: SmsCatcher,
    change: str,
    status: str,
    reason: str,
) -> None:
    await rule(room, app_database, **NIGHT)
    await room.begin(
        TEXT.replace(
            "steps:", "exit_when: {field: job.status, operator: equals, value: cancelled}\nsteps:"
        )
    )
    await room.sleep_until(await next_time(room, time(22, 31)))
    await room.waits_for("held until")

    await room.office.query(change)
    await room.end()

    assert not phone.messages
    (message,) = await room.office.messages()
    assert message["status"] == status
    assert reason in message["reason"]


REMINDER = """
name: Reminder
trigger: {type: job_status_changed, to: [scheduled]}
steps:
  - id: before
    type: wait_until
    at: {field: job.schedule_start, offset: -10h}
    if_late: {within: 1d}
  - {id: remind, type: send_sms, text: "We come at {{ job.schedule_start | time }}."}
  - {id: nap, type: wait, for: 1d}
  - {id: thanks, type: send_sms, text: Thank you}
"""


async def test_a_reminder_held_beyond_its_visit_is_skipped_and_the_run_goes_on(
    room: WaitingRoom, app_database: Database, phone: SmsCatcher
) -> None:
    """Held messages that came too late once left no trace."""
    await rule(room, app_database, **NIGHT)
    # The visit is at seven, before the night of the rule is over.
    start = await next_time(room, time(7)) + DAY
    await room.begin(REMINDER, schedule_start=start)
    execution = await room.end()

    assert [message.body for message in phone.messages] == ["Thank you"]
    assert execution["status"] == "completed"
    status, reason = (await room.steps())["remind"]
    assert status == "skipped"
    assert "too late" in (reason or "")
    assert "quiet hours" in (reason or "")


async def test_a_visit_moved_while_its_reminder_is_held_is_reminded_of_at_its_new_time(
    room: WaitingRoom, app_database: Database, phone: SmsCatcher
) -> None:
    await rule(room, app_database, **NIGHT)
    start = await next_time(room, time(9)) + DAY
    job = await room.begin(REMINDER, schedule_start=start)
    await room.sleep_until(start - timedelta(hours=9))
    await room.waits_for("remind: held until")

    await room.move_visit(job, start + 5 * DAY + timedelta(hours=3))
    await room.engine.relay_everything()
    await room.sleep_until(start + 5 * DAY - timedelta(hours=12))
    assert not phone.messages, "the former morning has come and gone"
    await room.sleep_until(start + 5 * DAY + timedelta(hours=1))
    await room.waits_for("nap until")

    (message,) = phone.messages
    assert "12:00" in message.body


async def test_a_stop_that_is_lifted_sends_no_reminder_before_the_new_time_of_its_visit(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    start = await next_time(room, time(15)) + DAY
    job = await room.begin(REMINDER, schedule_start=start)
    handle = room.engine.handle((await room.office.executions())[0]["id"])
    await room.office.insert("automation_stops", organization_id=room.office.organization_id)
    await room.sleep_until(start - timedelta(hours=2))
    await room.waits_for("remind: held")

    await room.move_visit(job, start + 5 * DAY)
    await room.engine.relay_everything()
    await quiet(handle)
    await room.office.query("DELETE FROM automation_stops")
    await handle.signal(AutomationWorkflow.release)
    await quiet(handle)
    await room.sleep_until(start + 4 * DAY)
    assert not phone.messages

    await room.sleep_until(start + 5 * DAY + timedelta(hours=1))
    await room.waits_for("nap until")
    assert len(phone.messages) == 1


async def test_a_cap_holds_what_is_too_much_and_says_until_when(
    room: WaitingRoom, app_database: Database, phone: SmsCatcher, mail: MailCatcher
) -> None:
    await rule(room, app_database, caps=[{"at_most": 1, "per": "24h", "channel": "sms"}])
    await room.begin(
        "name: Three\ntrigger: {type: job_status_changed, to: [scheduled]}\nsteps:\n"
        "  - {id: first, type: send_sms, text: One}\n"
        "  - {id: nap, type: wait, for: 1h}\n"
        "  - {id: second, type: send_sms, text: Two}\n"
        "  - {id: mail, type: send_email, subject: Mail, text: Mail}\n"
    )
    await room.waits_for("nap until")
    await room.clock.sleep(timedelta(hours=2))
    said = await room.waits_for("second: held until")

    assert "cap" in said
    assert len(phone.messages) == 1
    assert len(mail.messages) == 1, "the cap is one of texts"
    execution = await room.end()

    assert execution["status"] == "completed"
    first, second = [m for m in await room.office.messages() if m["channel"] == "sms"]
    assert second["sending_at"] - first["sending_at"] >= DAY


async def test_marketing_waits_for_a_working_day(
    room: WaitingRoom, app_database: Database, mail: MailCatcher
) -> None:
    days = dict.fromkeys(("tue", "thu"), "09:00-17:00")
    await rule(room, app_database, business_hours=days)
    await room.begin(
        "name: Offer\nmessage_class: marketing\n"
        "trigger: {type: job_status_changed, to: [scheduled]}\nsteps:\n"
        '  - {id: evening, type: wait_until, at: "18:00"}\n'
        "  - {id: mail, type: send_email, subject: Offer, text: Offer}\n"
    )
    execution = await room.end()

    assert execution["status"] == "completed"
    (message,) = await room.office.messages()
    when = message["sending_at"].astimezone(NEW_YORK)
    assert (when.strftime("%a"), when.hour) in [("Tue", 9), ("Thu", 9)]


async def test_marketing_waits_for_the_end_of_a_holiday(
    room: WaitingRoom, app_database: Database, mail: MailCatcher
) -> None:
    evening = await next_time(room, time(18))
    holiday = evening.astimezone(NEW_YORK).date()
    await rule(room, app_database, holidays={"dates": [holiday.isoformat()]})
    await room.begin(
        "name: Offer\ntrigger: {type: job_status_changed, to: [scheduled]}\nsteps:\n"
        '  - {id: evening, type: wait_until, at: "18:00"}\n'
        "  - {id: offer, type: send_email, subject: A, text: B, message_class: marketing}\n"
        "  - {id: news, type: send_email, subject: C, text: D}\n"
    )
    await room.sleep_until(evening + timedelta(minutes=1))
    said = await room.waits_for("offer: held until")
    assert "holiday" in said
    assert [email.subject for email in mail.messages] == ["C"], "it binds marketing alone"
    await room.end()

    offer, _ = await room.office.messages()
    assert offer["sending_at"].astimezone(NEW_YORK).date() == holiday + DAY


async def test_an_automation_may_have_rules_of_its_own(
    room: WaitingRoom, app_database: Database, phone: SmsCatcher
) -> None:
    await rule(room, app_database, **NIGHT)
    await room.begin(TEXT.replace("trigger:", 'rules: {quiet_hours: "off"}\ntrigger:'))
    await room.end()

    assert await sent_at(room) == [time(22)]


async def test_a_paused_automation_holds_its_runs_and_loses_none(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    await room.begin(TEXT)
    await room.office.query("UPDATE automation_workflows SET status = 'paused'")
    await room.sleep_until(await next_time(room, time(22, 31)))
    await room.waits_for("text: held, the automation is paused")
    assert not phone.messages

    await room.office.query("UPDATE automation_workflows SET status = 'active'")
    (execution,) = await room.office.executions()
    await room.engine.handle(execution["id"]).signal("release")
    execution = await room.ended()

    assert execution["status"] == "completed"
    assert len(phone.messages) == 1


async def test_a_reminder_that_was_moved_away_is_held_anew_at_its_new_moment(
    room: WaitingRoom, app_database: Database, phone: SmsCatcher
) -> None:
    """A week's limit counts from there; what is said meanwhile is of the new moment."""
    await rule(room, app_database, **NIGHT)
    start = await next_time(room, time(9)) + DAY
    job = await room.begin(REMINDER, schedule_start=start)
    await room.sleep_until(start - timedelta(hours=9))
    await room.waits_for("remind: held until")

    await room.move_visit(job, start + 10 * DAY)
    await room.engine.relay_everything()
    moment = start + 10 * DAY - timedelta(hours=10)
    await room.waits_for(f"remind: held until {moment:%Y-%m-%d %H:%M} UTC: the moment was moved")
    await room.sleep_until(start + 10 * DAY + timedelta(hours=1))
    await room.waits_for("nap until")

    assert len(phone.messages) == 1
    assert await sent_at(room) == [time(8)]


async def test_a_held_reminder_waits_for_its_moved_moment_in_a_new_history_too(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    begun = await room.now()
    start = begun + timedelta(hours=11)
    job = await room.begin(REMINDER, schedule_start=start)
    await room.waits_for("before until")
    await room.office.query("UPDATE automation_workflows SET status = 'paused'")
    await room.sleep_until(begun + timedelta(hours=2))
    await room.waits_for("remind: held, the automation is paused")
    (execution,) = await room.office.executions()
    handle = room.engine.handle(execution["id"])
    first_run = (await handle.describe()).run_id
    await room.move_visit(job, start + 8 * DAY)
    for number in range(1, HISTORY_LIMIT):
        await handle.signal("hear", Heard(event_ids=(number,)))

    async def goes_on() -> bool:
        return (await handle.describe()).run_id != first_run

    await eventually(goes_on)
    await room.office.query("UPDATE automation_workflows SET status = 'active'")
    await handle.signal("release")
    await room.sleep_until(begun + 5 * DAY)
    assert not phone.messages
    await room.sleep_until(start + 8 * DAY - timedelta(hours=9))
    await room.waits_for("nap until")

    assert len(phone.messages) == 1
