"""A text message of unknown fate is found in Twilio's list if it is there, and only then."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from devstack.sms import CapturedSms, SmsCatcher
from devstack.sms_fates import BROKEN, TOO_MANY
from fixlify.channels import OutgoingSms
from fixlify.channels.sms import TwilioAccount, TwilioChannel
from fixlify.channels.sms.search import LOOKED_AT, comparable, find
from fixlify.domain.errors import OutcomeUnknownError, TransportError

OURS = "+15005550006"
MARIA = "+13125550142"
CAPTURED_AND_CUT, CUT = "+15005550023", "+15005550022"
LISTED_LATE = "+15005550025"
NOBODY: frozenset[str] = frozenset()


def outgoing(to: str = MARIA, body: str = "Hi Maria") -> OutgoingSms:
    return OutgoingSms(message_id=uuid4(), to=to, body=body)


@asynccontextmanager
async def channel_at(url: str, auth_token: str | None = None) -> AsyncIterator[TwilioChannel]:
    token = SecretStr(auth_token or "s3cret")
    channel = TwilioChannel(TwilioAccount("AC" + "0" * 32, token, OURS, base_url=url))
    try:
        yield channel
    finally:
        await channel.aclose()


@pytest.fixture
async def channel(phone: SmsCatcher) -> AsyncIterator[TwilioChannel]:
    async with channel_at(phone.base_url, phone.auth_token) as channel:
        yield channel


@pytest.fixture
def since() -> datetime:
    """When whoever sends began."""
    return datetime.now(UTC)


def taken(body: str = "Hi Maria", to: str = MARIA, **changes: Any) -> CapturedSms:
    """A message that Twilio took, whoever sent it."""
    fields: dict[str, Any] = {
        "sid": "SM" + secrets.token_hex(16),
        "to": to,
        "from_": OURS,
        "body": body,
        "segments": 1,
        "status": "sent",
        "received_at": datetime.now(UTC),
        "accepted_at": monotonic(),
    }
    return CapturedSms(**fields | changes)


async def test_a_message_that_was_taken_without_an_answer_is_found(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime
) -> None:
    message = outgoing(CAPTURED_AND_CUT, "x" * 400)
    with pytest.raises(OutcomeUnknownError):
        await channel.send(message)
    await phone.deliveries_end()
    found = await channel.find_sent(message, since=since, known=NOBODY)
    assert found
    assert (found.provider, found.provider_id) == ("twilio", phone.messages[0].sid)
    assert (found.detail, found.segments, found.sender) == ("delivered", 3, OURS)
    assert (found.price, found.price_currency) == (Decimal("0.0237"), "USD")


async def test_a_message_that_was_never_taken_is_not_found(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime
) -> None:
    message = outgoing(CUT)
    phone.messages.append(taken(to=MARIA))
    with pytest.raises(OutcomeUnknownError):
        await channel.send(message)
    assert await channel.find_sent(message, since=since, known=NOBODY) is None


@pytest.mark.parametrize("status", ["queued", "accepted"])
async def test_what_is_still_queued_is_found_though_it_has_no_date_of_sending(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime, status: str
) -> None:
    phone.messages.append(taken(status=status))
    found = await channel.find_sent(outgoing(), since=since, known=NOBODY)
    assert found
    assert (found.detail, found.price) == (status, None)


async def test_a_service_that_has_not_chosen_a_number_is_the_sender(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime
) -> None:
    service = "MG" + "1" * 32
    phone.messages.append(taken(from_="", messaging_service_sid=service, status="accepted"))
    found = await channel.find_sent(outgoing(), since=since, known=NOBODY)
    assert found
    assert (found.sender, found.segments) == (service, None)


@pytest.mark.parametrize("status", ["failed", "canceled", "undelivered"])
async def test_what_twilio_had_and_gave_up_is_found(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime, status: str
) -> None:
    phone.messages.append(taken(status=status))
    found = await channel.find_sent(outgoing(), since=since, known=NOBODY)
    assert found
    assert found.detail == status


async def test_a_message_that_is_listed_late_is_found_when_it_is_listed(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime
) -> None:
    phone.listing_delay = timedelta(hours=1)
    message = outgoing(LISTED_LATE)
    with pytest.raises(OutcomeUnknownError):
        await channel.send(message)
    assert await channel.find_sent(message, since=since, known=NOBODY) is None
    phone.listing_delay = timedelta(0)
    assert await channel.find_sent(message, since=since, known=NOBODY)


async def test_a_message_we_know_is_not_the_one_we_look_for(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime
) -> None:
    sent = await channel.send(outgoing())
    known = frozenset({sent.provider_id or ""})
    assert await channel.find_sent(outgoing(), since=since, known=known) is None
    phone.messages.append(taken())
    found = await channel.find_sent(outgoing(), since=since, known=known)
    assert found
    assert found.provider_id == phone.messages[1].sid


async def test_of_two_that_nobody_knows_the_older_one_is_found_first(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime
) -> None:
    phone.messages += [taken(), taken()]
    older, newer = (message.sid for message in phone.messages)
    first = await channel.find_sent(outgoing(), since=since, known=NOBODY)
    second = await channel.find_sent(outgoing(), since=since, known=frozenset({older}))
    assert first
    assert second
    assert (first.provider_id, second.provider_id) == (older, newer)


async def test_an_older_message_is_another_one(channel: TwilioChannel, phone: SmsCatcher) -> None:
    now = datetime.now(UTC)
    phone.messages.append(taken(received_at=now - timedelta(minutes=10)))
    assert await channel.find_sent(outgoing(), since=now, known=NOBODY) is None
    earlier = now - timedelta(minutes=11)
    assert await channel.find_sent(outgoing(), since=earlier, known=NOBODY)


async def test_the_list_has_whole_seconds(channel: TwilioChannel, phone: SmsCatcher) -> None:
    since = datetime(2026, 11, 21, 12, 0, 0, 900_000, tzinfo=UTC)
    phone.messages.append(taken(received_at=since + timedelta(milliseconds=50)))
    assert await channel.find_sent(outgoing(), since=since, known=NOBODY)
    phone.messages[0] = taken(received_at=since - timedelta(seconds=1))
    assert await channel.find_sent(outgoing(), since=since, known=NOBODY) is None


async def test_the_day_of_sending_does_not_matter(
    channel: TwilioChannel, phone: SmsCatcher
) -> None:
    since = datetime(2026, 11, 20, 23, 59, 59, 900_000, tzinfo=UTC)
    phone.messages.append(taken(received_at=since + timedelta(seconds=1)))
    assert await channel.find_sent(outgoing(), since=since, known=NOBODY)


TWILIO_CHANGES = [
    ("Hi", "Sent from your Twilio trial account - Hi"),
    ("\u201cHi\u201d \u2013 it\u2019s us\u2026", '"Hi" - it\'s us...'),
    ("«Hi» — 5½ m²", '"Hi" - 51/2 m2'),
    ("10\u00a0h\u200b", "10 h"),
    ("Hi Maria \n", "Hi Maria"),
    ("Line\r\nline", "Line\nline"),
    ("• one ÷ two", "- one / two"),
    ("Añá 😀", "Añá 😀"),
    ("An\u0303a", "Aña"),
    ("\uff04\uff15", "$5"),
]


@pytest.mark.parametrize(("ours", "theirs"), TWILIO_CHANGES)
async def test_what_twilio_changes_in_a_text_does_not_hide_it(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime, ours: str, theirs: str
) -> None:
    phone.messages.append(taken(theirs))
    assert await channel.find_sent(outgoing(body=ours), since=since, known=NOBODY)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Hi Maria", "Hi Mario"),
        ("Hi Maria", "hi maria"),
        ("We come at 10:30", "We come at 10:31"),
        ("You owe $5.00", "You owe $500"),
        ("You owe 50", "You owe 5 0"),
        ("Can we come?", "Can we come!"),
        ("Hi 😀", "Hi 😢"),
        ("Hi Maria", "Hi Maria, we come at 9"),
        ("Hi", "Sent from your other account - Hi"),
    ],
)
async def test_another_text_is_another_message(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime, ours: str, theirs: str
) -> None:
    phone.messages.append(taken(theirs))
    assert await channel.find_sent(outgoing(body=ours), since=since, known=NOBODY) is None


def test_what_is_compared_does_not_change_when_it_is_compared_again() -> None:
    for ours, theirs in TWILIO_CHANGES:
        assert comparable(comparable(ours)) == comparable(ours) == comparable(theirs)


async def test_it_is_found_beyond_the_first_pages(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime
) -> None:
    phone.messages.append(taken())
    phone.messages += [taken(f"message {number}") for number in range(250)]
    assert await channel.find_sent(outgoing(), since=since, known=NOBODY)


async def test_a_list_too_long_to_read_is_not_taken_for_a_no(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime
) -> None:
    phone.messages += [taken(f"message {number}") for number in range(LOOKED_AT)]
    with pytest.raises(TransportError, match="too many") as caught:
        await channel.find_sent(outgoing(), since=since, known=NOBODY)
    assert not caught.value.permanent


async def test_what_is_long_past_is_not_read(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime
) -> None:
    yesterday = since - timedelta(days=1)
    phone.messages += [taken(received_at=yesterday) for _ in range(LOOKED_AT)]
    assert await channel.find_sent(outgoing(), since=since, known=NOBODY) is None


async def test_a_list_without_texts_does_not_tell(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime
) -> None:
    message = taken("")
    phone.messages.append(message)
    with pytest.raises(TransportError, match="keeps no texts"):
        await channel.find_sent(outgoing(), since=since, known=NOBODY)
    known = frozenset({message.sid})
    assert await channel.find_sent(outgoing(), since=since, known=known) is None


@pytest.mark.parametrize("direction", ["inbound", "outbound-reply", "outbound-call"])
async def test_what_others_wrote_is_not_ours(since: datetime, direction: str) -> None:
    async def listed() -> AsyncIterator[Any]:
        yield SimpleNamespace(
            date_created=since, direction=direction, to=MARIA, sid="SM1", body="Hi Maria"
        )

    assert await find(listed(), outgoing(), since=since, known=NOBODY) is None


@pytest.mark.parametrize(
    ("outage", "wait"), [(TOO_MANY, timedelta(seconds=1)), (BROKEN, None)], ids=["429", "500"]
)
async def test_a_list_that_cannot_be_read_now_is_read_later(
    channel: TwilioChannel, phone: SmsCatcher, since: datetime, outage: Any, wait: timedelta | None
) -> None:
    phone.messages.append(taken())
    phone.outage = outage
    with pytest.raises(TransportError) as caught:
        await channel.find_sent(outgoing(), since=since, known=NOBODY)
    assert not caught.value.permanent
    assert caught.value.retry_after == wait
    phone.outage = None
    assert await channel.find_sent(outgoing(), since=since, known=NOBODY)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"messages":[{}]}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nwelcome",
        b"",
    ],
)
async def test_a_search_leaves_nothing_unknown(answer: bytes, since: datetime) -> None:
    """Nothing is handed over, so there is nothing to be in doubt about."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with channel_at(f"http://127.0.0.1:{port}") as channel:
            with pytest.raises(TransportError) as caught:
                await channel.find_sent(outgoing(), since=since, known=NOBODY)
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert not caught.value.permanent


async def test_a_search_does_not_last_for_ever(
    since: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.read()

    monkeypatch.setattr("fixlify.channels.sms.channel.SEARCH_PATIENCE", timedelta(seconds=0.2))
    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with channel_at(f"http://127.0.0.1:{port}") as channel, asyncio.timeout(10):
            with pytest.raises(TransportError, match="in time") as caught:
                await channel.find_sent(outgoing(), since=since, known=NOBODY)
    assert not caught.value.permanent
