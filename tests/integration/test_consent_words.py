"""Who texts STOP gets no more text messages; who texts START gets them again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import MessageStatus, SendReceipt
from fixlify.storage.consent import OptOut, list_opt_outs, opt_out, suppress_opted_out
from fixlify.storage.database import Database
from fixlify.storage.events import claim_events
from fixlify.storage.messages import Channel, ClaimedMessage
from starter.optouts import apply_opt_out_words
from tests.ledger_book import Book
from tests.office import Office
from tests.runs import add_execution


class Switchboard:
    """Text messages come in, and a relay looks at them."""

    def __init__(self, office: Office, database: Database, client: UUID) -> None:
        self.office = office
        self.database = database
        self.client = client

    async def receive(self, *bodies: str | None, **columns: Any) -> None:
        """Receive text messages from the client, and look at all of them together."""
        for body in bodies:
            await self.office.add_inbound_message(body, **{"client_id": self.client} | columns)
        async with self.database.transaction() as connection:
            claimed = await claim_events(connection, 100)
            await apply_opt_out_words(connection, claimed.events)
        await self.office.query("UPDATE automation_events SET processed_at = now()")

    async def opt_outs(self) -> list[OptOut]:
        async with self.database.statement() as connection:
            return await list_opt_outs(connection, self.office.organization_id, self.client)

    async def suppressed(self) -> list[tuple[str, str, str]]:
        rows = await self.office.query("SELECT address, reason, source FROM suppressions")
        return [(row["address"], row["reason"], row["source"]) for row in rows]


@pytest.fixture
async def switchboard(office: Office, engine_database: Database) -> Switchboard:
    await office.add_job()
    assert office.newest_client_id is not None
    await office.query("UPDATE automation_events SET processed_at = now()")
    return Switchboard(office, engine_database, office.newest_client_id)


@pytest.mark.parametrize(
    "body",
    [
        *("STOP", "stop", " Stop. ", "StopAll", "STOP ALL", "unsubscribe", "Cancel", "END"),
        *("quit", "REVOKE", "Opt-out", "\uff33\uff34\uff2f\uff30", "ALTO", "Arrêt", "abmelden!"),
    ],
)
async def test_a_word_that_opts_out(switchboard: Switchboard, body: str) -> None:
    await switchboard.receive(body)
    (said,) = await switchboard.opt_outs()
    assert (said.channel, said.message_class, said.source) == (Channel.SMS, None, "sms")
    ((address, reason, source),) = await switchboard.suppressed()
    assert (address, source) == ("+12125550123", "sms")
    assert reason.startswith("replied ")


@pytest.mark.parametrize(
    "body", ["Please stop by at nine", "stop it", "the end", "YES", "Sí", "HELP", "", None]
)
async def test_what_is_no_such_word(switchboard: Switchboard, body: str | None) -> None:
    await switchboard.receive(body)
    assert await switchboard.opt_outs() == []
    assert await switchboard.suppressed() == []


async def test_nothing_goes_to_who_opted_out_by_a_word(
    switchboard: Switchboard, engine_database: Database
) -> None:
    office = switchboard.office
    book = Book(engine_database, office, await add_execution(office))
    message = await book.enter(recipient_id=switchboard.client)
    await switchboard.receive("STOP")
    assert await book.claim(message) == SendReceipt(
        status=MessageStatus.SUPPRESSED, reason="the client opted out of sms"
    )
    await switchboard.receive("START")
    again = await book.enter(step_id="mail", recipient_id=switchboard.client)
    assert isinstance(await book.claim(again), ClaimedMessage)


@pytest.mark.parametrize("body", ["START", "unstop", "Démarrer"])
async def test_a_word_that_opts_in_takes_back_both(switchboard: Switchboard, body: str) -> None:
    await switchboard.receive("STOP")
    await switchboard.receive(body)
    assert await switchboard.opt_outs() == []
    assert await switchboard.suppressed() == []


async def test_what_was_said_is_kept_as_evidence(switchboard: Switchboard) -> None:
    """Each word is kept with the message it was, also one that changed nothing."""
    await switchboard.receive("Stop.", "stop", "START")
    records = await switchboard.office.query(
        "SELECT wants, channel, address, client_id, source, evidence ->> 'body' AS body"
        " FROM consent_records ORDER BY id"
    )
    assert [(row["wants"], row["body"]) for row in records] == [
        (False, "Stop."),
        (False, "stop"),
        (True, "START"),
    ]
    assert {
        (row["channel"], row["address"], row["client_id"], row["source"]) for row in records
    } == {("sms", "+12125550123", switchboard.client, "sms")}


async def test_what_the_provider_suppressed_is_taken_back_by_the_word_too(
    switchboard: Switchboard,
) -> None:
    async with switchboard.database.transaction() as connection:
        for news in (True, False):
            said = await suppress_opted_out(
                connection,
                switchboard.office.organization_id,
                "+12125550123",
                evidence={"error_code": "21610"},
            )
            assert said is news
    assert len(await switchboard.office.query("SELECT id FROM consent_records")) == 1
    await switchboard.receive("START")
    assert await switchboard.suppressed() == []


async def test_a_number_without_a_client_is_suppressed(switchboard: Switchboard) -> None:
    await switchboard.receive("STOP", client_id=None, from_number="(312) 555-0188")
    assert await switchboard.opt_outs() == []
    assert [address for address, *_ in await switchboard.suppressed()] == ["+13125550188"]


async def test_a_client_without_a_number_is_opted_out(switchboard: Switchboard) -> None:
    await switchboard.receive("STOP", from_number="Anonymous")
    assert len(await switchboard.opt_outs()) == 1
    assert await switchboard.suppressed() == []


@pytest.mark.parametrize(("bodies", "out"), [(("STOP", "START"), 0), (("START", "STOP"), 1)])
async def test_of_several_the_last_word_counts(
    switchboard: Switchboard, bodies: tuple[str, ...], out: int
) -> None:
    await switchboard.receive(*bodies)
    assert len(await switchboard.opt_outs()) == out
    assert len(await switchboard.suppressed()) == out


async def test_a_word_takes_back_only_what_was_said_before_it(switchboard: Switchboard) -> None:
    """Two relays may come to a START after the STOP that followed it."""
    await switchboard.receive("STOP")
    await switchboard.office.query(
        "UPDATE client_opt_outs SET created_at = now() + interval '1 second'"
    )
    await switchboard.office.query(
        "UPDATE suppressions SET created_at = now() + interval '1 second'"
    )
    await switchboard.receive("START")
    assert len(await switchboard.opt_outs()) == 1
    assert len(await switchboard.suppressed()) == 1


async def test_a_word_leaves_what_others_said(switchboard: Switchboard) -> None:
    """A number that somebody suppressed by hand, and marketing, need more than START."""
    office = switchboard.office
    await office.insert(
        "suppressions",
        organization_id=office.organization_id,
        channel="sms",
        address="+12125550123",
        reason="a landline",
        source="cli",
    )
    async with switchboard.database.statement() as connection:
        for channel, message_class in (
            (Channel.SMS, MessageClass.MARKETING),
            (Channel.EMAIL, None),
        ):
            await opt_out(
                connection,
                office.organization_id,
                switchboard.client,
                channel,
                message_class=message_class,
                source="cli",
            )
    await switchboard.receive("START")
    assert len(await switchboard.opt_outs()) == 2
    assert await switchboard.suppressed() == [("+12125550123", "a landline", "cli")]


async def test_another_company_is_not_told(
    switchboard: Switchboard, database_url: str, engine_database: Database
) -> None:
    async with await Office.open(database_url, "Harbor Plumbing") as other:
        await other.add_job()
        book = Book(engine_database, other, await add_execution(other))
        message = await book.enter()
        await switchboard.receive("STOP")
        assert isinstance(await book.claim(message), ClaimedMessage)
