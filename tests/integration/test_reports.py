"""The ledger believes what providers report, once, in whatever order it comes."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from fixlify.domain.runs import MessageStatus
from fixlify.storage.database import Database
from fixlify.storage.messages import Report, ReportedMessage, find_by_provider_id, record_report
from tests.ledger_book import ACTS, Book
from tests.office import Office
from tests.runs import add_execution


@pytest.fixture
async def book(engine_database: Database, office: Office) -> Book:
    return Book(engine_database, office, await add_execution(office))


def said(status: MessageStatus, **fields: Any) -> Report:
    return Report("twilio", status, **{"provider_id": "SM1", **fields})


async def report(book: Book, message: UUID, told: Report) -> ReportedMessage | None:
    async with book.database.transaction() as connection:
        return await record_report(connection, message, told)


async def changes(book: Book, message: UUID) -> list[tuple[str, str]]:
    rows = await book.office.query(
        "SELECT to_status, cause FROM message_transitions WHERE message_id = %s ORDER BY id",
        message,
    )
    return [(row["to_status"], row["cause"]) for row in rows]


TOLD = [MessageStatus.SENT, MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.DELIVERED]


@pytest.mark.parametrize("order", sorted(set(permutations(TOLD))))
@pytest.mark.parametrize("answered", range(5))
async def test_a_delivery_told_in_any_order_is_one(
    book: Book, order: tuple[MessageStatus, ...], answered: int
) -> None:
    """The provider's own answer to our call comes before, between or after its reports."""
    message = await book.enter()
    await book.claim(message)
    for place, status in enumerate(order):
        if place == answered:
            await book.act(message, ACTS["accepted"])
        await report(book, message, said(status))
    if answered == len(order):
        receipt = await book.act(message, ACTS["accepted"])
        assert receipt.status is MessageStatus.SENT

    row = await book.row(message)
    assert (row["status"], row["provider_id"], row["segments"] or 1) == ("delivered", "SM1", 1)
    assert row["sent_at"] is not None
    assert row["delivered_at"] is not None
    statuses = [status for status, _ in await changes(book, message)]
    assert statuses in (["sending", "sent", "delivered"], ["sending", "delivered"])


async def test_what_arrived_is_not_undone(book: Book) -> None:
    message = await book.enter()
    await book.claim(message)
    await book.act(message, ACTS["accepted"])
    await report(book, message, said(MessageStatus.DELIVERED))
    for status in (MessageStatus.SENT, MessageStatus.UNDELIVERED, MessageStatus.FAILED):
        reported = await report(book, message, said(status, error_code="30003"))
        assert reported is not None
        assert (reported.status, reported.changed) == (MessageStatus.DELIVERED, False)
    assert (await book.row(message))["error_code"] is None


async def test_a_report_settles_a_doubt(book: Book) -> None:
    message = await book.enter()
    await book.claim(message)
    await book.act(message, ACTS["lost"])
    reported = await report(book, message, said(MessageStatus.SENT))
    assert reported is not None
    assert reported.changed
    receipt = await book.claim(message)
    assert getattr(receipt, "status", None) is MessageStatus.SENT


async def test_a_message_that_was_never_handed_over_is_nobodys_to_report(book: Book) -> None:
    message = await book.enter()
    reported = await report(book, message, said(MessageStatus.DELIVERED))
    assert reported is not None
    assert (reported.status, reported.changed) == (MessageStatus.QUEUED, False)


async def test_what_was_given_up_before_says_nothing_of_the_attempt_under_way(book: Book) -> None:
    message = await book.enter()
    await book.claim(message)
    await report(book, message, said(MessageStatus.FAILED))
    await book.office.query("UPDATE messages SET status = 'held', reason = 'redriven'")
    await book.claim(message)
    again = await report(book, message, said(MessageStatus.FAILED))
    assert again is not None
    assert (again.status, again.changed) == (MessageStatus.SENDING, False)
    newer = await report(book, message, said(MessageStatus.FAILED, provider_id="SM2"))
    assert newer is not None
    assert newer.status is MessageStatus.FAILED


async def test_a_message_nobody_has(book: Book) -> None:
    assert await report(book, uuid4(), said(MessageStatus.SENT)) is None


async def test_it_is_found_by_the_providers_id(book: Book) -> None:
    message = await book.enter()
    await book.claim(message)
    await book.act(message, ACTS["accepted"])
    async with book.database.statement() as connection:
        assert await find_by_provider_id(connection, "twilio", "SM1") == message
        assert await find_by_provider_id(connection, "twilio", "SM2") is None


LEGAL = {
    "queued": "held sending sent delivered undelivered bounced failed suppressed cancelled",
    "held": "queued sending sent delivered undelivered bounced failed suppressed cancelled",
    "sending": "queued sent delivered undelivered bounced failed unknown suppressed",
    "unknown": "queued sent delivered undelivered bounced failed suppressed",
    "sent": "delivered undelivered bounced failed",
    "undelivered": "delivered bounced",
    "delivered": "bounced",
    "bounced": "",
    "failed": "held sent delivered undelivered bounced",
    "suppressed": "held sent delivered undelivered bounced",
    "cancelled": "held sent delivered undelivered bounced",
}


@pytest.mark.parametrize("before", [status.value for status in MessageStatus])
async def test_only_the_legal_ways_are_open_to_anybody(book: Book, before: str) -> None:
    """Asked of the database itself, as a person with a console would."""
    legal = set(LEGAL[before].split())
    for after in (status.value for status in MessageStatus if status.value != before):
        row = await book.office.query("SELECT fixlify_may_become(%s, %s) AS may", before, after)
        assert row[0]["may"] is (after in legal), f"{before} to {after}"


async def test_an_illegal_change_is_refused_and_leaves_no_trace(book: Book) -> None:
    message = await book.enter()
    await book.claim(message)
    await book.act(message, ACTS["accepted"])
    before = await changes(book, message)
    with pytest.raises(psycopg.errors.CheckViolation, match="sent cannot become queued"):
        await book.office.query("UPDATE messages SET status = 'queued'")
    assert (await book.row(message))["status"] == "sent"
    assert await changes(book, message) == before


async def test_each_change_tells_its_cause(book: Book) -> None:
    message = await book.enter()
    await book.claim(message, datetime.now(UTC))
    await book.act(message, ACTS["released"])
    await book.claim(message, datetime.now(UTC))
    await book.act(message, ACTS["accepted"])
    await report(book, message, said(MessageStatus.UNDELIVERED, reason="the handset is off"))
    assert await changes(book, message) == [
        ("sending", "attempt 1"),
        ("queued", "busy"),
        ("sending", "attempt 2"),
        ("sent", "accepted by twilio"),
        ("undelivered", "the handset is off"),
    ]
