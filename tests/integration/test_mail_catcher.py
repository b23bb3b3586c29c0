"""The mail catcher is a real SMTP server that keeps what it gets and fails as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest

from devstack import mail as mail_module
from devstack.mail import CapturedEmail, MailCatcher

SHORT = timedelta(milliseconds=50)


@pytest.fixture
async def catcher() -> AsyncIterator[MailCatcher]:
    async with MailCatcher() as server:
        yield server


def a_message(to: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Büro <office@example.com>"
    message["To"] = to
    message["Subject"] = "Ihre Wartung steht an: 5 €"
    message.set_content("Grüße\n.\nEnde\n")
    message.add_alternative("<p>Grüße</p>", subtype="html")
    return message


async def send(catcher: MailCatcher, *recipients: str, patience: float = 10) -> str:
    _, answer = await aiosmtplib.send(
        a_message(recipients[0]),
        recipients=list(recipients),
        hostname="127.0.0.1",
        port=catcher.port,
        timeout=patience,
    )
    return answer


async def test_it_keeps_what_was_sent(catcher: MailCatcher) -> None:
    before = datetime.now(UTC)
    await send(catcher, "ann@example.com", "hidden@example.com")
    [message] = catcher.messages
    assert message.recipients == ("ann@example.com", "hidden@example.com")
    assert message.sender == "office@example.com"
    assert message.subject == "Ihre Wartung steht an: 5 €"
    assert message.text == "Grüße\n.\nEnde\n"
    assert message.html == "<p>Grüße</p>\n"
    assert message.headers["From"] == "Büro <office@example.com>"
    assert b"\r\nSubject: Ihre Wartung steht an: 5 =?utf-8?" in message.raw
    assert before <= message.received_at <= datetime.now(UTC)


async def test_it_takes_mail_that_is_hardly_mail(catcher: MailCatcher) -> None:
    """What a sender gets wrong is for a person to see, not for the catcher to refuse."""
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=catcher.port)
    async with client:
        await client.sendmail("a@example.com", ["b@example.com"], b"no header at all\r\n")
        strange = b"Content-Type: text/plain; charset=klingon\r\n\r\nQapla\xff\r\n"
        await client.sendmail("a@example.com", ["b@example.com"], strange)
    bare, unknown = catcher.messages
    assert (bare.subject, bare.html) == ("", None)
    assert unknown.text.startswith("Qapla")


async def test_it_advertises_what_mail_servers_do(catcher: MailCatcher) -> None:
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=catcher.port) as client:
        for extension in ("size", "8bitmime", "smtputf8", "pipelining"):
            assert client.supports_extension(extension)


@pytest.mark.parametrize("code", [421, 450, 451, 452, 499, 550, 553, 554, 599])
async def test_a_recipient_is_refused_with_the_code_in_its_name(
    catcher: MailCatcher, code: int
) -> None:
    for _ in range(2):
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
            await send(catcher, f"fail-{code}+ann@example.com")
        assert refused.value.recipients[0].code == code
    assert catcher.messages == []


async def test_only_the_refused_recipient_is_left_out(catcher: MailCatcher) -> None:
    await send(catcher, "fail-550@example.com", "ann@example.com")
    assert catcher.messages[0].recipients == ("ann@example.com",)


async def test_closing_down_closes_the_connection(catcher: MailCatcher) -> None:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=catcher.port)
    await client.connect()
    await client.mail("a@example.com")
    with pytest.raises(aiosmtplib.SMTPRecipientRefused) as refused:
        await client.rcpt("fail-421@example.com")
    assert refused.value.code == 421
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await client.noop()


async def test_greylisting_refuses_each_address_once(catcher: MailCatcher) -> None:
    for address in ("once-451+ann@example.com", "once-451+bob@example.com"):
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await send(catcher, address)
        await send(catcher, address.upper())
    catcher.clear()
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        await send(catcher, "once-451+ann@example.com")
    assert catcher.messages == []


async def test_an_address_can_be_refused_as_often_as_it_says(catcher: MailCatcher) -> None:
    for _ in range(3):
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
            await send(catcher, "3-times-450@example.com")
        assert refused.value.recipients[0].code == 450
    await send(catcher, "3-times-450@example.com")
    assert len(catcher.messages) == 1


async def test_an_outage_refuses_everybody_until_it_ends(catcher: MailCatcher) -> None:
    catcher.outage = 421
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
        await send(catcher, "ann@example.com")
    assert refused.value.recipients[0].code == 421
    catcher.outage = None
    await send(catcher, "ann@example.com")
    assert len(catcher.messages) == 1


async def test_a_message_can_be_refused_after_its_data(catcher: MailCatcher) -> None:
    with pytest.raises(aiosmtplib.SMTPDataError) as refused:
        await send(catcher, "data-554@example.com")
    assert refused.value.code == 554
    assert catcher.messages == []


async def test_a_connection_can_drop_before_the_message(catcher: MailCatcher) -> None:
    with pytest.raises((aiosmtplib.SMTPServerDisconnected, OSError)):
        await send(catcher, "drop-before-data@example.com")
    assert catcher.messages == []


async def test_a_connection_can_drop_after_the_message_was_taken(catcher: MailCatcher) -> None:
    """The sender cannot know, and the message is there."""
    with pytest.raises((aiosmtplib.SMTPServerDisconnected, OSError)):
        await send(catcher, "drop-after-data@example.com")
    assert len(catcher.messages) == 1


async def test_a_server_can_hang(catcher: MailCatcher) -> None:
    with pytest.raises(aiosmtplib.SMTPTimeoutError):
        await send(catcher, "hang@example.com", patience=0.2)
    assert catcher.messages == []


async def test_a_server_can_be_slow(catcher: MailCatcher) -> None:
    catcher.slowness = SHORT
    sending = asyncio.create_task(send(catcher, "slow@example.com"))
    await catcher.wait_for()
    assert not sending.done()
    assert "Accepted" in await sending


async def test_every_fate_is_in_the_table() -> None:
    """Whoever reads the module's first page knows every magic recipient."""
    for word in mail_module.MAGIC.pattern.split("(?P<whole>")[1].rstrip(")").split("|"):
        assert f"``{word}@…``" in (mail_module.__doc__ or "")


