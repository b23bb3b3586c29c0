"""The automations that ship do what their descriptions say, on the running engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from uuid import UUID

from psycopg.types.json import Jsonb

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from tests.engine import eventually
from tests.stories.waiting import WaitingRoom

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def shipped(name: str) -> str:
    return (files("fixlify.library") / f"{name}.yaml").read_text("utf-8")


async def outcomes(room: WaitingRoom) -> list[str]:
    return [execution["status"] for execution in await room.office.executions()]


async def they_are(room: WaitingRoom, *statuses: str) -> None:
    async def are() -> bool:
        return await outcomes(room) == list(statuses)

    await eventually(are)


async def test_a_visit_that_is_moved_twice_is_told_once_at_the_time_it_has_then(
    room: WaitingRoom, phone: SmsCatcher, mail: MailCatcher
) -> None:
    begun = await room.now()
    await room.office.apply(shipped("visit-rescheduled"))
    job = await room.office.add_job(schedule_start=begun + 5 * DAY)
    await room.move_visit(job, begun + 6 * DAY)
    await room.engine.relay_everything()
    await they_are(room, "skipped", "waiting")
    await room.move_visit(job, begun + 7 * DAY)
    await room.engine.relay_everything()
    await they_are(room, "skipped", "cancelled", "waiting")

    await room.clock.sleep(6 * MINUTE)
    await they_are(room, "skipped", "cancelled", "completed")

    (told,) = phone.messages
    assert "Your visit has moved to" in told.body
    assert len(mail.messages) == 1


async def test_a_visit_moved_into_the_past_is_not_told(
    room: WaitingRoom, phone: SmsCatcher, mail: MailCatcher
) -> None:
    """Whoever writes down when a visit was does not speak to the client."""
    begun = await room.now()
    await room.office.apply(shipped("visit-rescheduled"))
    job = await room.office.add_job(schedule_start=begun + 5 * DAY)
    await room.move_visit(job, begun - DAY)
    await room.engine.relay_everything()
    await they_are(room, "skipped", "waiting")

    await room.clock.sleep(6 * MINUTE)
    await they_are(room, "skipped", "skipped")

    assert not phone.messages
    assert not mail.messages


async def test_a_cancellation_is_told_unless_it_is_taken_back_at_once(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    begun = await room.now()
    await room.office.apply(shipped("visit-cancelled"))
    kept = await room.office.add_job("J-1", schedule_start=begun + 5 * DAY)
    given_up = await room.office.add_job("J-2", schedule_start=begun + 5 * DAY)
    for job in (kept, given_up):
        await room.office.write_status(job, "canceled")
        await room.engine.relay_everything()
    await they_are(room, "waiting", "waiting")
    await room.office.write_status(kept, "scheduled")
    await room.engine.relay_everything()
    await they_are(room, "skipped", "waiting")

    await room.clock.sleep(6 * MINUTE)
    await they_are(room, "skipped", "completed")

    (told,) = phone.messages
    assert "is canceled" in told.body


async def call(
    room: WaitingRoom, client: UUID | None = None, later: timedelta = timedelta(), **data: str
) -> None:
    """Report a call that nobody took, as the phone system does, so much *later* than now."""
    await room.office.insert(
        "automation_events",
        organization_id=room.office.organization_id,
        event_type="custom",
        subject_type="client" if client else "organization",
        subject_id=str(client or room.office.organization_id),
        data=Jsonb({"name": "call.missed", "data": data}),
        occurred_at=datetime.now(UTC) + later,
    )
    await room.engine.relay_everything()


async def test_a_client_who_calls_again_and_again_is_texted_once_in_four_hours(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    await room.office.apply(shipped("missed-call"))
    client = await room.office.add_client(tags=["vip"])
    await call(room, client)
    await room.waits_for("window until")
    await call(room, client, later=MINUTE)
    assert await outcomes(room) == ["waiting", "skipped"]
    assert len(phone.messages) == 1

    await room.clock.sleep(4 * HOUR + MINUTE)
    await they_are(room, "completed", "skipped")
    assert await room.office.query("SELECT tags FROM clients WHERE id = %s", client) == [
        {"tags": ["vip"]}
    ]
    await call(room, client, later=2 * MINUTE)
    await they_are(room, "completed", "skipped", "waiting")
    await eventually(lambda: _count(phone, 2))


async def _count(phone: SmsCatcher, messages: int) -> bool:
    return len(phone.messages) == messages


async def test_a_caller_whom_nobody_knows_is_texted_at_the_number_they_called_from(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    await room.office.apply(shipped("missed-call"))
    await call(room, phone="+12125550199")
    await they_are(room, "completed")

    (text,) = phone.messages
    assert text.to == "+12125550199"
    assert text.body.startswith("Northwind Heating: Sorry we missed your call. How can we help?")
