"""The ledger lets each message out once, and never forgets what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import Ending, ExecutionStatus, MessageStatus, SendReceipt
from fixlify.storage.database import Database
from fixlify.storage.messages import (
    Channel,
    ClaimedMessage,
    Ledger,
    NewMessage,
    claim_message,
    enter_messages,
    find_entered,
)
from tests.clones import delete_everything, new_database
from tests.conftest import TEMPLATE
from tests.ledger_book import ACTS, Book
from tests.office import Office
from tests.runs import add_execution, new_message

SENT = SendReceipt(status=MessageStatus.SENT)
DONE = [
    MessageStatus.SENT,
    MessageStatus.FAILED,
    MessageStatus.SUPPRESSED,
    MessageStatus.CANCELLED,
]


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
async def book(engine_database: Database, office: Office) -> Book:
    return Book(engine_database, office, await add_execution(office))


class TestClaiming:
    """Of any number of attempts, one may call the provider."""

    async def test_the_first_attempt_gets_the_message(self, book: Book) -> None:
        message = await book.enter()
        assert await book.claim(message) == ClaimedMessage(
            id=message,
            message_class=MessageClass.TRANSACTIONAL,
            recipient="+12125550123",
            sender_name=None,
            reply_to=None,
            subject=None,
            body_text="Thank you.",
            body_html=None,
        )
        row = await book.row(message)
        assert (row["status"], row["attempts"]) == ("sending", 1)
        assert row["sending_at"] is not None

    async def test_of_fifty_attempts_at_once_one_gets_it(self, book: Book) -> None:
        message = await book.enter()
        claims = await asyncio.gather(*(book.claim(message) for _ in range(50)))
        assert sum(isinstance(claim, ClaimedMessage) for claim in claims) == 1
        assert (await book.row(message))["attempts"] == 1

        await book.act(message, ACTS["accepted"])
        assert (await book.row(message))["status"] == "sent"

    async def test_a_message_left_in_a_providers_hands_is_unknown(self, book: Book) -> None:
        """The attempt that took it died in the call, and nobody can say how far it came."""
        message = await book.enter()
        await book.claim(message)
        unknown = SendReceipt(
            status=MessageStatus.UNKNOWN, reason="an earlier attempt ended during the provider call"
        )
        assert await book.claim(message) == unknown
        assert await book.claim(message) == unknown
        row = await book.row(message)
        assert (row["status"], row["attempts"], row["sent_at"]) == ("unknown", 1, None)

    async def test_a_message_that_is_not_there(self, book: Book) -> None:
        claim = await book.claim(uuid4())
        assert claim == SendReceipt(
            status=MessageStatus.CANCELLED, reason="there is no such message"
        )

    @pytest.mark.parametrize("act", list(ACTS))
    async def test_another_organization_cannot_touch_it(self, book: Book, act: str) -> None:
        message = await book.enter()
        before = await book.row(message)
        if act == "claim":
            claim = await book.act(message, ACTS[act], organization=uuid4())
            assert claim.status is MessageStatus.CANCELLED
        else:
            with pytest.raises(Exception, match="No row was found"):
                await book.act(message, ACTS[act], organization=uuid4())
        assert await book.row(message) == before


class TestTheLastLook:
    """Between rendering and sending the truth may change; the claim looks again."""

    @pytest.mark.parametrize(
        ("channel", "column"),
        [(Channel.SMS, "sms_opted_out"), (Channel.EMAIL, "email_opted_out")],
    )
    async def test_a_client_who_opted_out_meanwhile(
        self, book: Book, channel: Channel, column: str
    ) -> None:
        message = await book.enter(channel=channel)
        await book.office.query(f"UPDATE clients SET {column} = true")
        assert await book.claim(message) == SendReceipt(
            status=MessageStatus.SUPPRESSED, reason=f"the client opted out of {channel.value}"
        )
        assert (await book.row(message))["status"] == "suppressed"

    async def test_consent_is_per_channel(self, book: Book) -> None:
        message = await book.enter(channel=Channel.SMS)
        await book.office.query("UPDATE clients SET email_opted_out = true")
        assert isinstance(await book.claim(message), ClaimedMessage)

    async def test_a_technician_is_no_client(self, book: Book) -> None:
        staff = await book.office.insert(
            "profiles", organization_id=book.office.organization_id, first_name="Daniel"
        )
        await book.office.query("UPDATE jobs SET technician_id = %s", staff["id"])
        message = await book.enter(recipient_kind="technician", recipient_id=staff["id"])
        await book.office.query("UPDATE clients SET sms_opted_out = true")
        assert isinstance(await book.claim(message), ClaimedMessage)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ("DELETE FROM jobs", "the job no longer exists"),
            ("UPDATE jobs SET client_id = NULL", "the job has another client now, or none"),
            ("UPDATE clients SET phone = NULL", "the client has no address for sms any more"),
            ("UPDATE clients SET phone = ' '", "the client has no address for sms any more"),
            (
                "UPDATE automation_execution_logs SET status = 'cancelled'",
                "the execution is cancelled",
            ),
            ("UPDATE automation_execution_logs SET status = 'failed'", "the execution is failed"),
            (
                "UPDATE automation_execution_logs SET status = 'completed'",
                "the execution is completed",
            ),
        ],
    )
    async def test_what_it_is_about_is_over(self, book: Book, change: str, reason: str) -> None:
        message = await book.enter()
        await book.office.query(change)
        assert await book.claim(message) == SendReceipt(
            status=MessageStatus.CANCELLED, reason=reason
        )
        row = await book.row(message)
        assert (row["status"], row["reason"], row["attempts"]) == ("cancelled", reason, 0)

    @pytest.mark.parametrize(
        ("columns", "status"),
        [
            ("status = 'archived'", "archived"),
            ("status = 'draft'", "draft"),
            ("status = 'paused', paused_runs = 'cancel'", "paused"),
        ],
    )
    async def test_an_automation_that_goes_no_further_ends_the_run(
        self, book: Book, columns: str, status: str
    ) -> None:
        """Also for whoever asks again, because the first answer was lost."""
        message = await book.enter()
        await book.office.query(f"UPDATE automation_workflows SET {columns}")
        reason = f"the automation is {status}"
        over = SendReceipt(
            status=MessageStatus.CANCELLED,
            reason=reason,
            ending=Ending(status=ExecutionStatus.CANCELLED, reason=reason),
        )
        assert await book.claim(message) == over
        assert await book.claim(message) == over

    async def test_a_paused_automation_holds_what_it_began(self, book: Book) -> None:
        message = await book.enter()
        await book.office.query("UPDATE automation_workflows SET status = 'paused'")
        assert await book.claim(message) == SendReceipt(
            status=MessageStatus.HELD, reason="the automation is paused"
        )
        await book.office.query("UPDATE automation_workflows SET status = 'active'")
        assert isinstance(await book.claim(message), ClaimedMessage)

    async def test_a_paused_automation_may_finish_what_it_began(self, book: Book) -> None:
        message = await book.enter()
        await book.office.query(
            "UPDATE automation_workflows SET status = 'paused', paused_runs = 'finish'"
        )
        assert isinstance(await book.claim(message), ClaimedMessage)

    async def test_a_job_of_the_same_name_in_another_company_does_not_count(
        self, book: Book, database_url: str
    ) -> None:
        message = await book.enter()
        async with await Office.open(database_url, "Harbor Plumbing") as other:
            await other.add_job("J-2019")
        await book.office.query(
            "DELETE FROM jobs WHERE organization_id = %s", book.office.organization_id
        )
        claim = await book.claim(message)
        assert isinstance(claim, SendReceipt)
        assert claim.reason == "the job no longer exists"

    @pytest.mark.parametrize(("waited", "goes"), [("89 minutes", True), ("91 minutes", False)])
    async def test_a_message_may_wait_as_long_as_its_occasion_is_good_for(
        self, book: Book, waited: str, goes: bool
    ) -> None:
        """Its provider was away, or a stop stood; the visit it reminds of may be over by now."""
        message = await book.enter()
        await book.office.query(
            "UPDATE automation_execution_logs SET occurrence_key = 'appointment_reminder/J-1',"
            " good_until = occurred_at + interval '90 minutes'"
        )
        await book.office.query(f"UPDATE messages SET created_at = now() - interval '{waited}'")
        claim = await book.claim(message)
        if goes:
            assert isinstance(claim, ClaimedMessage)
        else:
            assert isinstance(claim, SendReceipt)
            assert (claim.status, claim.late) == (MessageStatus.CANCELLED, True)
            assert (claim.reason or "").startswith("too late: worth nothing after 20")
            assert await book.claim(message) == claim

    async def test_what_somebody_did_limits_no_message(self, book: Book) -> None:
        """How long ago it may have happened is asked when the run begins, and not again."""
        message = await book.enter()
        await book.office.query(
            "UPDATE automation_execution_logs SET occurrence_key = 'event/1',"
            " good_until = occurred_at + interval '3 days'"
        )
        await book.office.query("UPDATE messages SET created_at = now() - interval '4 days'")
        assert isinstance(await book.claim(message), ClaimedMessage)

    async def test_an_automation_that_was_edited_still_sends_what_it_began(
        self, book: Book
    ) -> None:
        message = await book.enter()
        await book.office.apply("""
            name: Thanks
            trigger: {type: job_completed}
            steps: [{id: text, type: send_sms, text: Something else.}]
        """)
        claim = await book.claim(message)
        assert isinstance(claim, ClaimedMessage)
        assert claim.body_text == "Thank you."


ABOUT_A_CLIENT = {
    "client": "clients",
    "estimate": "estimates",
    "invoice": "invoices",
    "payment": "payments",
    "task": "tasks",
    "sms": "inbound_messages",
}


class TestEverySubject:
    """Whatever a message is about, it goes to whom that concerns at that moment."""

    async def about(self, book: Book, subject_type: str, **columns: Any) -> UUID:
        """Make the book's execution be about a new record; return the record's id."""
        owner = {"organization_id": book.office.organization_id}
        row = await book.office.insert(ABOUT_A_CLIENT[subject_type], **(owner | columns))
        await self.set_subject(book, subject_type, str(row["id"]))
        id_: UUID = row["id"]
        return id_

    async def set_subject(self, book: Book, subject_type: str, subject_id: str) -> None:
        await book.office.query(
            "UPDATE automation_execution_logs SET subject_type = %s, subject_id = %s",
            subject_type,
            subject_id,
        )

    @pytest.mark.parametrize("subject_type", sorted(set(ABOUT_A_CLIENT) - {"client"}))
    async def test_its_client_gets_it_and_nobody_else(self, book: Book, subject_type: str) -> None:
        client = await book.office.add_client(first_name="Bob")
        await self.about(book, subject_type, client_id=client)
        theirs = await book.enter(recipient_id=client)
        anothers = await book.enter(step_id="mail", recipient_id=await book.office.add_client())
        assert isinstance(await book.claim(theirs), ClaimedMessage)
        assert await book.claim(anothers) == SendReceipt(
            status=MessageStatus.CANCELLED,
            reason=f"the {subject_type} has another client now, or none",
        )

    @pytest.mark.parametrize("subject_type", sorted(ABOUT_A_CLIENT))
    async def test_consent_counts_for_each(self, book: Book, subject_type: str) -> None:
        client = await book.office.add_client(sms_opted_out=True)
        if subject_type == "client":
            await self.set_subject(book, "client", str(client))
        else:
            await self.about(book, subject_type, client_id=client)
        message = await book.enter(recipient_id=client)
        assert await book.claim(message) == SendReceipt(
            status=MessageStatus.SUPPRESSED, reason="the client opted out of sms"
        )

    @pytest.mark.parametrize("subject_type", [*sorted(ABOUT_A_CLIENT), "job"])
    async def test_each_may_be_gone(self, book: Book, subject_type: str) -> None:
        message = await book.enter()
        await self.set_subject(book, subject_type, str(uuid4()))
        assert await book.claim(message) == SendReceipt(
            status=MessageStatus.CANCELLED, reason=f"the {subject_type} no longer exists"
        )

    async def test_an_organization_has_nobody_to_write_to(self, book: Book) -> None:
        message = await book.enter()
        await self.set_subject(book, "organization", str(book.office.organization_id))
        receipt = await book.claim(message)
        assert isinstance(receipt, SendReceipt)
        assert receipt.reason == "the organization has another client now, or none"

    async def test_a_task_given_to_somebody_else(self, book: Book) -> None:
        eve, daniel = [
            (
                await book.office.insert(
                    "profiles", organization_id=book.office.organization_id, first_name=name
                )
            )["id"]
            for name in ("Eve", "Daniel")
        ]
        await self.about(book, "task", assignee_id=eve, job_id="J-2019")
        await book.office.query("UPDATE jobs SET technician_id = %s", daniel)
        message = await book.enter(recipient_kind="technician", recipient_id=daniel)
        receipt = await book.claim(message)
        assert isinstance(receipt, SendReceipt)
        assert receipt.reason == "the task has another technician now, or none"
        await book.office.query("UPDATE tasks SET assignee_id = NULL")
        again = await book.enter(step_id="mail", recipient_kind="technician", recipient_id=daniel)
        assert isinstance(await book.claim(again), ClaimedMessage)


class LiftedAfterwards:
    """A database in which every stop and pause is lifted after its first transaction."""

    def __init__(self, database: Database, office: Office) -> None:
        self._database = database
        self._office = office
        self.transactions = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._database.transaction() as connection:
            yield connection
        self.transactions += 1
        if self.transactions == 1:
            await self._office.query("DELETE FROM automation_stops")
            await self._office.query("UPDATE automation_workflows SET status = 'active'")

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        async with self._database.statement() as connection:
            yield connection


class StopLiftedMeanwhile:
    """A connection before whose second statement every stop is lifted."""

    def __init__(self, connection: AsyncConnection, office: Office) -> None:
        self._connection = connection
        self._office = office
        self.statements = 0

    async def execute(self, statement: Any, parameters: Any) -> Any:
        self.statements += 1
        if self.statements == 2:
            await self._office.query("DELETE FROM automation_stops")
        return await self._connection.execute(statement, parameters)


class TestStopped:
    """While automations are stopped nothing goes out, and nothing is lost."""

    HELD = SendReceipt(status=MessageStatus.HELD, reason="automations are stopped")

    async def stop(self, book: Book, organization: UUID | None, reason: str | None = None) -> None:
        await book.office.insert("automation_stops", organization_id=organization, reason=reason)

    async def test_a_stop_of_the_company_holds_its_messages(self, book: Book) -> None:
        message = await book.enter()
        await self.stop(book, book.office.organization_id)
        for _ in range(2):
            assert await book.claim(message) == self.HELD
        row = await book.row(message)
        assert (row["status"], row["reason"], row["attempts"]) == (
            *("held", "automations are stopped"),
            0,
        )

    async def test_a_stop_of_everything_says_why(self, book: Book) -> None:
        message = await book.enter()
        await self.stop(book, book.office.organization_id, "prices are wrong")
        await self.stop(book, None, "the gateway is down")
        assert await book.claim(message) == SendReceipt(
            status=MessageStatus.HELD, reason="automations are stopped: the gateway is down"
        )
        await book.office.query("DELETE FROM automation_stops WHERE organization_id IS NULL")
        assert await book.claim(message) == SendReceipt(
            status=MessageStatus.HELD, reason="automations are stopped: prices are wrong"
        )

    async def test_a_stop_of_another_company_holds_nothing(
        self, book: Book, database_url: str
    ) -> None:
        message = await book.enter()
        async with await Office.open(database_url, "Harbor Plumbing") as other:
            await self.stop(book, other.organization_id)
            assert isinstance(await book.claim(message), ClaimedMessage)

    async def test_what_was_held_goes_out_once_the_stop_is_lifted(self, book: Book) -> None:
        message = await book.enter()
        await self.stop(book, book.office.organization_id)
        await book.claim(message)
        await book.office.query("DELETE FROM automation_stops")
        claims = await asyncio.gather(*(book.claim(message) for _ in range(20)))
        assert sum(isinstance(claim, ClaimedMessage) for claim in claims) == 1
        assert (await book.row(message))["attempts"] == 1

    async def test_a_stop_that_is_lifted_while_it_is_looked_at_holds_nothing(
        self, book: Book
    ) -> None:
        message = await book.enter()
        await self.stop(book, None)
        async with book.database.transaction() as connection:
            late = StopLiftedMeanwhile(connection, book.office)
            ledger = Ledger(cast(AsyncConnection, late), message, book.office.organization_id)
            assert isinstance(await ledger.claim(datetime.now(UTC)), ClaimedMessage)
        assert (await book.row(message))["attempts"] == 1

    @pytest.mark.parametrize(
        "hold",
        [
            "INSERT INTO automation_stops (reason) VALUES (NULL)",
            "UPDATE automation_workflows SET status = 'paused'",
        ],
    )
    async def test_what_lets_go_before_the_hold_is_seen_holds_nothing(
        self, book: Book, hold: str
    ) -> None:
        """The resume has missed it, and wakes nobody."""
        message = await book.enter()
        await book.office.query(hold)
        late = LiftedAfterwards(book.database, book.office)
        claim = await claim_message(
            cast(Database, late), message, book.office.organization_id, datetime.now(UTC)
        )
        assert isinstance(claim, ClaimedMessage)
        assert late.transactions == 2

    @pytest.mark.parametrize("held", [False, True])
    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ("UPDATE clients SET sms_opted_out = true", MessageStatus.SUPPRESSED),
            ("UPDATE automation_workflows SET status = 'archived'", MessageStatus.CANCELLED),
            (
                "UPDATE automation_execution_logs SET status = 'cancelled'",
                MessageStatus.CANCELLED,
            ),
            ("UPDATE jobs SET client_id = NULL", MessageStatus.CANCELLED),
            ("DELETE FROM jobs", MessageStatus.CANCELLED),
            (
                "UPDATE automation_execution_logs"
                " SET occurrence_key = 'appointment_reminder/J-1',"
                " good_until = occurred_at + interval '1 microsecond'",
                MessageStatus.CANCELLED,
            ),
        ],
    )
    async def test_what_may_never_go_out_is_not_held(
        self, book: Book, held: bool, change: str, status: MessageStatus
    ) -> None:
        message = await book.enter()
        await self.stop(book, None)
        if held:
            assert await book.claim(message) == self.HELD
        await book.office.query(change)
        receipt = await book.claim(message)
        assert isinstance(receipt, SendReceipt)
        assert receipt.status is status
        assert (await book.row(message))["status"] == status.value

    async def test_a_call_under_way_is_not_called_back(self, book: Book) -> None:
        message = await book.enter()
        await book.claim(message)
        await self.stop(book, None)
        assert await book.act(message, ACTS["accepted"]) == SENT

    @pytest.mark.parametrize(
        ("run", "message_is"),
        [(ExecutionStatus.CANCELLED, "cancelled"), (ExecutionStatus.FAILED, "failed")],
    )
    async def test_what_is_held_ends_with_its_run(
        self, book: Book, run: ExecutionStatus, message_is: str
    ) -> None:
        message = await book.enter()
        await self.stop(book, None)
        await book.claim(message)
        await book.finish(run)
        row = await book.row(message)
        assert (row["status"], row["reason"]) == (message_is, "automations are stopped")

    @pytest.mark.parametrize("act", ["accepted", "released", "refused", "lost"])
    async def test_what_is_held_cannot_be_settled(self, book: Book, act: str) -> None:
        message = await book.enter()
        await self.stop(book, None)
        await book.claim(message)
        before = await book.row(message)
        await book.act(message, ACTS[act])
        assert await book.row(message) == before


class TestSettling:
    """What the provider said is written down, once."""

    async def test_accepted(self, book: Book) -> None:
        message = await book.enter()
        await book.claim(message)
        assert await book.act(message, ACTS["accepted"]) == SENT
        row = await book.row(message)
        assert (row["status"], row["provider"], row["provider_id"], row["segments"]) == (
            *("sent", "twilio"),
            *("SM1", 1),
        )
        assert row["sent_at"] >= row["sending_at"]
        assert await book.claim(message) == SENT

    async def test_released_and_claimed_again(self, book: Book) -> None:
        message = await book.enter()
        await book.claim(message)
        released = await book.act(message, ACTS["released"])
        assert released == SendReceipt(status=MessageStatus.QUEUED, reason="busy")
        row = await book.row(message)
        assert (row["status"], row["reason"], row["error_code"]) == ("queued", "busy", "20429")

        assert isinstance(await book.claim(message), ClaimedMessage)
        row = await book.row(message)
        assert (row["status"], row["reason"], row["attempts"]) == ("sending", None, 2)

    async def test_refused(self, book: Book) -> None:
        message = await book.enter()
        await book.claim(message)
        failed = SendReceipt(status=MessageStatus.FAILED, reason="no such number", code="21211")
        assert await book.act(message, ACTS["refused"]) == failed
        assert await book.claim(message) == failed
        assert (await book.row(message))["error_code"] == "21211"

    async def test_lost(self, book: Book) -> None:
        message = await book.enter()
        await book.claim(message)
        await book.act(message, ACTS["lost"])
        row = await book.row(message)
        assert (row["status"], row["reason"]) == ("unknown", "the connection broke")

    @pytest.mark.parametrize("status", DONE)
    @pytest.mark.parametrize("act", list(ACTS))
    async def test_what_is_done_is_never_overwritten(
        self, book: Book, status: MessageStatus, act: str
    ) -> None:
        message = await book.enter()
        await book.office.query(
            "UPDATE messages SET status = %s, reason = 'as it was'", status.value
        )
        receipt = await book.act(message, ACTS[act])
        told = None if status is MessageStatus.SENT else "as it was"
        assert receipt == SendReceipt(status=status, reason=told)
        row = await book.row(message)
        assert (row["status"], row["reason"], row["attempts"]) == (status, "as it was", 0)

    async def test_a_job_given_to_somebody_else_takes_its_message_along(self, book: Book) -> None:
        """Consent is the person's, and so is the message."""
        message = await book.enter()
        other = await book.office.add_client(first_name="Bob")
        await book.office.query("UPDATE jobs SET client_id = %s", other)
        receipt = await book.claim(message)
        assert isinstance(receipt, SendReceipt)
        assert receipt.status is MessageStatus.CANCELLED

    async def test_a_certain_refusal_ends_an_unknown_outcome(self, book: Book) -> None:
        message = await book.enter()
        await book.claim(message)
        await book.finish(ExecutionStatus.CANCELLED)
        assert (await book.row(message))["status"] == "unknown"
        await book.act(message, ACTS["refused"])
        assert (await book.row(message))["status"] == "failed"

    @pytest.mark.parametrize("act", ["claim", "released", "lost"])
    async def test_what_is_unknown_stays_unknown(self, book: Book, act: str) -> None:
        """Sending it again could be the second time."""
        message = await book.enter()
        await book.claim(message)
        await book.act(message, lambda ledger: ledger.lost("as it was"))
        before = await book.row(message)
        receipt = await book.act(message, ACTS[act])
        assert receipt == SendReceipt(status=MessageStatus.UNKNOWN, reason="as it was")
        assert await book.row(message) == before

    @pytest.mark.parametrize("act", ["accepted", "released", "refused", "lost"])
    async def test_what_nobody_claimed_cannot_be_settled(self, book: Book, act: str) -> None:
        message = await book.enter()
        before = await book.row(message)
        await book.act(message, ACTS[act])
        assert await book.row(message) == before

    async def test_an_answer_that_comes_after_the_cancellation_counts(self, book: Book) -> None:
        message = await book.enter()
        await book.claim(message)
        await book.finish(ExecutionStatus.CANCELLED)
        row = await book.row(message)
        assert (row["status"], row["reason"]) == (
            "unknown",
            "the run ended during the provider call",
        )
        assert await book.act(message, ACTS["accepted"]) == SENT
        row = await book.row(message)
        assert (row["status"], row["reason"]) == ("sent", None)


