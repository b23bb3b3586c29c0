"""The first try of a message needs no queue; whatever it does not settle is left to one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from activities.delivery import FirstTries
from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.domain.runs import SendRequest
from fixlify.storage.messages import Ledger, NewMessage, enter_messages
from tests.engine import Engine, eventually, running_engine
from tests.office import Office
from worker import workers
from workflows.automation import AutomationWorkflow

BOTH = """
name: Both
trigger: {type: job_completed}
steps:
  - {id: mail, type: send_email, subject: "Done", text: "Thank you!"}
  - {id: text, type: send_sms, text: "Done."}
"""
TEXT_OR_MAIL = """
name: Text or mail
trigger: {type: job_completed}
steps:
  - {id: text, type: send_sms, template: job-completed, if_landline: email}
"""
LastWord = Callable[[Ledger], Awaitable[None]]


async def events_of(office: Office, engine: Engine) -> list[HistoryEvent]:
    """Complete a job, and return the events of the run it set off."""
    await office.write_status(await office.add_job(), "completed")
    (execution,) = await engine.settled()
    assert execution["status"] == "completed"
    return list((await engine.handle(execution["id"]).fetch_history()).events)


def queued(events: list[HistoryEvent]) -> list[str]:
    """Return the types of the activities that passed through a queue."""
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]


async def test_what_is_taken_at_once_passes_through_no_queue(
    office: Office, engine: Engine, mail: MailCatcher, phone: SmsCatcher
) -> None:
    await office.apply(BOTH)

    assert queued(await events_of(office, engine)) == []
    assert (len(mail.messages), len(phone.messages)) == (1, 1)


@pytest.mark.parametrize("limit", ["per_second", "organization_per_second"])
async def test_messages_of_a_channel_with_a_rate_take_their_turn(
    office: Office, engine: Engine, mail: MailCatcher, phone: SmsCatcher, limit: str
) -> None:
    await office.apply(BOTH)
    await office.query(f"INSERT INTO channel_settings (channel, {limit}) VALUES ('sms', 50)")

    assert queued(await events_of(office, engine)) == ["send_sms"]
    assert (len(mail.messages), len(phone.messages)) == (1, 1)


async def test_a_rate_of_none_is_no_rate(office: Office, engine: Engine) -> None:
    await office.apply(BOTH)
    await office.query("INSERT INTO channel_settings (channel, per_second) VALUES ('sms', 'inf')")

    assert queued(await events_of(office, engine)) == []


async def test_what_is_beyond_the_tries_there_may_be_is_queued(
    office: Office,
    temporal_client: Client,
    mail: MailCatcher,
    phone: SmsCatcher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A provider that is slow holds up so many workflow tasks, and no more."""
    monkeypatch.setattr(workers, "FIRST_TRIES", 1)
    await office.apply(BOTH)
    async with running_engine(office, temporal_client, mail, phone) as engine:
        assert queued(await events_of(office, engine)) == ["send_sms"]

    assert (len(mail.messages), len(phone.messages)) == (1, 1)
    assert [message["attempts"] for message in await office.messages()] == [1, 1]


