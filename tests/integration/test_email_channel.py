"""Email reaches a real mail server once, and every failure is sorted: never had, or unknown."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from devstack.mail import MailCatcher
from devstack.ports import any_free_port
from fixlify.channels import OutgoingEmail
from fixlify.channels.email import SmtpChannel, SmtpServer
from fixlify.channels.email.channel import Patience
from fixlify.domain.errors import OutcomeUnknownError, RecipientError, TransportError
from fixlify.domain.failures import FailureKind
from tests.integration.scripted_smtp import Line, scripted_smtp

# The server without encryption is there to prove that no password is sent to it.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

CERTIFICATE = Path(__file__).parent / "certificates" / "mail-server.pem"
IMPATIENT = Patience(before=timedelta(seconds=0.3), answer=timedelta(seconds=0.3))


def outgoing(to: str = "maria@example.com", **changes: Any) -> OutgoingEmail:
    fields = {
        "message_id": uuid4(),
        "to": to,
        "sender": "automations@lakeside.example",
        "sender_name": "Lakeside Plumbing",
        "subject": "Thank you",
        "text": "Hi Maria",
    }
    return OutgoingEmail.model_validate(fields | changes)


@asynccontextmanager
async def channel_to(url: str, **options: Any) -> AsyncIterator[SmtpChannel]:
    channel = SmtpChannel(SmtpServer.from_url(url), **options)
    try:
        yield channel
    finally:
        await channel.aclose()


@pytest.fixture
async def channel(mail: MailCatcher) -> AsyncIterator[SmtpChannel]:
    async with channel_to(mail.url) as channel:
        yield channel


async def test_an_email_arrives_as_it_was_written(channel: SmtpChannel, mail: MailCatcher) -> None:
    message = outgoing(text="Hi Maria\n.\n..dots", html="<p>Hi é</p>")
    accepted = await channel.send(message)
    (captured,) = mail.messages
    assert captured.recipients == ("maria@example.com",)
    assert captured.sender == "automations@lakeside.example"
    letter = message_from_bytes(captured.raw, policy=policy.default)
    plain, html = letter.iter_parts()
    assert plain.get_content().splitlines() == ["Hi Maria", ".", "..dots"]
    assert html.get_content().strip() == "<p>Hi é</p>"
    assert accepted.provider == "smtp"
    assert accepted.provider_id == letter["Message-ID"]
    assert accepted.detail == "2.0.0 Accepted as message 1"
    assert accepted.sender == f"127.0.0.1:{mail.port}"


@pytest.mark.parametrize(
    ("recipient", "permanent", "code"),
    [
        ("fail-550", True, "550 5.1.1"),
        ("fail-553", True, "553 5.1.3"),
        ("fail-451", False, "451 4.7.1"),
        ("fail-421", False, "421 4.3.2"),
        ("once-450", False, "450 4.2.1"),
        ("data-554", True, "554 5.7.1"),
        ("data-452", False, "452 4.2.2"),
        ("drop-before-data", False, None),
    ],
)
async def test_a_refusal_is_for_good_or_for_now(
    channel: SmtpChannel, mail: MailCatcher, recipient: str, permanent: bool, code: str | None
) -> None:
    with pytest.raises(TransportError) as caught:
        await channel.send(outgoing(f"{recipient}@example.com"))
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert (caught.value.permanent, caught.value.code) == (permanent, code)
    assert recipient not in str(caught.value)
    assert mail.messages == []


async def test_a_refusal_does_not_touch_the_next_message(
    channel: SmtpChannel, mail: MailCatcher
) -> None:
    for recipient in ("fail-550", "data-554", "fail-421"):
        with pytest.raises(TransportError):
            await channel.send(outgoing(f"{recipient}@example.com"))
        await channel.send(outgoing())
    assert len(mail.messages) == 3


async def test_a_greylisted_message_goes_through_later(
    channel: SmtpChannel, mail: MailCatcher
) -> None:
    with pytest.raises(TransportError):
        await channel.send(outgoing("once-451@example.com"))
    await channel.send(outgoing("once-451@example.com"))
    assert len(mail.messages) == 1


async def test_a_connection_lost_after_the_last_byte_leaves_the_outcome_unknown(
    channel: SmtpChannel, mail: MailCatcher
) -> None:
    with pytest.raises(OutcomeUnknownError, match="did not answer"):
        await channel.send(outgoing("drop-after-data@example.com"))
    # The catcher has it: sent again, it would arrive twice.
    assert len(mail.messages) == 1


async def test_silence_after_the_last_byte_leaves_the_outcome_unknown(mail: MailCatcher) -> None:
    async with channel_to(mail.url, patience=IMPATIENT) as channel:
        with pytest.raises(OutcomeUnknownError, match="did not answer"):
            await channel.send(outgoing("hang@example.com"))
        await channel.send(outgoing())


async def test_nonsense_after_the_last_byte_leaves_the_outcome_unknown() -> None:
    async def script(line: Line) -> None:
        await line.say(b"220 hello")
        await line.until(b"DATA")
        await line.say(b"354 go ahead")
        await line.hear_letter()
        await line.say(b"what was that?")
        await line.until()

    async with scripted_smtp(script) as (url, _), channel_to(url) as channel:
        with pytest.raises(OutcomeUnknownError):
            await channel.send(outgoing())


async def test_an_answer_after_our_patience_leaves_the_outcome_unknown(mail: MailCatcher) -> None:
    mail.slowness = timedelta(seconds=2)
    async with channel_to(mail.url, patience=IMPATIENT) as channel:
        with pytest.raises(OutcomeUnknownError, match="did not answer"):
            await channel.send(outgoing("slow@example.com"))
    assert len(mail.messages) == 1


async def test_a_server_that_says_how_long_to_wait_is_heard() -> None:
    async def script(line: Line) -> None:
        await line.say(b"220 hello")
        await line.until(b"RCPT")
        await line.say(b"451 4.7.1 Greylisted, try again in 300 seconds")

    async with scripted_smtp(script) as (url, _), channel_to(url) as channel:
        with pytest.raises(TransportError) as caught:
            await channel.send(outgoing())
    assert caught.value.kind is FailureKind.THROTTLED
    assert caught.value.retry_after == timedelta(minutes=5)


@pytest.mark.parametrize("command", [b"EHLO", b"MAIL", b"RCPT", b"DATA"])
@pytest.mark.parametrize("ending", ["hangs up", "says nothing"])
async def test_whatever_fails_before_the_message_is_for_now(command: bytes, ending: str) -> None:
    async def script(line: Line) -> None:
        await line.say(b"220 hello")
        await line.until(command)
        if ending == "says nothing":
            await line.hear()

    async with (
        scripted_smtp(script) as (url, lines),
        channel_to(f"{url}?starttls=never", patience=IMPATIENT) as channel,
    ):
        with pytest.raises(TransportError) as caught:
            await channel.send(outgoing())
        assert not isinstance(caught.value, OutcomeUnknownError)
        assert not caught.value.permanent
        assert lines[0].heard[-1].startswith(command)
        if ending == "says nothing":
            async with asyncio.timeout(5):
                await lines[0].client_hung_up.wait()


@pytest.mark.parametrize(
    "greeting", [b"554 5.7.1 not from there", b"421 busy", b"SSH-2.0-OpenSSH", None]
)
async def test_a_server_that_does_not_welcome_us_is_tried_again_later(
    greeting: bytes | None,
) -> None:
    async def script(line: Line) -> None:
        await line.say(greeting) if greeting else await line.hear()

    async with scripted_smtp(script) as (url, _), channel_to(url, patience=IMPATIENT) as channel:
        with pytest.raises(TransportError, match=r"check FIXLIFY_SMTP_URL|in time") as caught:
            await channel.send(outgoing())
        assert not caught.value.permanent
        with pytest.raises(TransportError):
            await channel.check()


async def test_a_server_that_is_not_there_is_tried_again_later() -> None:
    async with channel_to(f"smtp://127.0.0.1:{any_free_port()}") as channel:
        with pytest.raises(TransportError, match="check FIXLIFY_SMTP_URL") as caught:
            await channel.send(outgoing())
        assert not caught.value.permanent
        with pytest.raises(TransportError, match="check FIXLIFY_SMTP_URL"):
            await channel.check()


@pytest.mark.parametrize(
    ("reply", "permanent"),
    [(b"553 5.7.1 not your sender", False), (b"451 later", False), (b"552 5.3.4 too big", True)],
)
async def test_a_refused_sender_is_a_setting_to_repair(reply: bytes, permanent: bool) -> None:
    async def script(line: Line) -> None:
        await line.say(b"220 hello")
        while True:
            await line.until(b"MAIL")
            await line.say(reply)

    async with scripted_smtp(script) as (url, _), channel_to(url) as channel:
        with pytest.raises(TransportError, match="FIXLIFY_MAIL_FROM") as caught:
            await channel.send(outgoing())
        assert caught.value.permanent is permanent


async def test_messages_share_a_connection() -> None:
    async def script(line: Line) -> None:
        await line.say(b"220 hello")
        await line.until()

    async with scripted_smtp(script) as (url, lines), channel_to(url) as channel:
        for _ in range(5):
            await channel.send(outgoing())
        assert len(lines) == 1
        # Three commands a message and nothing between them.
        assert [heard[:4] for heard in lines[0].heard].count(b"RSET") == 0
        assert [heard[:4] for heard in lines[0].heard].count(b"NOOP") == 0


async def test_connections_are_few_however_many_messages_there_are() -> None:
    busy, busiest = 0, 0

    async def script(line: Line) -> None:
        nonlocal busy, busiest
        await line.say(b"220 hello")
        while True:
            await line.until(b"MAIL")
            busy += 1
            busiest = max(busiest, busy)
            await line.say(b"250 fine")
            await line.until(b"DATA")
            await line.say(b"354 go ahead")
            await line.hear_letter()
            busy -= 1
            await line.say(b"250 queued")

    async with scripted_smtp(script) as (url, lines), channel_to(url, connections=3) as channel:
        await asyncio.gather(*(channel.send(outgoing()) for _ in range(20)))
        assert busiest == 3
        assert len(lines) == 3


@pytest.mark.parametrize("farewell", [None, b"421 4.4.2 idle for too long", b"451 enough for now"])
async def test_a_connection_that_died_while_idle_is_replaced_unnoticed(
    farewell: bytes | None,
) -> None:
    async def script(line: Line) -> None:
        await line.say(b"220 hello")
        await line.until(b"MAIL")
        await line.say(b"250 fine")
        if line.number == 1:
            await line.until(b"MAIL")
            if farewell:
                await line.say(farewell)
            return
        await line.until()

    async with scripted_smtp(script) as (url, lines), channel_to(url) as channel:
        await channel.send(outgoing())
        await channel.send(outgoing())
        assert len(lines) == 2


async def test_a_mail_server_may_restart_between_messages() -> None:
    port = any_free_port()
    async with channel_to(f"smtp://127.0.0.1:{port}") as channel:
        for _ in range(2):
            async with MailCatcher(port) as mail:
                await channel.send(outgoing())
                assert len(mail.messages) == 1


async def test_an_idle_connection_is_closed_politely() -> None:
    said_goodbye = asyncio.Event()

    async def script(line: Line) -> None:
        await line.say(b"220 hello")
        await line.until(b"QUIT")
        said_goodbye.set()

    async with (
        scripted_smtp(script) as (url, lines),
        channel_to(url, keep_idle_for=timedelta(milliseconds=20)) as channel,
    ):
        await channel.send(outgoing())
        async with asyncio.timeout(5):
            await said_goodbye.wait()
        await channel.send(outgoing())
        assert len(lines) == 2


async def test_closing_the_channel_closes_its_connections() -> None:
    said_goodbye = asyncio.Event()

    async def script(line: Line) -> None:
        await line.say(b"220 hello")
        await line.until(b"QUIT")
        said_goodbye.set()

    async with scripted_smtp(script) as (url, _):
        async with channel_to(url) as channel:
            await channel.send(outgoing())
        async with asyncio.timeout(5):
            await said_goodbye.wait()


async def test_closing_the_channel_lets_a_message_on_its_way_arrive() -> None:
    has_it, may_answer = asyncio.Event(), asyncio.Event()
    said_goodbye = asyncio.Event()

    async def script(line: Line) -> None:
        await line.say(b"220 hello")
        await line.until(b"DATA")
        await line.say(b"354 go ahead")
        await line.hear_letter()
        has_it.set()
        await may_answer.wait()
        await line.say(b"250 2.0.0 queued")
        await line.until(b"QUIT")
        said_goodbye.set()

    async with scripted_smtp(script) as (url, _), channel_to(url) as channel:
        sending = asyncio.create_task(channel.send(outgoing()))
        await has_it.wait()
        await channel.aclose()
        may_answer.set()
        await sending
        async with asyncio.timeout(5):
            await said_goodbye.wait()


async def test_a_message_does_not_wait_for_a_connection_for_ever() -> None:
    has_it = asyncio.Event()

    async def script(line: Line) -> None:
        await line.say(b"220 hello")
        if line.number == 1:
            await line.until(b"DATA")
            await line.say(b"354 go ahead")
            await line.hear_letter()
            has_it.set()
            await line.hear()
        await line.until()

    patience = Patience(before=timedelta(seconds=0.2), answer=timedelta(seconds=10))
    async with (
        scripted_smtp(script) as (url, lines),
        channel_to(url, connections=1, patience=patience) as channel,
    ):
        hanging = asyncio.create_task(channel.send(outgoing()))
        await has_it.wait()
        with pytest.raises(TransportError, match="busy") as caught:
            await channel.send(outgoing())
        assert not caught.value.permanent
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        # What was given up takes its connection with it, and leaves its place to others.
        await channel.send(outgoing())
        assert len(lines) == 2


async def test_an_address_with_other_letters_is_written_where_the_server_can() -> None:
    async def script(line: Line) -> None:
        await line.say(b"220 hello")
        await line.until(b"EHLO")
        await line.say(b"250-script", b"250 SMTPUTF8")
        await line.until()

    async with scripted_smtp(script) as (url, lines), channel_to(url) as channel:
        await channel.send(outgoing("añá@example.com"))
        assert b"MAIL FROM:<automations@lakeside.example> SMTPUTF8" in lines[0].heard
        assert "RCPT TO:<añá@example.com>".encode() in lines[0].heard


async def test_an_address_with_other_letters_is_refused_where_the_server_cannot() -> None:
    async def script(line: Line) -> None:
        await line.say(b"220 hello")
        await line.until()

    async with scripted_smtp(script) as (url, _), channel_to(url) as channel:
        with pytest.raises(RecipientError, match="such letters"):
            await channel.send(outgoing("añá@example.com"))


async def test_checking_sends_nothing(channel: SmtpChannel, mail: MailCatcher) -> None:
    await channel.check()
    assert mail.messages == []


class Mailbox:
    """Keeps what it gets; asks for a password and for encryption where it is told to."""

    def __init__(self) -> None:
        self.letters = 0
        self.logins: list[bytes] = []

    async def handle_DATA(self, *_: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.letters += 1
        return "250 2.0.0 queued"

    def authenticate(self, _s: Any, _n: Any, _e: Any, _m: Any, login: Any) -> AuthResult:
        self.logins.append(login.login)
        return AuthResult(success=login.password == b"s3cret", handled=False)


@asynccontextmanager
async def secured_server(
    mailbox: Mailbox, *, implicit_tls: bool = False, offers_starttls: bool = False
) -> AsyncIterator[int]:
    """Run a server that asks for a login; yields its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(
            mailbox,
            loop=loop,
            hostname="localhost",
            authenticator=mailbox.authenticate,
            auth_required=True,
            auth_require_tls=offers_starttls,
            tls_context=context if offers_starttls else None,
        ),
        "127.0.0.1",
        0,
        ssl=context if implicit_tls else None,
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTIFICATE)