class TestEntering:
    """One row per execution and step, whoever renders it again."""

    async def enter(self, book: Book, *messages: NewMessage) -> dict[str, UUID]:
        async with book.database.statement() as connection:
            entered = await enter_messages(connection, book.execution_id, messages)
        return {step_id: message.id for step_id, message in entered.items()}

    async def test_the_first_rendering_stands(self, book: Book) -> None:
        first = new_message(book.office, book.execution_id)
        again = new_message(book.office, book.execution_id, body_text="Edited meanwhile.")
        assert await self.enter(book, first) == {"text": first.id}
        assert await self.enter(book, again) == {"text": first.id}
        assert (await book.row(first.id))["body_text"] == "Thank you."

    async def test_a_step_that_is_new_beside_one_that_is_not(self, book: Book) -> None:
        first = new_message(book.office, book.execution_id)
        mail = new_message(book.office, book.execution_id, step_id="mail", channel=Channel.EMAIL)
        await self.enter(book, first)
        assert await self.enter(book, new_message(book.office, book.execution_id), mail) == {
            "text": first.id,
            "mail": mail.id,
        }

    async def test_two_renderings_at_once(self, book: Book) -> None:
        messages = [new_message(book.office, book.execution_id) for _ in range(10)]
        await asyncio.gather(*(self.enter(book, message) for message in messages))
        async with book.database.statement() as connection:
            found = await find_entered(connection, book.execution_id, ["text"])
        rows = await book.office.messages()
        assert [row["id"] for row in rows] == [found["text"].id]

    async def test_what_cannot_be_sent_is_entered_beside_what_can(self, book: Book) -> None:
        await book.enter()
        refused = await book.enter(
            step_id="mail",
            channel=Channel.EMAIL,
            recipient=None,
            body_text=None,
            status=MessageStatus.FAILED,
            reason="the client has no email address",
        )
        assert await book.claim(refused) == SendReceipt(
            status=MessageStatus.FAILED, reason="the client has no email address"
        )

    async def test_any_text_is_kept_as_it_is(self, book: Book) -> None:
        strange = 'line\nbreak\t"quoted" \\ {} 100% ünïcödé 😀 \u2028 \x7f'
        message = await book.enter(body_text=strange)
        claim = await book.claim(message)
        assert isinstance(claim, ClaimedMessage)
        assert claim.body_text == strange

    async def test_a_run_that_waited_is_running_again(self, book: Book) -> None:
        await book.office.query(
            "UPDATE automation_execution_logs SET status = 'waiting', waiting_for = 'Godot'"
        )
        await book.enter()
        (execution,) = await book.office.executions()
        assert (execution["status"], execution["waiting_for"]) == ("running", None)

    async def test_a_run_that_waits_for_this_message_still_says_so(self, book: Book) -> None:
        """It tries again every quarter of an hour, and tells only what is new."""
        await book.enter()
        await book.office.query("UPDATE messages SET status = 'held', reason = 'quiet hours'")
        await book.office.query(
            "UPDATE automation_execution_logs SET status = 'waiting', waiting_for = 'sms: held'"
        )
        await book.enter()
        (execution,) = await book.office.executions()
        assert (execution["status"], execution["waiting_for"]) == ("waiting", "sms: held")

    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "skipped"])
    async def test_a_run_that_is_over_stays_over(self, book: Book, status: str) -> None:
        await book.office.query("UPDATE automation_execution_logs SET status = %s", status)
        await book.enter()
        assert [e["status"] for e in await book.office.executions()] == [status]
