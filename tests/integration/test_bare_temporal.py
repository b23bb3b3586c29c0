"""What we compare ourselves with is what we say it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from benchmarks.peers.bare_worker import BareTemporal
from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from tests.engine import running_engine
from tests.office import Office

THANKS = """
name: Job completed
trigger: {type: job_completed}
steps:
  - {id: email, type: send_email, subject: Done, text: Thank you!, html: "<p>Thank you!</p>"}
  - {id: text, type: send_sms, text: It is done.}
"""


async def test_bare_temporal_has_the_shape_and_the_size_of_our_own_run(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> None:
    await office.apply(THANKS)
    await office.write_status(await office.add_job(), "completed")
    async with running_engine(office, temporal_client, mail, phone) as engine:
        (execution,) = await engine.settled()
        ours = (await engine.handle(execution["id"]).fetch_history()).events

    bare = await _bare_events(temporal_client, "same_shape")

    assert _types(bare) == _types(ours)
    # Within a tenth: names of activities and of people's automations differ a little.
    assert 0.9 < _size(bare) / _size(ours) < 1.1


async def test_the_taught_shape_sends_through_a_queue_for_each_channel(
    temporal_client: Client,
) -> None:
    events = await _bare_events(temporal_client, "queued")

    sends = [
        event.activity_task_scheduled_event_attributes
        for event in events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    assert {(send.activity_type.name, send.task_queue.name) for send in sends} == {
        ("send_email", "bare_queued-email"),
        ("send_sms", "bare_queued-sms"),
    }
    # Fetching, rendering and recording.
    assert _types(events).count("MARKER_RECORDED") == 3


async def _bare_events(client: Client, shape: str) -> Sequence[HistoryEvent]:
    bare = BareTemporal(client, shape)
    async with AsyncExitStack() as stack:
        for worker in bare.workers():
            await stack.enter_async_context(worker)
        run = await bare.start()
        await run.result()
    return (await run.fetch_history()).events


def _types(events: Sequence[HistoryEvent]) -> list[str]:
    return [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in events]


def _size(events: Sequence[HistoryEvent]) -> int:
    return sum(event.ByteSize() for event in events)
