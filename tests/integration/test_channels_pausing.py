"""A paused channel holds what is its own, and a resume lets go on only what is still wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.errors import StaleWorkError
from fixlify.domain.events import SubjectType
from fixlify.domain.ids import execution_of
from fixlify.domain.limits import LimitedChannel
from fixlify.domain.runs import MessageStatus, StepRequest
from fixlify.storage.channels import (
    ChannelResumption,
    ChannelTraffic,
    channel_settings,
    channel_traffic,
    pause_channel,
    resume_channel,
    wake_channel,
)
from fixlify.storage.database import Database
from fixlify.storage.messages import Channel, ClaimedMessage, claim_message, enter_messages
from fixlify.storage.messages.gate import weigh
from fixlify.storage.permission import may_act
from fixlify.storage.stops import resume_automations, stop_automations
from tests.clones import delete_everything, new_database
from tests.conftest import TEMPLATE
from tests.office import Office
from tests.runs import add_execution, new_message

HOUR = timedelta(hours=1)
SMS, WEBHOOK = LimitedChannel.SMS, LimitedChannel.WEBHOOK
HELD = "the sms channel is paused: wrong number"


@pytest.fixture(scope="module")
async def shared_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """One database for these tests, which empty it one after another."""
    async with new_database(postgres, TEMPLATE) as url:
        yield url


@pytest.fixture
async def database_url(shared_database: str) -> str:
    """That database, with nothing in it."""
    await delete_everything(shared_database)
    return shared_database


async def pause(database: Database, channel: LimitedChannel = SMS) -> bool:
    """Pause a channel; return whether that was new."""
    async with database.transaction() as connection:
        return await pause_channel(connection, channel, "wrong number")


async def resume(
    database: Database, channel: LimitedChannel = SMS, **decision: Any
) -> ChannelResumption:
    async with database.transaction() as connection:
        return await resume_channel(connection, channel, **decision)


async def add_message(
    database: Database, office: Office, age: timedelta = HOUR, **fields: Any
) -> UUID:
    """Enter a message that a run is about to send, and return its id."""
    execution = await add_execution(office, "running", started_at=datetime.now(UTC) - age)
    message = new_message(office, execution, **fields)
    async with database.transaction() as connection:
        await enter_messages(connection, execution, [message])
    await office.query(
        "UPDATE messages SET created_at = %s WHERE id = %s", datetime.now(UTC) - age, message.id
    )
    return message.id


async def claim(database: Database, office: Office, message: UUID) -> tuple[str, str | None]:
    """Try to take the message for a provider; return what it is afterwards, and why."""
    claimed = await claim_message(database, message, office.organization_id, datetime.now(UTC))
    if isinstance(claimed, ClaimedMessage):
        return "sending", None
    return claimed.status.value, claimed.reason


async def test_from_a_pause_on_nothing_of_the_channel_is_taken_and_nothing_else_is_held(
    office: Office, engine_database: Database
) -> None:
    text = await add_message(engine_database, office)
    email = await add_message(
        engine_database, office, channel=Channel.EMAIL, recipient="ada@example.com"
    )

    assert await pause(engine_database)

    assert await claim(engine_database, office, text) == ("held", HELD)
    assert await claim(engine_database, office, email) == ("sending", None)
    (held,) = await office.query(
        "SELECT status, reason, attempts FROM messages WHERE id = %s", text
    )
    assert held == {"status": "held", "reason": HELD, "attempts": 0}
    decisions = await office.query("SELECT kind, detail FROM automation_decisions")
    assert decisions == [{"kind": "held", "detail": HELD}]


async def test_a_pause_needs_no_reason(office: Office, engine_database: Database) -> None:
    message = await add_message(engine_database, office)
    async with engine_database.transaction() as connection:
        await pause_channel(connection, SMS, None)
    assert await claim(engine_database, office, message) == ("held", "the sms channel is paused")


async def test_a_second_pause_changes_nothing(office: Office, engine_database: Database) -> None:
    assert await pause(engine_database)
    first = await office.query("SELECT * FROM channel_settings")
    async with engine_database.transaction() as connection:
        assert not await pause_channel(connection, SMS, "another reason")
    assert await office.query("SELECT * FROM channel_settings") == first
    assert await pause(engine_database, LimitedChannel.EMAIL)


async def test_no_company_pauses_a_channel_of_everybody(
    office: Office, app_database: Database, engine_database: Database
) -> None:
    await pause(engine_database)
    async with app_database.organization(office.organization_id) as connection:
        assert (await channel_settings(connection))[SMS].paused_reason == "wrong number"
    with pytest.raises(DBAPIError, match="permission denied"):
        async with app_database.organization(office.organization_id) as connection:
            await pause_channel(connection, LimitedChannel.EMAIL, None)


async def test_what_a_pause_held_goes_on_after_a_resume(
    office: Office, engine_database: Database
) -> None:
    message = await add_message(engine_database, office)
    await pause(engine_database)
    await claim(engine_database, office, message)
    await office.query(
        "UPDATE automation_execution_logs SET status = 'waiting', waiting_for = 'text: held'"
    )

    resumption = await resume(engine_database)

    assert resumption.paused_at is not None
    assert (resumption.paused_reason, resumption.messages) == ("wrong number", 1)
    woken = await office.query(
        "SELECT status, waiting_for FROM automation_execution_logs WHERE id = ANY(%s)",
        [execution_of(run) for run in resumption.runs],
    )
    assert woken == [{"status": "running", "waiting_for": None}]
    assert await claim(engine_database, office, message) == ("sending", None)


async def test_what_something_else_holds_is_not_let_go(
    office: Office, engine_database: Database
) -> None:
    """Quiet hours, another channel's pause and a stop are lifted by themselves."""
    await add_message(
        engine_database, office, status=MessageStatus.HELD, reason="held until 8: quiet hours"
    )
    email = await add_message(
        engine_database, office, channel=Channel.EMAIL, recipient="ada@example.com"
    )
    stopped = await add_message(engine_database, office)
    for channel in (SMS, LimitedChannel.EMAIL):
        await pause(engine_database, channel)
    for message in (email, stopped):
        await claim(engine_database, office, message)
    async with engine_database.transaction() as connection:
        await stop_automations(connection, office.organization_id, None)

    resumption = await resume(engine_database)
    assert (resumption.messages, resumption.runs) == (0, ())

    async with engine_database.transaction() as connection:
        await resume_automations(connection, office.organization_id)
    assert (await claim(engine_database, office, email))[1] == (
        "the email channel is paused: wrong number"
    )
    assert await claim(engine_database, office, stopped) == ("sending", None)


