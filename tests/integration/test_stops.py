"""A stop holds what is its own, and a resume lets go on only what is still wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.errors import StaleWorkError
from fixlify.domain.ids import execution_of, new_id
from fixlify.domain.runs import MessageStatus, RunOutcome
from fixlify.storage.database import Database
from fixlify.storage.executions import finish_execution
from fixlify.storage.launching import take_executions
from fixlify.storage.messages import ClaimedMessage, Ledger, enter_messages
from fixlify.storage.stops import (
    OpenWork,
    Resumption,
    count_open_work,
    resume_automations,
    standing_stops,
    stop_automations,
    withdraw_message,
)
from tests.clones import delete_everything, new_database
from tests.conftest import TEMPLATE
from tests.office import Office
from tests.runs import add_execution, new_message

HOUR = timedelta(hours=1)


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


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Office]:
    """Another company in the same database."""
    async with await Office.open(database_url, "Harbor Plumbing") as company:
        yield company


async def stop(database: Database, office: Office | None, reason: str | None = None) -> bool:
    """Stop one company, or all; return whether that was new."""
    async with database.transaction() as connection:
        organization_id = office.organization_id if office else None
        return await stop_automations(connection, organization_id, reason) is not None


async def resume(database: Database, office: Office | None, **decision: Any) -> Resumption:
    async with database.transaction() as connection:
        organization_id = office.organization_id if office else None
        return await resume_automations(connection, organization_id, **decision)


async def add_pending(office: Office, age: timedelta = HOUR) -> UUID:
    return await add_execution(office, "pending", created_at=datetime.now(UTC) - age)


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


async def claim(database: Database, office: Office, message: UUID) -> str:
    """Try to take the message for a provider; return what it is afterwards."""
    async with database.statement() as connection:
        claimed = await Ledger(connection, message, office.organization_id).claim(datetime.now(UTC))
    return "sending" if isinstance(claimed, ClaimedMessage) else claimed.status.value


async def launchable(database: Database) -> set[UUID]:
    async with database.statement() as connection:
        taken = await take_executions(
            connection, 100, settled=timedelta(0), relaunch_after=timedelta(0)
        )
    return {execution.id for execution in taken.executions}


async def test_a_stop_keeps_its_own_messages_and_executions_back(
    office: Office, other: Office, engine_database: Database
) -> None:
    mine, theirs = [await add_message(engine_database, each) for each in (office, other)]
    await add_pending(office)
    their_pending = await add_pending(other)

    assert await stop(engine_database, office)

    assert await claim(engine_database, office, mine) == "held"
    assert await claim(engine_database, other, theirs) == "sending"
    assert await launchable(engine_database) == {their_pending}


async def test_a_stop_of_all_keeps_everybodys_back(
    office: Office, other: Office, engine_database: Database
) -> None:
    messages = {each: await add_message(engine_database, each) for each in (office, other)}
    await add_pending(office)
    await add_pending(other)

    assert await stop(engine_database, None)

    for company, message in messages.items():
        assert await claim(engine_database, company, message) == "held"
    assert await launchable(engine_database) == set()


async def test_a_second_stop_changes_nothing(office: Office, engine_database: Database) -> None:
    assert await stop(engine_database, office, "wrong prices")
    first = await office.query("SELECT * FROM automation_stops")
    assert not await stop(engine_database, office, "another reason")
    assert await office.query("SELECT * FROM automation_stops") == first
    assert await stop(engine_database, None)
    assert not await stop(engine_database, None)


async def test_the_work_that_waits_is_counted(
    office: Office, other: Office, engine_database: Database
) -> None:
    await add_message(engine_database, other)
    await office.query("UPDATE automation_events SET processed_at = now()")
    await add_pending(office)
    await add_execution(office, "waiting")
    await office.query("UPDATE automation_events SET processed_at = now()")
    for status in MessageStatus:
        await add_message(engine_database, office, status=status)
    event = {
        "organization_id": office.organization_id,
        "event_type": "job_created",
        "subject_type": "job",
    }
    await office.insert("automation_events", **event)
    await office.insert("automation_events", **event, automation_id=new_id(), occurrence_key="1")

    async with engine_database.statement() as connection:
        mine = await count_open_work(connection, office.organization_id)
        everybodys = await count_open_work(connection, None)

    one_per_status = len(MessageStatus)
    assert mine == OpenWork(
        events=2, pending=1, open=1 + one_per_status, queued=1, held=1, sending=1, unknown=1
    )
    assert (everybodys.queued, everybodys.open) == (2, 2 + one_per_status)


async def test_a_company_stops_itself_and_nobody_else(
    office: Office, other: Office, app_database: Database, engine_database: Database
) -> None:
    """The emergency stop once had no organization filter."""

    async def stop_as_company(organization_id: UUID | None) -> None:
        async with app_database.organization(office.organization_id) as connection:
            await stop_automations(connection, organization_id, None)

    for not_its_own in (None, other.organization_id):
        with pytest.raises(DBAPIError, match="row-level security"):
            await stop_as_company(not_its_own)
    assert await office.query("SELECT * FROM automation_stops") == []
    await stop_as_company(office.organization_id)

    await stop(engine_database, other)
    await stop(engine_database, None)
    async with app_database.organization(office.organization_id) as connection:
        seen = await standing_stops(connection, None)
    assert [each.organization_id for each in seen] == [None, office.organization_id]


async def test_what_was_held_goes_on_after_a_resume(
    office: Office, engine_database: Database
) -> None:
    message = await add_message(engine_database, office)
    pending = await add_pending(office)
    await stop(engine_database, office, "wrong prices")
    await claim(engine_database, office, message)
    await office.query(
        "UPDATE automation_execution_logs SET status = 'waiting', waiting_for = 'text: held'"
        " WHERE status = 'running'"
    )

    resumption = await resume(engine_database, office)

    assert resumption.lifted is not None
    assert resumption.lifted.reason == "wrong prices"
    assert (resumption.executions, resumption.messages, resumption.standing) == (1, 1, ())
    woken = await office.query(
        "SELECT id, status, waiting_for FROM automation_execution_logs WHERE id = ANY(%s)",
        [execution_of(run) for run in resumption.runs],
    )
    assert [(each["status"], each["waiting_for"]) for each in woken] == [("running", None)]
    assert await claim(engine_database, office, message) == "sending"
    assert await launchable(engine_database) == {pending}


async def test_a_message_that_is_wanted_no_more_is_not_sent_after_a_resume(
    office: Office, engine_database: Database
) -> None:
    """Consent is read again: the stop may have been the client's chance to say no."""
    message = await add_message(engine_database, office)
    await stop(engine_database, office)
    await claim(engine_database, office, message)
    await office.query("UPDATE clients SET sms_opted_out = true")
    await resume(engine_database, office)
    assert await claim(engine_database, office, message) == "suppressed"


