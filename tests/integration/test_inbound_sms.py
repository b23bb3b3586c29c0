"""Text messages that come in find their company and their client, once, and are acted on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from fixlify.domain.runs import SendReceipt
from fixlify.storage.database import Database
from fixlify.storage.events import claim_events
from fixlify.storage.messages import ClaimedMessage
from starter.optouts import apply_opt_out_words
from tests.ledger_book import Book
from tests.office import Office
from tests.runs import add_execution
from tests.twilio_calls import OUR_NUMBER, THEIR_NUMBER, Twilio, called_by_twilio

NO_ANSWER = '<?xml version="1.0" encoding="UTF-8"?><Response />'


@pytest.fixture
async def twilio(engine_database: Database) -> AsyncIterator[Twilio]:
    async with called_by_twilio(engine_database) as twilio:
        yield twilio


@pytest.fixture
async def harbor(database_url: str) -> AsyncIterator[Office]:
    """A second company."""
    async with await Office.open(database_url, "Harbor Plumbing") as company:
        yield company


async def write_to(
    office: Office, database: Database, to: str = THEIR_NUMBER, **fields: Any
) -> Book:
    """Let the company write to a number."""
    book = Book(database, office, await add_execution(office))
    message_id = await book.enter(recipient=to, **fields)
    assert isinstance(await book.claim(message_id), ClaimedMessage)
    return book


async def passed_on(twilio: Twilio, body: str, **parameters: str) -> str:
    """Pass a message on; return what is answered."""
    response = await twilio.pass_on(body, **parameters)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/xml")
    return response.text


async def received(office: Office) -> list[dict[str, Any]]:
    return await office.query(
        "SELECT * FROM inbound_messages WHERE organization_id = %s ORDER BY received_at",
        office.organization_id,
    )


async def number_of(office: Office, number: str = OUR_NUMBER) -> None:
    """Give the company the number that messages come to."""
    await office.query(
        "UPDATE organizations SET sms_number = %s WHERE id = %s", number, office.organization_id
    )


@pytest.mark.parametrize("phone", ["+12125550123", "(212) 555-0123", "001 212 555 0123"])
async def test_a_message_is_its_companys_and_its_clients(
    office: Office, twilio: Twilio, phone: str
) -> None:
    client = await office.add_client(phone=phone)
    await office.add_client(phone="+13125550188")
    assert await passed_on(twilio, "Yes please", MessageSid="SM1") == NO_ANSWER
    (message,) = await received(office)
    assert (message["client_id"], message["body"]) == (client, "Yes please")
    assert (message["from_number"], message["to_number"]) == (THEIR_NUMBER, OUR_NUMBER)
    assert message["provider_id"] == "SM1"


async def test_a_message_sets_off_the_event_with_its_company(
    office: Office, twilio: Twilio
) -> None:
    client = await office.add_client()
    await passed_on(twilio, "Yes please")
    (message,) = await received(office)
    (event,) = [each for each in await office.events() if each["event_type"] == "sms_received"]
    assert (event["subject_id"], event["data"]) == (str(message["id"]), {"body": "Yes please"})
    assert message["client_id"] == client


async def test_a_message_told_of_again_came_in_once(office: Office, twilio: Twilio) -> None:
    await asyncio.gather(*(passed_on(twilio, "STOP", MessageSid="SM1") for _ in range(10)))
    assert len(await received(office)) == 1
    assert len(await office.query("SELECT id FROM consent_records")) == 1


async def test_a_stop_told_of_again_does_not_undo_the_start_after_it(
    office: Office, twilio: Twilio
) -> None:
    await passed_on(twilio, "STOP", MessageSid="SM1")
    await passed_on(twilio, "START", MessageSid="SM2")
    await passed_on(twilio, "STOP", MessageSid="SM1")
    assert await office.query("SELECT * FROM suppressions") == []


async def test_the_number_it_came_to_tells_the_company(
    office: Office, harbor: Office, twilio: Twilio, engine_database: Database
) -> None:
    """Also where another one wrote to the sender last."""
    await number_of(harbor)
    await write_to(office, engine_database)
    await passed_on(twilio, "Hello")
    assert (len(await received(office)), len(await received(harbor))) == (0, 1)


async def test_without_a_number_of_its_own_the_company_that_wrote_last_is_meant(
    office: Office, harbor: Office, twilio: Twilio, engine_database: Database
) -> None:
    await write_to(office, engine_database)
    await write_to(harbor, engine_database)
    await passed_on(twilio, "Hello")
    assert (len(await received(office)), len(await received(harbor))) == (0, 1)


async def test_of_several_with_the_number_the_one_that_wrote_last_is_meant(
    database_url: str,
    office: Office,
    harbor: Office,
    twilio: Twilio,
    engine_database: Database,
) -> None:
    """A third company, of another number, wrote later still."""
    await number_of(office)
    await number_of(harbor)
    await write_to(harbor, engine_database)
    await write_to(office, engine_database)
    async with await Office.open(database_url, "Elm Electric") as third:
        await write_to(third, engine_database)
        await passed_on(twilio, "Hello")
        assert await received(third) == []
    assert (len(await received(office)), len(await received(harbor))) == (1, 0)


async def test_a_message_told_of_again_stays_with_its_company(
    office: Office, harbor: Office, twilio: Twilio, engine_database: Database
) -> None:
    """Also where another one has written to the sender meanwhile."""
    await write_to(office, engine_database)
    await passed_on(twilio, "Hello", MessageSid="SM1")
    await write_to(harbor, engine_database)
    await passed_on(twilio, "Hello", MessageSid="SM1")
    assert (len(await received(office)), len(await received(harbor))) == (1, 0)


async def test_a_message_that_is_nobodys_is_answered_and_kept_nowhere(
    office: Office, harbor: Office, twilio: Twilio
) -> None:
    assert await passed_on(twilio, "STOP") == NO_ANSWER
    assert await office.query("SELECT * FROM inbound_messages") == []
    assert await office.query("SELECT * FROM suppressions") == []


async def test_a_stop_holds_for_every_company_that_wrote_from_the_number(
    office: Office, harbor: Office, twilio: Twilio, engine_database: Database
) -> None:
    """The event goes to the one that wrote last alone."""
    await write_to(office, engine_database)
    await write_to(harbor, engine_database)
    await passed_on(twilio, "STOP")
    suppressed = await office.query("SELECT organization_id, address FROM suppressions")
    assert {row["organization_id"] for row in suppressed} == {
        office.organization_id,
        harbor.organization_id,
    }
    records = await office.query("SELECT organization_id, client_id FROM consent_records")
    assert {(row["organization_id"], row["client_id"]) for row in records} == {
        (each.organization_id, each.newest_client_id) for each in (office, harbor)
    }
    assert (len(await received(office)), len(await received(harbor))) == (0, 1)


async def test_a_stop_to_a_number_that_several_share_holds_for_all_where_none_wrote(
    office: Office, harbor: Office, twilio: Twilio
) -> None:
    await number_of(office)
    await number_of(harbor)
    await passed_on(twilio, "STOP")
    assert len(await office.query("SELECT address FROM suppressions")) == 2


async def test_of_several_clients_of_one_phone_the_one_written_to_last_answers(
    office: Office, twilio: Twilio, engine_database: Database
) -> None:
    await office.add_client(first_name="Bob")
    await write_to(office, engine_database)
    written_to = office.newest_client_id
    await office.add_client(first_name="Cid")
    await passed_on(twilio, "Hello")
    (message,) = await received(office)
    assert message["client_id"] == written_to


async def test_nothing_goes_out_in_the_second_after_a_stop(
    office: Office, twilio: Twilio, engine_database: Database
) -> None:
    """The word counts before a relay has seen it."""
    book = Book(engine_database, office, await add_execution(office))
    message_id = await book.enter()
    await passed_on(twilio, "Arrêt")
    assert isinstance(await book.claim(message_id), SendReceipt)
    (event,) = [each for each in await office.events() if each["event_type"] == "sms_received"]
    assert event["processed_at"] is None


async def test_the_relay_keeps_no_second_evidence_of_a_word(
    office: Office, twilio: Twilio, engine_database: Database
) -> None:
    await passed_on(twilio, "STOP")
    await passed_on(twilio, "START")
    async with engine_database.transaction() as connection:
        claimed = await claim_events(connection, 100)
        await apply_opt_out_words(connection, claimed.events)
    records = await office.query("SELECT wants FROM consent_records ORDER BY id")
    assert [record["wants"] for record in records] == [False, True]
    assert await office.query("SELECT * FROM suppressions") == []


async def test_the_message_itself_is_the_evidence(office: Office, twilio: Twilio) -> None:
    await passed_on(twilio, "Stop!", MessageSid="SM1", OptOutType="STOP")
    (record,) = await office.query("SELECT * FROM consent_records")
    (message,) = await received(office)
    assert record["said_at"] == message["received_at"]
    assert record["evidence"] == {
        "message_sid": "SM1",
        "inbound_message_id": str(message["id"]),
        "body": "Stop!",
        "from": THEIR_NUMBER,
        "to": OUR_NUMBER,
        "opt_out_type": "STOP",
    }


async def test_a_word_of_the_companys_own_that_twilio_took_for_stop_is_one(
    office: Office, twilio: Twilio
) -> None:
    await passed_on(twilio, "bye bye", OptOutType="STOP")
    assert len(await office.query("SELECT address FROM suppressions")) == 1


def answered(twiml: str) -> str:
    """Return the words of the one message in *twiml*."""
    (message,) = ET.fromstring(twiml)  # noqa: S314 - our own
    return message.text or ""


async def test_help_is_answered_with_who_writes_and_how_to_end_it(
    database_url: str, twilio: Twilio
) -> None:
    async with await Office.open(
        database_url, "Smith & <Sons>", phone="(212) 555-0100", locale="fr_FR"
    ) as office:
        assert answered(await passed_on(twilio, "HELP")) == (
            "Smith & <Sons> sends you these messages. "
            "Questions: (212) 555-0100, office@example.com. Reply STOP to get no more."
        )
        assert answered(await passed_on(twilio, "Ayuda")).endswith("para no recibirlos.")
        # A word of no language is answered in the company's.
        assert "vous envoie" in answered(await passed_on(twilio, "info"))
        assert len(await received(office)) == 3
        assert await office.query("SELECT * FROM consent_records") == []


@pytest.mark.parametrize("body", ["Can you help me?", "STOP", "START", "YES"])
async def test_nothing_else_is_answered(office: Office, twilio: Twilio, body: str) -> None:
    assert await passed_on(twilio, body) == NO_ANSWER


async def test_help_is_not_answered_where_twilio_has_answered(
    office: Office, twilio: Twilio
) -> None:
    assert await passed_on(twilio, "HELP", OptOutType="HELP") == NO_ANSWER


HOSTILE = {
    "nothing": ("", ""),
    "NUL": ("a\x00b", "a\ufffdb"),
    "an override of the writing direction": ("\u202egnp.exe", "\u202egnp.exe"),
    "markup": ("<script>alert(1)</script>{{7*7}}", "<script>alert(1)</script>{{7*7}}"),
    "SQL": ("'; DROP TABLE clients; --", "'; DROP TABLE clients; --"),
    "a lot": ("x" * 100_000, "x" * 10_000),
}


@pytest.mark.parametrize("case", list(HOSTILE))
async def test_any_words_are_kept_as_words(office: Office, twilio: Twilio, case: str) -> None:
    sent, kept = HOSTILE[case]
    await passed_on(twilio, sent)
    (message,) = await received(office)
    assert message["body"] == kept


async def test_half_a_surrogate_pair_in_json_is_replaced(office: Office, twilio: Twilio) -> None:
    told = {"MessageSid": "SM1", "From": THEIR_NUMBER, "To": OUR_NUMBER, "Body": "a\ud800b"}
    answer = await twilio.call("/api/v1/callbacks/twilio/inbound", told, as_json=True)
    assert answer.status_code == 200
    (message,) = await received(office)
    assert message["body"] == "a\ufffdb"


async def test_pictures_without_words_say_so(office: Office, twilio: Twilio) -> None:
    await passed_on(twilio, "", NumMedia="2")
    (message,) = await received(office)
    assert message["body"] == "[2 attached, no text]"


@pytest.mark.parametrize("sender", ["12345", "FIXLIFY", "+1", "\x00"])
async def test_a_sender_without_a_number_is_nobodys_client(
    office: Office, twilio: Twilio, sender: str
) -> None:
    await office.add_client()
    await passed_on(twilio, "STOP", From=sender)
    (message,) = await received(office)
    assert message["client_id"] is None
    assert await office.query("SELECT * FROM suppressions") == []
    assert len(await office.query("SELECT id FROM consent_records")) == 1


@pytest.mark.parametrize("missing", ["MessageSid", "From"])
async def test_a_message_that_does_not_say_whose_it_is_is_ignored(
    office: Office, twilio: Twilio, missing: str
) -> None:
    assert await passed_on(twilio, "STOP", **{missing: ""}) == NO_ANSWER
    assert await received(office) == []


async def test_an_unsigned_message_changes_nothing(office: Office, twilio: Twilio) -> None:
    told = {"MessageSid": "SM1", "From": THEIR_NUMBER, "To": OUR_NUMBER, "Body": "STOP"}
    answer = await twilio.call(
        "/api/v1/callbacks/twilio/inbound", told, X_Twilio_Signature="invented"
    )
    assert answer.status_code == 403
    assert await received(office) == []
    assert await office.query("SELECT * FROM consent_records") == []