async def test_a_provider_is_given_the_time_it_asks_for(
    office: Office, engine: Engine, phone: SmsCatcher
) -> None:
    """It said ``Retry-After: 1``; the queue's attempt comes no sooner."""
    await office.apply(BOTH)
    job = await office.add_job(client_id=await office.add_client(phone="+15005554291"))
    await office.write_status(job, "completed")
    (execution,) = await engine.settled()
    events = (await engine.handle(execution["id"]).fetch_history()).events

    (timer,) = (e for e in events if e.event_type == EventType.EVENT_TYPE_TIMER_STARTED)
    pause = timer.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
    assert pause >= timedelta(seconds=1)
    assert queued(list(events)) == ["send_sms"]
    (turn,) = (e for e in events if e.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
    request = SendRequest.model_validate_json(
        turn.activity_task_scheduled_event_attributes.input.payloads[0].data
    )
    assert request.begun is not None, "its deadline counts from the first try"
    assert request.begun < turn.event_time.ToDatetime(UTC) - pause
    assert len(phone.messages) == 1


async def test_a_signal_in_the_last_task_does_not_change_what_the_run_says(
    office: Office, engine: Engine, phone: SmsCatcher
) -> None:
    """Temporal refuses the end of a run that has news; the task is done anew, and nothing else."""
    phone.slowness = timedelta(milliseconds=500)
    await office.apply(TEXT_OR_MAIL)
    job = await office.add_job(client_id=await office.add_client(phone="+15005550024"))
    await office.write_status(job, "completed")
    await engine.relay_everything()

    async def is_tried() -> bool:
        return any(message["status"] == "sending" for message in await office.messages())

    await eventually(is_tried)
    (execution,) = await office.executions()
    handle = engine.handle(execution["id"])
    await handle.signal(AutomationWorkflow.release)

    assert (await handle.result()).status == "completed"
    (execution,) = await office.executions()
    assert execution["status"] == "completed"
    assert len(phone.messages) == 1


class TestAfterAWorkersDeath:
    """Temporal heard of nothing a worker did in its last task; the next one asks the ledger."""

    @pytest.fixture
    def last_words(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> list[LastWord]:
        """What becomes of messages after a worker wrote them, and before the next one does."""
        words: list[LastWord] = []

        async def entering(
            connection: AsyncConnection, execution_id: UUID, messages: Sequence[NewMessage]
        ) -> Any:
            if words:
                word = words.pop()
                for message in (await enter_messages(connection, execution_id, messages)).values():
                    await word(Ledger(connection, message.id, office.organization_id))
            return await enter_messages(connection, execution_id, messages)

        monkeypatch.setattr("activities.writing.enter_messages", entering)
        return words

    async def test_a_landline_is_still_written_to_by_email(
        self, office: Office, engine: Engine, mail: MailCatcher, last_words: list[LastWord]
    ) -> None:
        async def refuse(ledger: Ledger) -> None:
            await ledger.claim(datetime.now(UTC))
            await ledger.refused("the number is a landline", "21635")

        last_words.append(refuse)
        await office.apply(TEXT_OR_MAIL)

        assert queued(await events_of(office, engine)) == []
        assert len(mail.messages) == 1

    async def test_a_run_that_is_over_goes_no_further(
        self, office: Office, engine: Engine, last_words: list[LastWord]
    ) -> None:
        """The claim found that; the facts may have changed back since."""

        async def pause_for_a_moment(ledger: Ledger) -> None:
            await office.query(
                "UPDATE automation_workflows SET status = 'paused', paused_runs = 'cancel'"
            )
            await ledger.claim(datetime.now(UTC))
            await office.query("UPDATE automation_workflows SET status = 'active'")

        last_words.append(pause_for_a_moment)
        await office.apply(TEXT_OR_MAIL)
        await office.write_status(await office.add_job(), "completed")
        (execution,) = await engine.settled()

        assert execution["status"] == "cancelled"

    async def test_a_rate_that_was_set_meanwhile_leaves_nobody_in_doubt(
        self, office: Office, engine: Engine, phone: SmsCatcher, last_words: list[LastWord]
    ) -> None:
        async def set_rate(ledger: Ledger) -> None:
            await ledger.claim(datetime.now(UTC))
            await office.query(
                "INSERT INTO channel_settings (channel, per_second) VALUES ('sms', 50)"
            )

        last_words.append(set_rate)
        await office.apply(TEXT_OR_MAIL)

        assert queued(await events_of(office, engine)) == ["send_sms"]
        assert len(phone.messages) == 1


def test_a_place_that_is_given_back_is_there_again() -> None:
    tries = FirstTries(1)

    assert tries.begin()
    assert not tries.begin()
    tries.end()
    assert tries.begin()
