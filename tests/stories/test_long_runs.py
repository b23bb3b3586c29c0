"""A run that waits for months and hears much keeps its history short."""

from __future__ import annotations

import json
from datetime import timedelta

from devstack.sms import SmsCatcher
from fixlify.domain.runs import Heard
from tests.engine import eventually
from tests.stories.waiting import WaitingRoom, quiet
from workflows.memory import TOLD_LIMIT
from workflows.run import HISTORY_LIMIT

DAY = timedelta(days=1)
PATIENT = """
name: Patient
trigger: {type: job_status_changed, to: [scheduled]}
exit_when: {field: job.status, operator: equals, value: cancelled}
steps:
  - {id: hello, type: send_sms, text: Hello}
  - id: size
    type: branch
    if: {field: job.total, operator: greater_than, value: 10}
    then:
      - id: day-before
        type: wait_until
        at: {field: job.schedule_start, offset: -24h}
      - {id: remind, type: send_sms, text: Tomorrow}
"""
EVENTS = 500
# One look after another may follow the last that fits.
SLACK = 50


async def test_a_run_of_sixty_days_with_five_hundred_events_keeps_its_history_short(
    room: WaitingRoom, phone: SmsCatcher
) -> None:
    begun = await room.now()
    job = await room.begin(PATIENT, schedule_start=begun + 61 * DAY)
    await room.waits_until("day-before", begun + 60 * DAY)
    (execution,) = await room.office.executions()
    handle = room.engine.handle(execution["id"])
    first_run = (await handle.describe()).run_id

    for number in range(EVENTS):
        await room.office.query("UPDATE jobs SET description = %s", f"Note {number}")
        await room.engine.relay_everything()
        if number % 20 == 0:
            # In sixty days they come one by one.
            await quiet(handle)
    # The last of them, as it is told twice.
    (newest,) = await room.office.query("SELECT max(id) AS id FROM automation_events")
    await handle.signal("hear", Heard(event_ids=(newest["id"],)))
    await room.move_visit(job, begun + 62 * DAY)
    await room.engine.relay_everything()
    await room.waits_until("day-before", begun + 61 * DAY)

    assert len((await handle.fetch_history()).events) <= HISTORY_LIMIT + SLACK
    assert (await handle.describe()).run_id != first_run, "it went on in a new history"
    await room.sleep_until(begun + 60 * DAY)
    assert len(phone.messages) == 1

    execution = await room.end()
    assert execution["status"] == "completed"
    assert [message.body for message in phone.messages] == ["Hello", "Tomorrow"]
    steps = await room.office.query("SELECT step_id FROM automation_step_logs ORDER BY position")
    assert [step["step_id"] for step in steps] == ["hello", "size", "day-before", "remind"]
    signals = await room.office.query(
        "SELECT count(*) AS told, count(delivered_at) AS delivered FROM automation_signals"
    )
    # The move was told as an edit, too.
    assert signals[0]["told"] == signals[0]["delivered"] == EVENTS + 2


async def test_what_was_heard_in_one_history_is_known_in_the_next(room: WaitingRoom) -> None:
    """Otherwise the first signal that came twice would count twice."""
    begun = await room.now()
    await room.begin(PATIENT, schedule_start=begun + 61 * DAY)
    await room.waits_for("day-before until")
    (execution,) = await room.office.executions()
    handle = room.engine.handle(execution["id"])
    first_run = (await handle.describe()).run_id
    # A signal and a look for each, until the history is long.
    for number in range(1, HISTORY_LIMIT):
        await handle.signal("hear", Heard(event_ids=(number,)))
        if number % 20 == 0 and (await handle.describe()).run_id != first_run:
            break

    async def goes_on() -> bool:
        return (await handle.describe()).run_id != first_run

    await eventually(goes_on)
    history = (await handle.fetch_history()).events
    begun_with = history[0].workflow_execution_started_event_attributes.input.payloads[0].data
    told = json.loads(begun_with)["carried"]["told"]
    assert len(told) == TOLD_LIMIT
    assert told == list(range(told[0], told[0] + TOLD_LIMIT)), "the newest, in their order"
