"""Nothing goes to anyone who opted out, nor to a suppressed address, whatever way leads there."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import MessageStatus, SendReceipt
from fixlify.storage.database import Database
from fixlify.storage.messages import Channel, ClaimedMessage
from tests.ledger_book import Book
from tests.office import Office
from tests.runs import add_execution

BY_SMS = {"channel": Channel.SMS, "recipient": "+12125550123"}
BY_EMAIL = {"channel": Channel.EMAIL, "recipient": "Ada@example.com"}


@pytest.fixture
async def book(engine_database: Database, office: Office) -> Book:
    return Book(engine_database, office, await add_execution(office))


async def _opt_out(
    book: Book, channel: str, message_class: str | None = None, client: UUID | None = None
) -> None:
    await book.office.insert(
        "client_opt_outs",
        organization_id=book.office.organization_id,
        client_id=client or book.office.newest_client_id,
        channel=channel,
        message_class=message_class,
        source="test",
    )


async def _suppress(book: Book, channel: str, address: str) -> None:
    await book.office.insert(
        "suppressions",
        organization_id=book.office.organization_id,
        channel=channel,
        address=address,
        reason="it bounced",
        source="test",
    )


def _suppressed(reason: str) -> SendReceipt:
    return SendReceipt(status=MessageStatus.SUPPRESSED, reason=reason)


@pytest.mark.parametrize("message_class", list(MessageClass))
async def test_an_opt_out_of_a_channel_counts_for_every_class(
    book: Book, message_class: MessageClass
) -> None:
    """What is essential to the company is not essential to somebody who said stop."""
    await _opt_out(book, "sms")
    message = await book.enter(message_class=message_class)
    assert await book.claim(message) == _suppressed("the client opted out of sms")


async def test_an_opt_out_of_a_class_counts_for_that_class(book: Book) -> None:
    await _opt_out(book, "sms", "marketing")
    offer = await book.enter(message_class=MessageClass.MARKETING)
    assert await book.claim(offer) == _suppressed("the client opted out of marketing sms")
    visit = await book.enter(step_id="mail", message_class=MessageClass.TRANSACTIONAL)
    assert isinstance(await book.claim(visit), ClaimedMessage)


async def test_an_opt_out_of_one_channel_leaves_the_other(book: Book) -> None:
    await _opt_out(book, "email")
    assert isinstance(await book.claim(await book.enter()), ClaimedMessage)


async def test_another_clients_opt_out_is_not_theirs(book: Book) -> None:
    message = await book.enter()
    await _opt_out(book, "sms", client=await book.office.add_client(phone="+13125550199"))
    assert isinstance(await book.claim(message), ClaimedMessage)


@pytest.mark.parametrize("kind", ["client", "technician", "owner", "field", "address"])
@pytest.mark.parametrize(
    ("message", "address"), [(BY_SMS, "+12125550123"), (BY_EMAIL, "ada@example.com")]
)
async def test_a_suppressed_address_gets_nothing_whoever_it_belongs_to(
    book: Book, kind: str, message: dict[str, Any], address: str
) -> None:
    staff = await book.office.insert(
        "profiles",
        organization_id=book.office.organization_id,
        first_name="Eve",
        role="Owner",
        email="ada@example.com",
        phone="+12125550123",
    )
    await book.office.query("UPDATE jobs SET technician_id = %s", staff["id"])
    ids = {
        "client": book.office.newest_client_id,
        "technician": staff["id"],
        "owner": staff["id"],
    }
    entered = await book.enter(recipient_kind=kind, recipient_id=ids.get(kind), **message)
    await _suppress(book, message["channel"].value, address)
    assert await book.claim(entered) == _suppressed("the address is suppressed: it bounced")
    await book.office.query("DELETE FROM suppressions")


async def test_what_another_company_suppresses_is_not_suppressed(
    book: Book, database_url: str
) -> None:
    message = await book.enter()
    async with await Office.open(database_url, "Harbor Plumbing") as other:
        await _suppress(Book(book.database, other, book.execution_id), "sms", "+12125550123")
    assert isinstance(await book.claim(message), ClaimedMessage)


@pytest.mark.parametrize("kind", ["client", "field", "address"])
@pytest.mark.parametrize(
    ("message", "theirs"),
    [
        (BY_SMS, {"phone": "(212) 555-0123"}),
        (BY_SMS, {"phone": "0012125550123"}),
        (BY_SMS, {"phone": "+1 212 555 0123"}),
        (BY_EMAIL, {"email": "ADA@EXAMPLE.COM"}),
    ],
)
async def test_an_opt_out_holds_for_the_address_however_it_is_reached(
    book: Book, kind: str, message: dict[str, Any], theirs: dict[str, str]
) -> None:
    """Through a field, a fixed address, or the second entry of the same client."""
    channel = message["channel"].value
    recipient = book.office.newest_client_id if kind == "client" else None
    other = await book.office.add_client(
        **{"phone": None, "email": None, f"{channel}_opted_out": True} | theirs
    )
    entered = await book.enter(recipient_kind=kind, recipient_id=recipient, **message)
    expected = _suppressed(f"a client of that address opted out of {channel}")
    assert await book.claim(entered) == expected
    await book.office.query(f"UPDATE clients SET {channel}_opted_out = false WHERE id = %s", other)
    await _opt_out(book, channel, client=other)
    again = await book.enter(step_id="mail", recipient_kind=kind, recipient_id=recipient, **message)
    assert await book.claim(again) == expected


@pytest.mark.parametrize("phone", ["+13125550123", "3125550123", "+442125550123", "5550123"])
async def test_a_number_that_ends_alike_is_another(book: Book, phone: str) -> None:
    message = await book.enter()
    await book.office.add_client(phone=phone, sms_opted_out=True)
    assert isinstance(await book.claim(message), ClaimedMessage)


async def test_an_owner_who_is_no_longer_one_gets_nothing(book: Book) -> None:
    staff = {"organization_id": book.office.organization_id, "role": "owner"}
    eve = await book.office.insert("profiles", first_name="Eve", **staff)
    await book.office.insert("profiles", first_name="Later", **staff)
    theirs = await book.enter(recipient_kind="owner", recipient_id=eve["id"])
    assert isinstance(await book.claim(theirs), ClaimedMessage)
    late = await book.enter(step_id="mail", recipient_kind="owner", recipient_id=eve["id"])
    await book.office.query("UPDATE profiles SET role = 'staff' WHERE id = %s", eve["id"])
    assert await book.claim(late) == SendReceipt(
        status=MessageStatus.CANCELLED, reason="the company has another owner now, or none"
    )
