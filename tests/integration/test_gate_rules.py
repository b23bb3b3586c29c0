"""Hours hold a message until they open, caps until there is room; what is late then is dropped."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import MessageStatus, SendReceipt
from fixlify.storage.database import Database
from fixlify.storage.messages import Channel, ClaimedMessage, claim_message
from tests.ledger_book import Book
from tests.office import Office
from tests.runs import add_execution

# 22:30 in New York, where the company is; 19:30 in Los Angeles.
EVENING = datetime(2026, 11, 24, 3, 30, tzinfo=UTC)
MORNING = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
NIGHTS = {"quiet_hours": {"from": "21:00", "to": "08:00"}}
ONE_A_DAY = {"caps": [{"at_most": 1, "per": "1d"}]}


@pytest.fixture
async def book(engine_database: Database, office: Office) -> Book:
    return Book(engine_database, office, await add_execution(office))


async def _rule(book: Book, rules: Any) -> None:
    await book.office.query("DELETE FROM automation_rules")
    await book.office.insert(
        "automation_rules", organization_id=book.office.organization_id, rules=json.dumps(rules)
    )


async def _journal(book: Book) -> list[tuple[str, str]]:
    rows = await book.office.query("SELECT kind, detail FROM automation_decisions ORDER BY id")
    return [(row["kind"], row["detail"]) for row in rows]


HELD = "held until 2026-11-24 08:00 America/New_York: quiet hours 21:00-08:00 (America/New_York)"


async def test_quiet_hours_hold_until_they_end(book: Book) -> None:
    await _rule(book, NIGHTS)
    message = await book.enter()
    held = SendReceipt(status=MessageStatus.HELD, reason=HELD, until=MORNING)
    assert await book.claim(message, EVENING) == held
    assert await book.claim(message, EVENING) == held
    row = await book.row(message)
    assert (row["status"], row["held_until"], row["reason"]) == ("held", MORNING, HELD)
    assert await _journal(book) == [("held", HELD)]

    assert isinstance(await book.claim(message, MORNING), ClaimedMessage)
    row = await book.row(message)
    assert (row["status"], row["held_until"], row["reason"]) == ("sending", None, None)
    assert row["sending_at"] == MORNING


async def test_the_clients_own_evening_counts(book: Book) -> None:
    await _rule(book, NIGHTS)
    await book.office.query("UPDATE clients SET time_zone = 'America/Los_Angeles'")
    assert isinstance(await book.claim(await book.enter(), EVENING), ClaimedMessage)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", None])
async def test_without_a_zone_of_their_own_the_companys_counts(
    book: Book, zone: str | None
) -> None:
    await _rule(book, NIGHTS)
    await book.office.query("UPDATE clients SET time_zone = %s", zone)
    claim = await book.claim(await book.enter(), EVENING)
    assert isinstance(claim, SendReceipt)
    assert claim.until == MORNING


async def test_what_is_urgent_and_what_goes_to_staff_is_not_held(book: Book) -> None:
    await _rule(book, NIGHTS)
    urgent = await book.enter(message_class=MessageClass.URGENT)
    assert isinstance(await book.claim(urgent, EVENING), ClaimedMessage)
    office = await book.enter(step_id="mail", recipient_kind="address", recipient_id=None)
    assert isinstance(await book.claim(office, EVENING), ClaimedMessage)


async def test_an_automation_may_have_rules_of_its_own(book: Book) -> None:
    own = await book.office.apply("""
        name: Night watch
        trigger: {type: job_completed}
        rules: {quiet_hours: "off"}
        steps: [{id: text, type: send_sms, text: Thank you.}]
    """)
    night_watch = Book(
        book.database,
        book.office,
        await add_execution(book.office, automation_id=own.automation.id),
    )
    await _rule(book, NIGHTS)
    message = await night_watch.enter()
    assert isinstance(await night_watch.claim(message, EVENING), ClaimedMessage)
    assert isinstance(await book.claim(await book.enter(), EVENING), SendReceipt)


async def test_rules_of_its_own_need_none_of_the_company(book: Book) -> None:
    own = await book.office.apply("""
        name: Careful
        trigger: {type: job_completed}
        rules: {quiet_hours: "21:00-08:00"}
        steps: [{id: text, type: send_sms, text: Thank you.}]
    """)
    careful = Book(
        book.database,
        book.office,
        await add_execution(book.office, automation_id=own.automation.id),
    )
    claim = await careful.claim(await careful.enter(), EVENING)
    assert isinstance(claim, SendReceipt)
    assert claim.until == MORNING


async def test_what_is_worth_nothing_by_then_is_not_held(book: Book) -> None:
    """A reminder of tonight does not go out tomorrow; nobody waits for it, and it says so."""
    await _rule(book, NIGHTS)
    message = await book.enter(good_until=EVENING + timedelta(hours=2))
    late = SendReceipt(
        status=MessageStatus.CANCELLED,
        reason="too late: held by quiet hours 21:00-08:00 (America/New_York) until 2026-11-24"
        " 08:00 America/New_York, worth nothing after 2026-11-24 00:30 America/New_York",
        late=True,
    )
    assert await book.claim(message, EVENING) == late
    assert await book.claim(message, MORNING) == late
    assert [kind for kind, _ in await _journal(book)] == ["late"]


async def test_how_long_a_message_is_good_for_counts_from_its_first_writing(book: Book) -> None:
    fresh = {"good_for": timedelta(hours=1), "written_at": EVENING}
    message = await book.enter(**fresh)
    assert (await book.row(message))["good_until"] == EVENING + timedelta(hours=1)
    assert isinstance(await book.claim(message, EVENING + timedelta(hours=1)), ClaimedMessage)
    other = await book.enter(step_id="mail", **fresh)
    claim = await book.claim(other, EVENING + timedelta(minutes=61))
    assert isinstance(claim, SendReceipt)
    assert claim.reason == "too late: worth nothing after 2026-11-23 23:30 America/New_York"


async def test_rules_that_nobody_can_read_hold_everything_they_could_bind(book: Book) -> None:
    """Nobody knows what they were to protect from, so nothing goes."""
    await _rule(book, {"quiet_hours": "whenever"})
    message = await book.enter()
    claim = await claim_message(book.database, message, book.office.organization_id, EVENING)
    assert isinstance(claim, SendReceipt)
    assert (claim.status, claim.until) == (MessageStatus.HELD, None)
    assert "rules cannot be read" in (claim.reason or "")
    urgent = await book.enter(step_id="mail", message_class=MessageClass.URGENT)
    assert isinstance(await book.claim(urgent, EVENING), ClaimedMessage)


class TestCaps:
    """A client gets no more than the rules allow, whichever automation writes to them."""

    async def another(self, book: Book, **fields: Any) -> UUID:
        """Enter a message of another execution to the same client."""
        execution = await add_execution(book.office)
        return await Book(book.database, book.office, execution).enter(**fields)

    async def test_the_second_one_waits_until_the_first_has_left_the_window(
        self, book: Book
    ) -> None:
        await _rule(book, ONE_A_DAY)
        first, second = await book.enter(), await self.another(book)
        assert isinstance(await book.claim(first, MORNING), ClaimedMessage)
        held = await book.claim(second, MORNING + timedelta(hours=1))
        tomorrow = MORNING + timedelta(days=1)
        assert held == SendReceipt(
            status=MessageStatus.HELD,
            reason="held until 2026-11-25 08:00 America/New_York: cap: 1 message per 24h",
            until=tomorrow,
        )
        assert isinstance(await book.claim(second, tomorrow), ClaimedMessage)

    @pytest.mark.parametrize("status", ["sending", "sent", "unknown"])
    async def test_what_may_have_arrived_counts(self, book: Book, status: str) -> None:
        await _rule(book, ONE_A_DAY)
        first, second = await book.enter(), await self.another(book)
        await book.claim(first, MORNING)
        await book.office.query("UPDATE messages SET status = %s WHERE id = %s", status, first)
        assert isinstance(await book.claim(second, MORNING), SendReceipt)

    @pytest.mark.parametrize("status", ["failed", "queued", "cancelled"])
    async def test_what_did_not_arrive_does_not(self, book: Book, status: str) -> None:
        await _rule(book, ONE_A_DAY)
        first, second = await book.enter(), await self.another(book)
        await book.claim(first, MORNING)
        await book.office.query("UPDATE messages SET status = 'queued' WHERE id = %s", first)
        await book.office.query("UPDATE messages SET status = %s WHERE id = %s", status, first)
        assert isinstance(await book.claim(second, MORNING), ClaimedMessage)

    async def test_a_message_does_not_stand_in_its_own_way(self, book: Book) -> None:
        """A provider that was busy is asked again for the same message."""
        await _rule(book, ONE_A_DAY)
        message = await book.enter()
        await book.claim(message, MORNING)
        await book.act(message, lambda ledger: ledger.released("busy", None))
        assert isinstance(await book.claim(message, MORNING), ClaimedMessage)

    async def test_a_cap_of_one_channel_leaves_the_other(self, book: Book) -> None:
        await _rule(book, {"caps": [{"at_most": 1, "per": "1d", "channel": "sms"}]})
        text, mail = (
            await book.enter(),
            await self.another(book, channel=Channel.EMAIL, recipient="ada@example.com"),
        )
        await book.claim(text, MORNING)
        assert isinstance(await book.claim(mail, MORNING), ClaimedMessage)
        assert isinstance(await book.claim(await self.another(book), MORNING), SendReceipt)

    async def test_of_messages_at_once_as_many_go_as_the_cap_allows(self, book: Book) -> None:
        await _rule(book, {"caps": [{"at_most": 3, "per": "1d"}]})
        messages = [await self.another(book) for _ in range(12)]
        claims = await asyncio.gather(
            *(
                claim_message(book.database, message, book.office.organization_id, MORNING)
                for message in messages
            )
        )
        assert sum(isinstance(claim, ClaimedMessage) for claim in claims) == 3
        held = [claim for claim in claims if isinstance(claim, SendReceipt)]
        assert {claim.until for claim in held} == {MORNING + timedelta(days=1)}

    async def test_in_both_channels_at_once_too(self, book: Book) -> None:
        await _rule(book, ONE_A_DAY)
        text = await book.enter()
        mail = await book.enter(step_id="mail", channel=Channel.EMAIL, recipient="ada@example.com")
        claims = await asyncio.gather(
            *(
                claim_message(book.database, message, book.office.organization_id, MORNING)
                for message in (text, mail)
            )
        )
        assert sum(isinstance(claim, ClaimedMessage) for claim in claims) == 1

    async def test_another_clients_messages_do_not_count(self, book: Book) -> None:
        await _rule(book, ONE_A_DAY)
        await book.claim(await book.enter(), MORNING)
        other = await book.office.add_client(phone="+13125550199")
        await book.office.add_job("J-2", client_id=other)
        execution = await add_execution(book.office, subject_id="J-2")
        theirs = await Book(book.database, book.office, execution).enter(recipient_id=other)
        assert isinstance(await book.claim(theirs, MORNING), ClaimedMessage)