async def test_one_companys_resume_does_not_lift_the_stop_of_all(
    office: Office, engine_database: Database
) -> None:
    message = await add_message(engine_database, office)
    await stop(engine_database, None)
    await stop(engine_database, office)
    await claim(engine_database, office, message)

    resumption = await resume(engine_database, office)

    assert [each.organization_id for each in resumption.standing] == [None]
    assert (resumption.executions, resumption.messages, resumption.runs) == (0, 0, ())
    assert await claim(engine_database, office, message) == "held"


async def test_a_resume_of_all_does_not_lift_a_companys_own_stop(
    office: Office, other: Office, engine_database: Database
) -> None:
    mine, theirs = [await add_message(engine_database, each) for each in (office, other)]
    await stop(engine_database, None)
    await stop(engine_database, office)
    for company, message in ((office, mine), (other, theirs)):
        await claim(engine_database, company, message)

    resumption = await resume(engine_database, None)

    assert [each.organization_id for each in resumption.standing] == [office.organization_id]
    assert resumption.messages == len(resumption.runs) == 1
    assert await claim(engine_database, office, mine) == "held"
    assert await claim(engine_database, other, theirs) == "sending"


@pytest.mark.parametrize("what", ["execution", "message"])
async def test_old_work_is_never_quietly_sent(
    office: Office, engine_database: Database, what: str
) -> None:
    """A burst of stale rows once went out weeks late as spam."""
    await add_pending(office)
    for age in (timedelta(hours=25), timedelta(days=9)):
        if what == "execution":
            await add_pending(office, age)
        else:
            await add_message(engine_database, office, age, status=MessageStatus.HELD)
    await stop(engine_database, office)

    with pytest.raises(StaleWorkError, match="older than 24 hours") as refused:
        await resume(engine_database, office)

    expected = (2, 0) if what == "execution" else (0, 2)
    assert (refused.value.executions, refused.value.messages) == expected
    assert await office.query("SELECT 1 FROM automation_stops")
    assert await launchable(engine_database) == set()

    resumption = await resume(engine_database, office, send_everything=True)
    assert resumption.executions + resumption.messages == 3


