"""The way of one message through the send activities, where timing matters."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import psycopg
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.delivery import Finding, deliver
from fixlify.channels import Accepted
from fixlify.domain.delivery import DELIVERY_DEADLINES
from fixlify.domain.errors import TransportError
from fixlify.domain.failures import FailureKind
from fixlify.domain.ids import new_id
from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import MessageStatus, SendReceipt, SendRequest
from fixlify.storage.database import Database
from fixlify.storage.messages import ClaimedMessage, enter_messages
from fixlify.storage.messages.doubts import DoubtfulMessage
from tests.office import Office
from tests.runs import add_execution, new_message


async def _queued(office: Office, database: Database) -> SendRequest:
    await office.apply(
        "name: Text\ntrigger: {type: job_completed}\nsteps: [{id: text, type: send_sms, text: Hi}]"
    )
    await office.add_job()
    execution_id = await add_execution(office)
    message = new_message(office, execution_id, id=new_id())
    async with database.transaction() as connection:
        await enter_messages(connection, execution_id, [message])
    return SendRequest(message_id=message.id, organization_id=office.organization_id)


class Willing:
    """A sender that takes everything, once it is let."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.answers = asyncio.Event()

    async def hand_over(self, message: ClaimedMessage) -> Accepted:
        self.called.set()
        await self.answers.wait()
        return Accepted(provider="somebody", provider_id="1")

    async def find(self, message: DoubtfulMessage, now: datetime) -> Finding:
        return Finding()

    def pause_in_doubt(self) -> timedelta | None:
        return None

    def is_landline(self, code: str | None) -> bool:
        return False


class Busy(Willing):
    """A sender that is asked to wait."""

    asked = timedelta(minutes=7)

    async def hand_over(self, message: ClaimedMessage) -> Accepted:
        raise TransportError(
            "too many requests at once",
            permanent=False,
            kind=FailureKind.THROTTLED,
            code="20429",
            retry_after=self.asked,
        )


async def test_a_claim_that_waits_for_the_database_is_alive(
    office: Office, engine_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for dead, it would be followed by a second attempt that finds the first one's claim."""
    monkeypatch.setattr("activities.delivery.HEARTBEAT_INTERVAL", timedelta(milliseconds=10))
    request = await _queued(office, engine_database)
    environment = ActivityEnvironment()
    beaten = asyncio.Event()
    environment.on_heartbeat = lambda *_: beaten.set()

    async with await psycopg.AsyncConnection.connect(office.url) as somebody:
        await somebody.execute("SELECT 1 FROM messages FOR UPDATE")
        sender = Willing()
        sender.answers.set()
        sending = asyncio.create_task(environment.run(deliver, engine_database, request, sender))
        await asyncio.wait_for(beaten.wait(), 10)
        assert not sending.done()
    assert await sending == SendReceipt(status=MessageStatus.SENT)


async def test_what_is_tried_for_as_long_as_its_class_allows_is_given_up(
    office: Office, engine_database: Database
) -> None:
    """The ledger says so, with what stood in the way; the run is not told to try again."""
    request = await _queued(office, engine_database)
    environment = ActivityEnvironment()
    begun = environment.info.scheduled_time
    deadline = DELIVERY_DEADLINES[MessageClass.TRANSACTIONAL]
    for waited, status in ((deadline / 2, "queued"), (deadline, "failed")):
        environment.info = replace(environment.info, started_time=begun + waited)
        with pytest.raises(ApplicationError) as raised:
            await environment.run(deliver, engine_database, request, Busy())
        assert raised.value.non_retryable is (status == "failed")
        (message,) = await office.messages()
        assert message["status"] == status
    assert message["reason"] == "gave up after 6h: too many requests at once"
    assert message["error_code"] == "20429"


async def test_what_was_tried_before_it_took_its_turn_is_given_up_no_later(
    office: Office, engine_database: Database
) -> None:
    """The queue's own clock begins after the pause that the provider asked for at first."""
    request = await _queued(office, engine_database)
    environment = ActivityEnvironment()
    deadline = DELIVERY_DEADLINES[MessageClass.TRANSACTIONAL]
    begun = environment.info.scheduled_time - deadline
    with pytest.raises(ApplicationError) as raised:
        await environment.run(
            deliver, engine_database, request.model_copy(update={"begun": begun}), Busy()
        )
    assert raised.value.non_retryable
    (message,) = await office.messages()
    assert message["status"] == "failed"


async def test_a_wait_that_is_asked_for_is_kept(office: Office, engine_database: Database) -> None:
    request = await _queued(office, engine_database)
    with pytest.raises(ApplicationError) as raised:
        await ActivityEnvironment().run(deliver, engine_database, request, Busy())
    assert raised.value.next_retry_delay == Busy.asked


async def test_a_cancelled_run_waits_for_the_answer_of_a_call_under_way(
    office: Office, engine_database: Database
) -> None:
    """The message cannot be called back, and its answer is the only way to know."""
    request = await _queued(office, engine_database)
    environment = ActivityEnvironment()
    sender = Willing()

    sending = asyncio.create_task(environment.run(deliver, engine_database, request, sender))
    await asyncio.wait_for(sender.called.wait(), 10)
    environment.cancel()
    sender.answers.set()
    with pytest.raises(asyncio.CancelledError):
        await sending

    assert [message["status"] for message in await office.messages()] == ["sent"]