async def test_waiting_finds_what_is_there_and_what_comes(catcher: MailCatcher) -> None:
    await send(catcher, "ann@example.com")
    assert await catcher.wait_for() == catcher.messages[0]

    def is_for_bob(message: CapturedEmail) -> bool:
        return message.recipients == ("bob@example.com",)

    waiting = asyncio.create_task(catcher.wait_for(is_for_bob))
    await send(catcher, "carol@example.com")
    await send(catcher, "bob@example.com")
    assert (await waiting).recipients == ("bob@example.com",)


async def test_waiting_in_vain_tells_what_did_come(catcher: MailCatcher) -> None:
    await send(catcher, "ann@example.com")
    with pytest.raises(TimeoutError, match=r"ann@example\.com: Ihre Wartung"):
        await catcher.wait_for(lambda message: False, SHORT)


async def test_listeners_hear_of_a_message_before_its_sender_does(catcher: MailCatcher) -> None:
    heard: list[CapturedEmail] = []
    catcher.on_accept(heard.append)
    await send(catcher, "ann@example.com")
    assert heard == catcher.messages


async def test_messages_are_kept_as_files_with_their_envelope(tmp_path: Path) -> None:
    async with MailCatcher(folder=tmp_path / "mail") as catcher:
        await send(catcher, "ann@example.com", "hidden@example.com")
    [file] = (tmp_path / "mail").glob("*.eml")
    head, _, rest = file.read_bytes().partition(b"\r\nX-RcptTo: ")
    assert head == b"X-MailFrom: office@example.com"
    assert rest == b"ann@example.com, hidden@example.com\r\n" + catcher.messages[0].raw


async def test_stopping_hangs_up_on_whoever_is_there() -> None:
    async with MailCatcher() as catcher:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=catcher.port)
        await client.connect()
    with pytest.raises((aiosmtplib.SMTPServerDisconnected, OSError)):
        await client.noop()