async def test_what_is_older_than_asked_is_cancelled_with_its_reason(
    office: Office, engine_database: Database
) -> None:
    old, new = timedelta(hours=3), timedelta(hours=1)
    held = [
        await add_message(engine_database, office, age, status=MessageStatus.HELD)
        for age in (old, new)
    ]
    queued = await add_message(engine_database, office, old)
    pending = [await add_pending(office, age) for age in (old, new)]
    await stop(engine_database, office)
    stopped_at = datetime.now(UTC) - timedelta(hours=2)
    await office.query("UPDATE automation_stops SET stopped_at = %s", stopped_at)

    resumption = await resume(engine_database, office, cancel_older_than=timedelta(hours=2))

    assert (resumption.cancelled_executions, resumption.cancelled_messages) == (1, 2)
    assert (resumption.executions, resumption.messages) == (1, 1)
    # Both runs are woken: one sends, the other learns that it is not to.
    assert len(resumption.runs) == 2
    reason = f"held since {stopped_at:%Y-%m-%d %H:%M} UTC, cancelled on resume"
    cancelled = await office.query(
        "SELECT id, reason FROM messages WHERE status = 'cancelled' UNION ALL"
        " SELECT id, reason FROM automation_execution_logs WHERE status = 'cancelled'"
        "    AND completed_at IS NOT NULL"
    )
    assert {each["id"]: each["reason"] for each in cancelled} == dict.fromkeys(
        [held[0], queued, pending[0]], reason
    )


async def test_a_cancellation_spares_whoever_is_stopped_still_and_everybody_else(
    office: Office, other: Office, engine_database: Database
) -> None:
    old = timedelta(days=2)
    for company in (office, other):
        await add_pending(company, old)
    await stop(engine_database, None)
    await stop(engine_database, office)

    resumption = await resume(engine_database, office, cancel_older_than=HOUR)
    assert resumption.cancelled_executions == 0
    await stop(engine_database, office)
    resumption = await resume(engine_database, None, cancel_older_than=HOUR)
    assert resumption.cancelled_executions == 1

    assert [each["status"] for each in await office.executions()] == ["pending"]
    assert [each["status"] for each in await other.executions()] == ["cancelled"]


async def test_a_resume_without_a_stop_finishes_what_an_interrupted_one_began(
    office: Office, engine_database: Database
) -> None:
    message = await add_message(engine_database, office)
    await stop(engine_database, office)
    await claim(engine_database, office, message)
    first = await resume(engine_database, office)
    second = await resume(engine_database, office)
    assert second.lifted is None
    assert second.runs == first.runs


async def test_a_run_that_ends_takes_its_held_message_with_it(
    office: Office, engine_database: Database
) -> None:
    message = await add_message(engine_database, office)
    await stop(engine_database, office)
    await claim(engine_database, office, message)
    (execution,) = await office.executions()
    async with engine_database.statement() as connection:
        await finish_execution(
            connection,
            RunOutcome.model_validate(
                {
                    "execution_id": execution["id"],
                    "organization_id": office.organization_id,
                    "status": "cancelled",
                    "reason": "the run was cancelled",
                }
            ),
        )
    assert [each["status"] for each in await office.messages()] == ["cancelled"]


@pytest.mark.parametrize("status", list(MessageStatus))
async def test_only_a_message_that_waits_can_be_withdrawn(
    office: Office, engine_database: Database, status: MessageStatus
) -> None:
    message = await add_message(engine_database, office, status=status, reason="as it was")
    for _ in range(2):
        async with engine_database.statement() as connection:
            receipt = await withdraw_message(
                connection, message, office.organization_id, "held for 7d"
            )
    waits = status in (MessageStatus.QUEUED, MessageStatus.HELD)
    assert receipt.status == (MessageStatus.CANCELLED if waits else status)
    assert receipt.reason == ("held for 7d" if waits else "as it was")
    (row,) = await office.messages()
    assert (row["status"], row["reason"]) == (receipt.status, receipt.reason)
