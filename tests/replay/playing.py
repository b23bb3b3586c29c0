"""What is done to a run while it waits, and to its company before it begins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from fixlify.domain.rules import parse_rules
from fixlify.domain.runs import Heard
from fixlify.storage.database import Database, Role
from fixlify.storage.rules import store_rules
from starter.redrive import redrive_executions
from tests.engine import eventually
from tests.stories.waiting import Handle, WaitingRoom, quiet
from workflows.automation import AutomationWorkflow
from workflows.run import HISTORY_LIMIT

DAY: Final = timedelta(days=1)
LATER: Final = timedelta(minutes=10)
"""How long a wait is that somebody ends."""
SOON: Final = timedelta(seconds=2)
"""How long one is that ends by itself: time enough to do something meanwhile."""


async def allow_one_text_in_three_seconds(room: WaitingRoom) -> None:
    organization = room.office.organization_id
    rules = parse_rules("rules.yaml", {"caps": [{"at_most": 1, "per": "3s", "channel": "sms"}]})
    database = Database(room.office.url, Role.APP, pool_size=1)
    try:
        async with database.organization(organization) as connection:
            await store_rules(connection, organization, rules)
    finally:
        await database.close()


async def _move(room: WaitingRoom, starts_in: timedelta) -> datetime:
    """Move the visit, tell the run, and return when the reminder is due."""
    start = datetime.now(UTC) + starts_in
    await room.move_visit("J-2019", start)
    await room.engine.relay_everything()
    return start - DAY


async def _write(room: WaitingRoom, status: str) -> None:
    await room.office.write_status("J-2019", status)
    await room.engine.relay_everything()


async def _switch(room: WaitingRoom, status: str) -> None:
    await room.office.query("UPDATE automation_workflows SET status = %s", status)


async def move_twice(room: WaitingRoom, handle: Handle) -> None:
    await room.waits_for("day-before until")
    await room.waits_until("day-before", await _move(room, DAY + 2 * LATER))
    await _move(room, DAY + SOON)


async def complete_the_job(room: WaitingRoom, handle: Handle) -> None:
    await room.waits_for("after until")
    await _write(room, "completed")


async def answer_twice(room: WaitingRoom, handle: Handle) -> None:
    await room.waits_for("reply until")
    client_id = room.office.newest_client_id
    await room.office.add_inbound_message("Who is this? Ada here.", client_id=client_id)
    await room.engine.relay_everything()

    async def was_heard() -> object:
        return await room.office.query("SELECT 1 FROM automation_decisions WHERE kind = 'heard'")

    await eventually(was_heard)
    await room.office.add_inbound_message("Oh, yes. Ada", client_id=client_id)
    await room.engine.relay_everything()


async def cancel_the_job(room: WaitingRoom, handle: Handle) -> None:
    await room.waits_for("nap until")
    await _write(room, "cancelled")


async def cancel_the_job_and_tell_nobody(room: WaitingRoom, handle: Handle) -> None:
    await room.waits_for("nap until")
    await room.office.write_status("J-2019", "cancelled")


async def edit_the_job(room: WaitingRoom, handle: Handle) -> None:
    await room.waits_for("nap until")
    await room.office.query("UPDATE jobs SET description = 'Ada has a dog'")
    await room.engine.relay_everything()


async def _pause_until_held(room: WaitingRoom, *held: str) -> None:
    await room.waits_for("until")
    await _switch(room, "paused")
    await room.waits_for(*(f"{step}: held" for step in held))


async def _enable(room: WaitingRoom, handle: Handle) -> None:
    await _switch(room, "active")
    await handle.signal(AutomationWorkflow.release)


async def pause_then_enable_messages(room: WaitingRoom, handle: Handle) -> None:
    await _pause_until_held(room, "mail", "text")
    await _enable(room, handle)


async def pause_then_enable_actions(room: WaitingRoom, handle: Handle) -> None:
    await _pause_until_held(room, "update")
    await _enable(room, handle)
    await room.waits_for("pause until")
    await _pause_until_held(room, "tell")
    await _enable(room, handle)


async def cancel_the_job_while_held(room: WaitingRoom, handle: Handle) -> None:
    await _pause_until_held(room, "text")
    await _write(room, "cancelled")


async def move_while_held(room: WaitingRoom, handle: Handle) -> None:
    await _pause_until_held(room, "remind")
    await _move(room, DAY + SOON)
    # The new moment itself is what makes it try again.
    await _switch(room, "active")


async def move_and_enable_while_held(room: WaitingRoom, handle: Handle) -> None:
    await _pause_until_held(room, "remind")
    await _move(room, DAY + 2 * SOON)
    await quiet(handle)
    await _enable(room, handle)


async def move_away_while_held(room: WaitingRoom, handle: Handle) -> None:
    await _pause_until_held(room, "remind")
    await _move(room, timedelta(hours=3))


async def archive(room: WaitingRoom, handle: Handle) -> None:
    await room.waits_for("day-before until")
    await _switch(room, "archived")
    await handle.signal(AutomationWorkflow.release)


async def cancel(room: WaitingRoom, handle: Handle) -> None:
    await room.waits_for("day-before until")
    await handle.cancel()


async def redrive(room: WaitingRoom, handle: Handle) -> None:
    failed = await handle.result()
    await room.office.query("UPDATE clients SET email = 'ada@example.com'")
    database = Database(room.office.url, Role.ENGINE, pool_size=2)
    try:
        await redrive_executions(database, failed.organization_id, [failed.execution_id])
    finally:
        await database.close()
    await room.engine.relay.launch_waiting()


async def tell_until_it_goes_on(room: WaitingRoom, handle: Handle) -> None:
    await room.waits_for("day-before until")
    # A few find it asleep, and the others together.
    for number in range(1, 6):
        await quiet(handle)
        await handle.signal(AutomationWorkflow.hear, Heard(event_ids=(number,)))
    await quiet(handle)
    told = [Heard(event_ids=(number,)) for number in range(1, HISTORY_LIMIT)]
    await _goes_on_after(handle, lambda: [handle.signal("hear", heard) for heard in told])
    await _move(room, DAY + SOON)


async def hold_until_it_goes_on(room: WaitingRoom, handle: Handle) -> None:
    await _pause_until_held(room, "remind")
    await quiet(handle)
    releases = range(HISTORY_LIMIT)
    await _goes_on_after(handle, lambda: [handle.signal("release") for _ in releases])
    await _enable(room, handle)


async def _goes_on_after(handle: Handle, signals: Callable[[], list[Awaitable[None]]]) -> None:
    """Send *signals* all at once, and wait until the run goes on in a new history."""
    first_run = (await handle.describe()).run_id
    await asyncio.gather(*signals())

    async def goes_on() -> bool:
        return (await handle.describe()).run_id != first_run

    await eventually(goes_on)