async def test_a_message_that_comes_to_be_held_after_the_resume_looked_is_taken_at_once(
    office: Office, engine_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resume has missed it, and would wake nobody."""
    message = await add_message(engine_database, office)
    await pause(engine_database)

    async def weigh_slowly(*arguments: Any) -> Any:
        verdict = await weigh(*arguments)
        # While the verdict is on its way into the ledger somebody lifts the pause.
        await resume(engine_database)
        return verdict

    monkeypatch.setattr("fixlify.storage.messages.ledger.weigh", weigh_slowly)
    assert await claim(engine_database, office, message) == ("sending", None)


async def test_old_messages_are_never_quietly_sent(
    office: Office, engine_database: Database
) -> None:
    """A burst of stale rows once went out weeks late as spam."""
    new = await add_message(engine_database, office)
    old = await add_message(engine_database, office, timedelta(hours=25))
    await pause(engine_database)
    for message in (new, old):
        await claim(engine_database, office, message)
    # What waited for its turn in a long queue was never asked for.
    await add_message(engine_database, office, timedelta(days=9))

    with pytest.raises(StaleWorkError, match="2 messages are older than 24 hours"):
        await resume(engine_database)
    assert not await pause(engine_database)

    assert (await resume(engine_database, send_everything=True)).messages == 3


async def test_messages_older_than_asked_are_cancelled_with_their_reason(
    office: Office, engine_database: Database
) -> None:
    messages = [await add_message(engine_database, office, age) for age in (3 * HOUR, HOUR)]
    other_kind = await add_message(
        engine_database,
        office,
        3 * HOUR,
        channel=Channel.EMAIL,
        recipient="ada@example.com",
    )
    await pause(engine_database)
    for message in messages:
        await claim(engine_database, office, message)
    paused_at = datetime.now(UTC) - 2 * HOUR
    await office.query("UPDATE channel_settings SET paused_at = %s", paused_at)

    resumption = await resume(engine_database, cancel_older_than=2 * HOUR)

    assert (resumption.cancelled, resumption.messages) == (1, 1)
    # Both runs are woken: one sends, the other learns that it is not to.
    assert len(resumption.runs) == 2
    cancelled = await office.query("SELECT id, reason FROM messages WHERE status = 'cancelled'")
    reason = f"held since {paused_at:%Y-%m-%d %H:%M} UTC, cancelled on resume"
    assert cancelled == [{"id": messages[0], "reason": reason}]
    assert await claim(engine_database, office, other_kind) == ("sending", None)


async def test_a_resume_without_a_pause_finishes_what_an_interrupted_one_began(
    office: Office, engine_database: Database
) -> None:
    message = await add_message(engine_database, office, timedelta(hours=30))
    await pause(engine_database)
    await claim(engine_database, office, message)
    await office.query("UPDATE channel_settings SET paused_at = NULL, paused_reason = NULL")

    resumption = await resume(engine_database)

    assert resumption.paused_at is None
    assert len(resumption.runs) == resumption.messages == 1


async def test_nobody_is_woken_while_another_pause_stands(
    office: Office, engine_database: Database
) -> None:
    message = await add_message(engine_database, office)
    await pause(engine_database)
    await claim(engine_database, office, message)
    async with engine_database.transaction() as connection:
        assert await wake_channel(connection, SMS) == ()
    await office.query("UPDATE channel_settings SET paused_at = NULL")
    async with engine_database.transaction() as connection:
        assert len(await wake_channel(connection, SMS)) == 1


async def test_a_paused_webhook_channel_holds_calls_and_no_other_step(
    office: Office, engine_database: Database
) -> None:
    execution = await add_execution(office, "running")
    (row,) = await office.query("SELECT automation_id FROM automation_execution_logs")
    request = StepRequest(
        execution_id=execution,
        organization_id=office.organization_id,
        automation_id=row["automation_id"],
        version=1,
        subject_type=SubjectType.JOB,
        subject_id="J-2019",
        step_id="tell",
        now=datetime.now(UTC),
    )
    await pause(engine_database, WEBHOOK)

    async with engine_database.transaction() as connection:
        held = await may_act(connection, request, WEBHOOK)
        assert await may_act(connection, request) is None
    assert held is not None
    assert (held.status.value, held.reason) == (
        "held",
        "the webhook channel is paused: wrong number",
    )
    await office.query(
        "UPDATE automation_execution_logs SET status = 'waiting', waiting_for = %s",
        f"tell: held, {held.reason}",
    )
    assert len((await resume(engine_database, WEBHOOK)).runs) == 1
    async with engine_database.transaction() as connection:
        assert await may_act(connection, request, WEBHOOK) is None


async def test_the_traffic_of_each_channel_is_counted(
    office: Office, engine_database: Database
) -> None:
    for status in MessageStatus:
        await add_message(engine_database, office, status=status)
    for ago in (timedelta(minutes=50), timedelta(minutes=70)):
        await office.query(
            "UPDATE messages SET sent_at = %s WHERE id = %s",
            datetime.now(UTC) - ago,
            await add_message(engine_database, office, status=MessageStatus.SENT),
        )
    for run, ended in (("running", None), ("completed", datetime.now(UTC))):
        for step, call in (("one", "calling"), ("two", "completed")):
            await office.insert(
                "automation_actions",
                execution_id=await add_execution(office, run, completed_at=ended),
                step_id=step,
                organization_id=office.organization_id,
                kind="webhook",
                status=call,
                finished_at=datetime.now(UTC) if call == "completed" else None,
            )
    await add_execution(office, "waiting", waiting_for="tell: held, the webhook channel is paused")

    async with engine_database.statement() as connection:
        traffic = await channel_traffic(connection)

    assert traffic == {
        LimitedChannel.EMAIL: ChannelTraffic(0, 0, 0, 0, 0),
        SMS: ChannelTraffic(queued=1, held=1, sending=1, unknown=1, sent_last_hour=1),
        WEBHOOK: ChannelTraffic(None, held=1, sending=2, unknown=0, sent_last_hour=2),
    }
