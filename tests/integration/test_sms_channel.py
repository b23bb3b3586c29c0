"""Text messages reach Twilio once, and every failure is sorted: never had, or unknown."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest
from pydantic import SecretStr

from devstack.ports import any_free_port
from devstack.sms import SmsCatcher
from fixlify.channels import OutgoingSms
from fixlify.channels.sms import TwilioAccount, TwilioChannel
from fixlify.domain.errors import ConfigurationError, OutcomeUnknownError, TransportError

GOOD_SENDER = "+15005550006"
IMPATIENT = timedelta(seconds=0.3)


def outgoing(to: str = "+13125550142", **changes: Any) -> OutgoingSms:
    fields = {"message_id": uuid4(), "to": to, "body": "Hi Maria"}
    return OutgoingSms.model_validate(fields | changes)


def account(base_url: str, **changes: Any) -> TwilioAccount:
    fields: dict[str, Any] = {
        "account_sid": "AC" + "0" * 32,
        "auth_token": SecretStr("s3cret"),
        "from_number": GOOD_SENDER,
        "base_url": base_url,
    }
    return TwilioAccount(**fields | changes)


@asynccontextmanager
async def channel_of(account: TwilioAccount, **options: Any) -> AsyncIterator[TwilioChannel]:
    channel = TwilioChannel(account, **options)
    try:
        yield channel
    finally:
        await channel.aclose()


@pytest.fixture
async def channel(phone: SmsCatcher) -> AsyncIterator[TwilioChannel]:
    token = SecretStr(phone.auth_token)
    async with channel_of(account(phone.base_url, auth_token=token)) as channel:
        yield channel


Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(reply: Reply | bytes) -> AsyncIterator[str]:
    """Run a server that reads a request and does *reply*, or says it; yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if isinstance(reply, bytes):
            writer.write(reply)
            await writer.drain()
        else:
            await reply(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def http(status: str, body: str = "", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", body]
    return "\r\n".join(lines).encode()


async def test_a_text_message_arrives_as_it_was_written(
    channel: TwilioChannel, phone: SmsCatcher
) -> None:
    accepted = await channel.send(outgoing(body="Hi Maria & co: 100% done é😀"))
    (captured,) = phone.messages
    assert captured.to == "+13125550142"
    assert captured.from_ == GOOD_SENDER
    assert captured.body == "Hi Maria & co: 100% done é😀"
    assert accepted.provider == "twilio"
    assert accepted.provider_id == captured.sid
    assert accepted.detail == "queued"
    assert accepted.segments == captured.segments
    assert (accepted.sender, accepted.price) == (GOOD_SENDER, None)


async def test_a_long_message_says_how_many_segments_it_is(channel: TwilioChannel) -> None:
    accepted = await channel.send(outgoing(body="x" * 400))
    assert accepted.segments == 3


async def test_a_messaging_service_may_choose_the_number(phone: SmsCatcher) -> None:
    service = account(
        phone.base_url,
        auth_token=SecretStr(phone.auth_token),
        from_number=None,
        messaging_service_sid="MG" + "1" * 32,
    )
    async with channel_of(service) as channel:
        accepted = await channel.send(outgoing())
    assert phone.messages[0].messaging_service_sid == accepted.sender == "MG" + "1" * 32


@pytest.mark.parametrize("url", ["https://example.com/sms/status?message=1", None])
async def test_twilio_is_told_where_delivery_is_reported(url: str | None) -> None:
    forms: list[dict[str, str]] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        forms.append(dict(parse_qsl((await reader.read(65_536)).decode())))
        writer.close()

    async with answering(note) as base_url, channel_of(account(base_url)) as channel:
        with pytest.raises(OutcomeUnknownError):
            await channel.send(outgoing(status_callback=url))
    (form,) = forms
    assert form["Body"] == "Hi Maria"
    assert form.get("StatusCallback") == url


async def test_an_answer_after_our_patience_leaves_the_outcome_unknown(phone: SmsCatcher) -> None:
    sender = account(phone.base_url, auth_token=SecretStr(phone.auth_token))
    async with channel_of(sender, answer_patience=IMPATIENT) as channel:
        with pytest.raises(OutcomeUnknownError, match="did not answer"):
            await channel.send(outgoing("+15005550024"))
    assert len(phone.messages) == 1


@pytest.mark.parametrize(
    ("number", "permanent", "code"),
    [
        ("+15005550001", True, "21211"),
        ("+15005550002", True, "21612"),
        ("+15005550003", True, "21408"),
        ("+15005550004", True, "21610"),
        ("+15005550009", True, "21614"),
        ("+15005554290", False, "20429"),
        ("+15005555000", False, "20500"),
        ("+15005555030", False, "20503"),
    ],
)
async def test_a_refusal_is_for_good_or_for_now(
    channel: TwilioChannel, phone: SmsCatcher, number: str, permanent: bool, code: str
) -> None:
    with pytest.raises(TransportError, match=code) as caught:
        await channel.send(outgoing(number))
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert (caught.value.permanent, caught.value.code) == (permanent, code)
    assert number not in str(caught.value)
    assert phone.messages == []


async def test_how_long_to_wait_is_passed_on(channel: TwilioChannel) -> None:
    with pytest.raises(TransportError) as caught:
        await channel.send(outgoing("+15005554291"))
    assert caught.value.retry_after == timedelta(seconds=1)
    await channel.send(outgoing("+15005554291"))


@pytest.mark.parametrize("sender", ["+15005550001", "+15005550007", "+15005550008"])
async def test_a_wrong_number_of_our_own_is_a_setting_to_repair(
    phone: SmsCatcher, sender: str
) -> None:
    token = SecretStr(phone.auth_token)
    wrong = account(phone.base_url, auth_token=token, from_number=sender)
    async with channel_of(wrong) as channel:
        with pytest.raises(TransportError, match="our number") as caught:
            await channel.send(outgoing())
    assert not caught.value.permanent


async def test_a_wrong_token_is_a_setting_to_repair(phone: SmsCatcher) -> None:
    async with channel_of(account(phone.base_url)) as channel:
        with pytest.raises(TransportError, match="TWILIO_AUTH_TOKEN") as caught:
            await channel.send(outgoing())
        with pytest.raises(TransportError, match="TWILIO_AUTH_TOKEN"):
            await channel.check()
    assert not caught.value.permanent
    assert "s3cret" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize("captured", [False, True])
async def test_a_connection_lost_after_the_request_leaves_the_outcome_unknown(
    channel: TwilioChannel, phone: SmsCatcher, captured: bool
) -> None:
    with pytest.raises(OutcomeUnknownError, match="did not answer"):
        await channel.send(outgoing("+15005550023" if captured else "+15005550022"))
    assert len(phone.messages) == captured


async def test_silence_after_the_request_leaves_the_outcome_unknown(phone: SmsCatcher) -> None:
    sender = account(phone.base_url, auth_token=SecretStr(phone.auth_token))
    async with channel_of(sender, answer_patience=IMPATIENT) as channel:
        async with asyncio.timeout(10):
            with pytest.raises(OutcomeUnknownError, match="did not answer"):
                await channel.send(outgoing("+15005550021"))
        await channel.send(outgoing())
    # It has the first one, too: sent again, it would arrive twice.
    assert len(phone.messages) == 2


async def test_an_answer_that_only_trickles_in_leaves_the_outcome_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)

    monkeypatch.setattr("fixlify.channels.sms.http._UNTIL_CONNECTED", timedelta(0))
    async with (
        answering(trickle) as url,
        channel_of(account(url), answer_patience=IMPATIENT) as channel,
        asyncio.timeout(10),
    ):
        with pytest.raises(OutcomeUnknownError, match="did not answer"):
            await channel.send(outgoing())


@pytest.mark.parametrize(
    "answer",
    [
        http("201 Created", "welcome to our hotel"),
        http("201 Created", "[]"),
        http("200 OK", ""),
        b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{",
        b"220 mail.example.com\r\n",
        http("502 Bad Gateway", "<html>"),
        http("504 Gateway Timeout", "<html>"),
    ],
)
async def test_an_answer_nobody_understands_leaves_the_outcome_unknown(answer: bytes) -> None:
    async with answering(answer) as url, channel_of(account(url)) as channel:
        with pytest.raises(OutcomeUnknownError):
            await channel.send(outgoing())


@pytest.mark.parametrize(
    ("answer", "permanent", "code"),
    [
        (http("503 Service Unavailable", "<html>"), False, "503"),
        (http("400 Bad Request", "<html>"), True, "400"),
        (http("302 Found", "", "Location: https://example.com/"), False, "302"),
        (http("429 Too Many Requests", "", "retry-after: 30"), False, "429"),
    ],
)
async def test_a_refusal_in_other_words_is_sorted_by_its_status(
    answer: bytes, permanent: bool, code: str
) -> None:
    async with answering(answer) as url, channel_of(account(url)) as channel:
        with pytest.raises(TransportError) as caught:
            await channel.send(outgoing())
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert (caught.value.permanent, caught.value.code) == (permanent, code)
    assert (caught.value.retry_after is None) is (code != "429")


async def test_a_server_that_is_not_there_is_tried_again_later() -> None:
    nowhere = account(f"http://127.0.0.1:{any_free_port()}")
    async with channel_of(nowhere) as channel:
        with pytest.raises(TransportError, match="cannot reach Twilio") as caught:
            await channel.send(outgoing())
        assert not isinstance(caught.value, OutcomeUnknownError)
        assert not caught.value.permanent
        with pytest.raises(TransportError, match="cannot reach Twilio"):
            await channel.check()


async def test_checking_never_leaves_anything_unknown(phone: SmsCatcher) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    for reply in (hang_up, http("200 OK", "no json"), http("502 Bad Gateway", "<html>")):
        async with answering(reply) as url, channel_of(account(url)) as channel:
            with pytest.raises(TransportError) as caught:
                await channel.check()
            assert not isinstance(caught.value, OutcomeUnknownError)
            assert not caught.value.permanent


async def test_checking_sends_nothing(channel: TwilioChannel, phone: SmsCatcher) -> None:
    await channel.check()
    assert phone.messages == []


async def test_messages_share_a_connection() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().splitlines()
                if line.startswith(b"content-length")
            )
            await reader.readexactly(length)
            writer.write(http("201 Created", '{"sid": "SM1", "status": "queued"}'))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with channel_of(account(url)) as channel:
        for _ in range(5):
            accepted = await channel.send(outgoing())
            assert (accepted.provider_id, accepted.segments) == ("SM1", None)
    server.close()
    assert connections == 1


async def test_the_environment_leads_nothing_astray(
    phone: SmsCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{any_free_port()}")
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    monkeypatch.setenv("TWILIO_REGION", "au1")
    sender = account(phone.base_url, auth_token=SecretStr(phone.auth_token))
    async with channel_of(sender) as channel:
        await channel.send(outgoing())
    assert len(phone.messages) == 1


async def test_neither_token_nor_text_nor_number_is_logged(
    phone: SmsCatcher, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        sender = account(phone.base_url, auth_token=SecretStr("s3cret-t0ken"))
        async with channel_of(sender) as channel:
            with pytest.raises(TransportError):
                await channel.send(outgoing())
    ours = [
        r.getMessage() for r in caplog.records if not r.name.startswith(("devstack", "asyncio"))
    ]
    assert not any(
        secret in line for line in ours for secret in ("s3cret", "Hi Maria", "3125550142")
    )


def test_an_account_that_could_never_send_is_refused() -> None:
    token = SecretStr("s3cret")
    with pytest.raises(ConfigurationError, match="TWILIO_FROM_NUMBER"):
        TwilioAccount("AC1", token)
    with pytest.raises(ConfigurationError, match="TWILIO_ACCOUNT_SID"):
        TwilioAccount("", token, GOOD_SENDER)
    with pytest.raises(ConfigurationError, match="TWILIO_AUTH_TOKEN"):
        TwilioAccount("AC1", SecretStr(""), GOOD_SENDER)
    assert "s3cret" not in repr(TwilioAccount("AC1", token, GOOD_SENDER))