async def test_a_login_is_made_over_an_encrypted_connection() -> None:
    mailbox = Mailbox()
    async with secured_server(mailbox, offers_starttls=True) as port:
        url = f"smtp://ann:s3cret@127.0.0.1:{port}?starttls=require"
        async with channel_to(url, tls=trusting()) as channel:
            await channel.check()
            await channel.send(outgoing())
    async with secured_server(mailbox, implicit_tls=True) as port:
        url = f"smtps://ann:s3cret@127.0.0.1:{port}"
        async with channel_to(url, tls=trusting()) as channel:
            await channel.send(outgoing())
    assert mailbox.letters == 2
    assert set(mailbox.logins) == {b"ann"}


@pytest.mark.parametrize("implicit_tls", [False, True])
async def test_a_certificate_nobody_vouches_for_is_not_trusted(implicit_tls: bool) -> None:
    mailbox = Mailbox()
    async with secured_server(
        mailbox, implicit_tls=implicit_tls, offers_starttls=not implicit_tls
    ) as port:
        scheme = "smtps" if implicit_tls else "smtp"
        async with channel_to(f"{scheme}://ann:s3cret@127.0.0.1:{port}") as channel:
            with pytest.raises(TransportError, match=r"certificate") as caught:
                await channel.send(outgoing())
    assert not caught.value.permanent
    assert mailbox.logins == []


async def test_a_password_is_not_sent_where_encryption_is_required_and_missing() -> None:
    mailbox = Mailbox()
    async with secured_server(mailbox) as port:
        url = f"smtp://ann:s3cret@127.0.0.1:{port}?starttls=require"
        async with channel_to(url) as channel:
            with pytest.raises(TransportError, match="STARTTLS"):
                await channel.send(outgoing())
    assert mailbox.logins == []


async def test_a_wrong_password_is_a_setting_to_repair() -> None:
    mailbox = Mailbox()
    async with (
        secured_server(mailbox) as port,
        channel_to(f"smtp://ann:wr0ng@127.0.0.1:{port}") as channel,
    ):
        with pytest.raises(TransportError, match="user name or password") as caught:
            await channel.send(outgoing())
        with pytest.raises(TransportError, match="user name or password"):
            await channel.check()
    assert not caught.value.permanent
    assert caught.value.code == "535 5.7.8"
    assert "wr0ng" not in str(caught.value)
