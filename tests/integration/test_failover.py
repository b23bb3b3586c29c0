"""A second server or number sends while the first is out, and never what the first may have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from devstack.mail import MailCatcher
from devstack.ports import any_free_port
from devstack.sms import SmsCatcher
from devstack.sms_fates import BROKEN
from fixlify.channels import Accepted, EmailChannel, OutgoingEmail, OutgoingSms, SmsChannel
from fixlify.channels.email import Patience, SmtpChannel, SmtpServer
from fixlify.channels.failover import (
    PASSED_OVER_AT_MOST,
    PASSED_OVER_FOR,
    SECOND_TRIED_WITHIN,
    FailoverEmail,
    FailoverSms,
)
from fixlify.domain.errors import (
    ConfigurationError,
    OutcomeUnknownError,
    RecipientError,
    TransportError,
)
from fixlify.domain.failures import FAILS_OVER, FailureKind
from fixlify.settings import Settings
from tests.integration.scripted_smtp import Line, scripted_smtp
from worker import channels as worker_channels
from worker.channels import email_channel, sms_channel

FULL_QUEUE, GOOD_SENDER, SECOND_SENDER = "+15005550008", "+15005550006", "+15005550010"


def an_email(to: str = "maria@example.com") -> OutgoingEmail:
    return OutgoingEmail(
        message_id=uuid4(), to=to, sender="a@lakeside.example", subject="Hello", text="Hi Maria"
    )


def a_text(to: str = "+13125550142") -> OutgoingSms:
    return OutgoingSms(message_id=uuid4(), to=to, body="Hi Maria")


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, time: timedelta) -> None:
        self.now += time.total_seconds()


@dataclass
class FakeServer:
    """An email channel that fails as it is told."""

    name: str
    failure: Exception | None = None
    sent: list[OutgoingEmail] = field(default_factory=list)
    asked: int = 0
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event | None = None
    failing: Callable[[], Exception] | None = None
    takes: Callable[[], None] = lambda: None
    is_closed: bool = False

    async def send(self, message: OutgoingEmail, /) -> Accepted:
        self.asked += 1
        self.is_asked.set()
        self.takes()
        if self.may_answer is not None:
            await self.may_answer.wait()
        if self.failing is not None:
            raise self.failing()
        if self.failure is not None:
            raise self.failure
        self.sent.append(message)
        return Accepted(provider="smtp", sender=self.name)

    async def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def aclose(self) -> None:
        self.is_closed = True


@dataclass
class Pair:
    """Two servers as one, and a clock."""

    first: FakeServer = field(default_factory=lambda: FakeServer("first"))
    second: FakeServer = field(default_factory=lambda: FakeServer("second"))
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.channel = FailoverEmail(self.first, self.second, clock=self.clock)

    async def sent_by(self) -> str | None:
        return (await self.channel.send(an_email())).sender


def out(wait: timedelta | None = None, kind: FailureKind = FailureKind.TEMPORARY) -> TransportError:
    return TransportError("it is out", permanent=False, kind=kind, retry_after=wait)


def refused(kind: FailureKind = FailureKind.PERMANENT) -> TransportError:
    return TransportError("it refuses", permanent=True, kind=kind, code="550 5.7.1")


@pytest.fixture
def pair() -> Pair:
    return Pair()


@asynccontextmanager
async def built(channel: EmailChannel | SmsChannel) -> AsyncIterator[Any]:
    try:
        yield channel
    finally:
        await channel.aclose()


def settings(**values: Any) -> Settings:
    return Settings(database_url=SecretStr("postgresql://nowhere"), **values)


def two_servers(first: str, second: str) -> EmailChannel:
    return email_channel(settings(smtp_url=SecretStr(first), smtp_fallback_url=SecretStr(second)))


def two_numbers(phone: SmsCatcher, first: str = FULL_QUEUE, **values: Any) -> SmsChannel:
    return sms_channel(
        settings(
            twilio_account_sid=phone.account_sid,
            twilio_auth_token=SecretStr(phone.auth_token),
            twilio_from_number=first,
            twilio_fallback_from_number=SECOND_SENDER,
            twilio_base_url=phone.base_url,
            **values,
        )
    )


async def test_a_server_that_is_not_there_leaves_its_mail_to_the_second(mail: MailCatcher) -> None:
    nowhere = f"smtp://127.0.0.1:{any_free_port()}"
    async with built(two_servers(nowhere, mail.url)) as channel:
        accepted = await channel.send(an_email())
    assert len(mail.messages) == 1
    assert accepted.sender == f"127.0.0.1:{mail.port}"


@pytest.mark.parametrize("code", [421, 451, 454])
async def test_a_server_that_takes_no_mail_now_leaves_it_to_the_second(
    mail: MailCatcher, code: int
) -> None:
    async with (
        MailCatcher() as second,
        built(two_servers(mail.url, second.url)) as channel,
    ):
        mail.outage = code
        await channel.send(an_email())
        assert (len(mail.messages), len(second.messages)) == (0, 1)


async def test_a_login_that_fails_is_an_outage_of_that_server(mail: MailCatcher) -> None:
    async def script(line: Line) -> None:
        await line.say(b"220 hello")
        await line.until(b"EHLO")
        await line.say(b"250-script", b"250 AUTH PLAIN")
        await line.until(b"AUTH")
        await line.say(b"535 5.7.8 Bad credentials")
        await line.until()

    async with scripted_smtp(script) as (url, _):
        with_login = url.replace("smtp://", "smtp://ann:wr0ng@") + "?starttls=never"
        async with built(two_servers(with_login, mail.url)) as channel:
            accepted = await channel.send(an_email())
            with pytest.raises(TransportError, match="user name or password"):
                await channel.check()
    assert accepted.sender == f"127.0.0.1:{mail.port}"


async def test_a_silent_server_leaves_time_enough_for_the_second(
    mail: MailCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = worker_channels.PATIENCE_WITH_TWO
    assert SECOND_TRIED_WITHIN + patience.before + patience.answer < timedelta(seconds=50)
    assert patience.before < SECOND_TRIED_WITHIN

    async def script(line: Line) -> None:
        await line.hear()

    soon = Patience(before=timedelta(seconds=0.3))
    monkeypatch.setattr(worker_channels, "PATIENCE_WITH_TWO", soon)
    async with (
        scripted_smtp(script) as (url, _),
        built(two_servers(url, mail.url)) as channel,
        asyncio.timeout(10),
    ):
        await channel.send(an_email())
    assert len(mail.messages) == 1


async def test_an_email_has_the_same_name_whichever_server_it_leaves_by(mail: MailCatcher) -> None:
    message = an_email()
    async with MailCatcher() as second, built(two_servers(mail.url, second.url)) as channel:
        by_first = await channel.send(message)
        mail.outage = 421
        by_second = await channel.send(message)
        names = [
            message_from_bytes(each.messages[0].raw, policy=policy.default)["Message-ID"]
            for each in (mail, second)
        ]
    assert by_first.sender != by_second.sender
    assert by_first.provider_id == by_second.provider_id == names[0] == names[1]


@pytest.mark.parametrize("recipient", ["drop-after-data", "hang"])
async def test_what_the_first_server_may_have_never_goes_to_the_second(
    mail: MailCatcher, recipient: str
) -> None:
    soon = Patience(answer=timedelta(seconds=0.3))
    async with MailCatcher() as second:
        servers = (SmtpServer.from_url(each.url) for each in (mail, second))
        pair = FailoverEmail(*(SmtpChannel(server, patience=soon) for server in servers))
        async with built(pair) as channel:
            with pytest.raises(OutcomeUnknownError):
                await channel.send(an_email(f"{recipient}@example.com"))
        assert second.messages == []


@pytest.mark.parametrize("recipient", ["fail-550", "data-554", "fail-450", "data-452"])
async def test_what_is_wrong_with_a_message_or_a_mailbox_is_not_the_servers_fault(
    mail: MailCatcher, recipient: str
) -> None:
    async with MailCatcher() as second, built(two_servers(mail.url, second.url)) as channel:
        with pytest.raises(TransportError):
            await channel.send(an_email(f"{recipient}@example.com"))
        await channel.send(an_email())
        assert (len(mail.messages), len(second.messages)) == (1, 0)


async def test_each_server_keeps_connections_of_its_own() -> None:
    is_out = False

    async def first(line: Line) -> None:
        await line.say(b"220 hello")
        while True:
            await line.until(b"RCPT")
            await line.say(b"421 busy" if is_out else b"250 fine")

    async def second(line: Line) -> None:
        await line.say(b"220 hello")
        await line.until()

    async with (
        scripted_smtp(first) as (first_url, firsts),
        scripted_smtp(second) as (second_url, seconds),
        built(two_servers(first_url, second_url)) as channel,
    ):
        for _ in range(3):
            await channel.send(an_email())
        is_out = True
        for _ in range(3):
            await channel.send(an_email())
        assert (len(firsts), len(seconds)) == (1, 1)


async def test_a_number_whose_queue_is_full_leaves_its_texts_to_the_second(
    phone: SmsCatcher,
) -> None:
    async with built(two_numbers(phone)) as channel:
        accepted = await channel.send(a_text())
    assert accepted.sender == SECOND_SENDER
    assert [message.from_ for message in phone.messages] == [SECOND_SENDER]


async def test_a_second_number_stands_in_for_a_messaging_service_too(phone: SmsCatcher) -> None:
    service = two_numbers(phone, FULL_QUEUE, twilio_messaging_service_sid="MG" + "1" * 32)
    async with built(service) as channel:
        assert (await channel.send(a_text())).sender == SECOND_SENDER
    assert phone.messages[0].messaging_service_sid is None


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("+15005550001", FailureKind.PERMANENT),
        ("+15005550004", FailureKind.OPTED_OUT),
        ("+15005550009", FailureKind.LANDLINE),
        ("+15005550022", FailureKind.UNKNOWN),
        ("+15005550023", FailureKind.UNKNOWN),
    ],
)
async def test_a_no_or_a_doubt_about_a_text_is_final(
    phone: SmsCatcher, number: str, kind: FailureKind
) -> None:
    captured = number == "+15005550023"
    async with built(two_numbers(phone, GOOD_SENDER)) as channel:
        with pytest.raises(TransportError) as caught:
            await channel.send(a_text(number))
    assert caught.value.kind is kind
    assert [message.from_ for message in phone.messages] == [GOOD_SENDER] * captured


async def test_a_no_that_only_the_second_number_hears_is_final(phone: SmsCatcher) -> None:
    async with built(two_numbers(phone)) as channel:
        with pytest.raises(TransportError) as caught:
            await channel.send(a_text("+15005550004"))
    assert (caught.value.kind, caught.value.code) == (FailureKind.OPTED_OUT, "21610")


async def test_when_all_of_twilio_is_out_texts_wait(phone: SmsCatcher) -> None:
    phone.outage = BROKEN
    async with built(two_numbers(phone, GOOD_SENDER)) as channel:
        with pytest.raises(TransportError) as caught:
            await channel.send(a_text())
        assert (caught.value.kind, caught.value.code) == (FailureKind.TEMPORARY, "20500")
        phone.outage = None
        await channel.send(a_text())
    assert len(phone.messages) == 1


async def test_a_text_is_looked_for_whichever_number_it_left_by(phone: SmsCatcher) -> None:
    began, message = datetime.now(UTC), a_text("+15005550023")
    async with built(two_numbers(phone)) as channel:
        with pytest.raises(OutcomeUnknownError):
            await channel.send(message)
        found = await channel.find_sent(message, since=began, known=frozenset())
        assert found.sender == SECOND_SENDER
        known = frozenset({found.provider_id})
        assert await channel.find_sent(message, since=began, known=known) is None


class FakeList(FakeServer):
    """A text-message channel that lists what it is told."""

    found: Accepted | None = None

    async def send(self, message: Any, /) -> Accepted:
        raise NotImplementedError

    async def find_sent(
        self, message: OutgoingSms, /, *, since: datetime, known: frozenset[str]
    ) -> Accepted | None:
        if self.failure is not None:
            raise self.failure
        return self.found


async def test_a_list_that_cannot_be_read_is_not_taken_for_a_no() -> None:
    first, second = FakeList("first", failure=out()), FakeList("second")
    channel = FailoverSms(first, second)
    with pytest.raises(TransportError, match="it is out"):
        await channel.find_sent(a_text(), since=datetime.now(UTC), known=frozenset())
    second.found = Accepted(provider="twilio", provider_id="SM1")
    found = await channel.find_sent(a_text(), since=datetime.now(UTC), known=frozenset())
    assert found is second.found


async def test_a_server_that_failed_is_passed_over_for_a_while(pair: Pair) -> None:
    pair.first.failure = out()
    assert [await pair.sent_by() for _ in range(3)] == ["second"] * 3
    assert pair.first.asked == 1
    pair.first.failure = None
    pair.clock.passes(PASSED_OVER_FOR - timedelta(seconds=1))
    assert await pair.sent_by() == "second"
    pair.clock.passes(timedelta(seconds=1))
    assert [await pair.sent_by() for _ in range(2)] == ["first"] * 2


async def test_one_message_finds_out_whether_the_first_is_back(pair: Pair) -> None:
    pair.first.failure = out()
    await pair.sent_by()
    pair.clock.passes(PASSED_OVER_FOR)
    pair.first.failure, pair.first.may_answer = None, asyncio.Event()
    pair.first.is_asked.clear()
    trial = asyncio.create_task(pair.sent_by())
    await pair.first.is_asked.wait()
    async with asyncio.timeout(10):
        assert [await pair.sent_by() for _ in range(3)] == ["second"] * 3
    pair.first.may_answer.set()
    assert await trial == "first"
    assert await pair.sent_by() == "first"


async def test_a_server_that_is_still_out_is_passed_over_again(pair: Pair) -> None:
    pair.first.failure = out()
    await pair.sent_by()
    pair.clock.passes(PASSED_OVER_FOR)
    assert [await pair.sent_by() for _ in range(3)] == ["second"] * 3
    assert pair.first.asked == 2


@pytest.mark.parametrize(
    "failure", [refused(), refused(FailureKind.OPTED_OUT), refused(FailureKind.LANDLINE)]
)
async def test_a_server_that_refuses_a_message_is_back(pair: Pair, failure: TransportError) -> None:
    pair.first.failure = out()
    await pair.sent_by()
    pair.clock.passes(PASSED_OVER_FOR)
    pair.first.failure = failure
    with pytest.raises(TransportError) as caught:
        await pair.sent_by()
    assert caught.value is failure
    pair.first.failure, pair.first.may_answer = None, asyncio.Event()
    pair.first.is_asked.clear()
    # Not one on trial, but every message.
    sending = asyncio.gather(pair.sent_by(), pair.sent_by())
    await pair.first.is_asked.wait()
    pair.first.may_answer.set()
    assert list(await sending) == ["first", "first"]


async def test_a_trial_that_is_given_up_leaves_the_next_one_to_another_message(pair: Pair) -> None:
    pair.first.failure = out()
    await pair.sent_by()
    pair.clock.passes(PASSED_OVER_FOR)
    pair.first.failure, pair.first.may_answer = None, asyncio.Event()
    pair.first.is_asked.clear()
    trial = asyncio.create_task(pair.sent_by())
    await pair.first.is_asked.wait()
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    pair.first.may_answer.set()
    assert await pair.sent_by() == "first"


@pytest.mark.parametrize("kind", sorted(FAILS_OVER))
async def test_a_wait_that_was_asked_for_is_granted(pair: Pair, kind: FailureKind) -> None:
    pair.first.failure = out(timedelta(minutes=2), kind)
    await pair.sent_by()
    pair.clock.passes(timedelta(minutes=2) - timedelta(seconds=1))
    await pair.sent_by()
    assert pair.first.asked == 1
    pair.clock.passes(timedelta(seconds=1))
    await pair.sent_by()
    assert pair.first.asked == 2


async def test_of_messages_that_fail_together_the_longest_wait_counts(pair: Pair) -> None:
    pair.first.may_answer = asyncio.Event()
    sending = [asyncio.create_task(pair.sent_by()) for _ in range(2)]
    await pair.first.is_asked.wait()
    waits = iter([timedelta(minutes=2), None])

    def fails() -> TransportError:
        return out(next(waits))

    pair.first.failing = fails
    pair.first.may_answer.set()
    assert await asyncio.gather(*sending) == ["second", "second"]
    pair.clock.passes(timedelta(minutes=2) - timedelta(seconds=1))
    assert await pair.sent_by() == "second"
    assert pair.first.asked == 2


async def test_no_server_is_passed_over_for_ever(pair: Pair) -> None:
    pair.first.failure = out(timedelta(days=1))
    await pair.sent_by()
    pair.clock.passes(PASSED_OVER_AT_MOST)
    await pair.sent_by()
    assert pair.first.asked == 2


async def test_a_server_that_leaves_one_message_in_doubt_does_not_get_the_next(pair: Pair) -> None:
    pair.first.failure = OutcomeUnknownError("it did not answer")
    with pytest.raises(OutcomeUnknownError):
        await pair.sent_by()
    assert pair.second.asked == 0
    assert await pair.sent_by() == "second"
    pair.second.failure = refused()
    with pytest.raises(TransportError, match="passed over") as caught:
        await pair.sent_by()
    # The doubt was about another message.
    assert caught.value.kind is FailureKind.TEMPORARY
    assert not isinstance(caught.value, OutcomeUnknownError)


async def test_a_person_without_an_address_is_nobodys_outage(pair: Pair) -> None:
    pair.first.failure = RecipientError("no address")
    with pytest.raises(RecipientError):
        await pair.sent_by()
    pair.first.failure = None
    assert await pair.sent_by() == "first"
    assert pair.second.asked == 0


async def test_a_first_that_used_up_the_time_leaves_the_second_to_the_next_attempt(
    pair: Pair,
) -> None:
    pair.first.failure = out(timedelta(hours=1))
    pair.first.takes = lambda: pair.clock.passes(SECOND_TRIED_WITHIN + timedelta(seconds=1))
    with pytest.raises(TransportError, match="it is out") as caught:
        await pair.sent_by()
    # The wait is the first's; the next attempt does not go there.
    assert (caught.value.kind, caught.value.retry_after) == (FailureKind.TEMPORARY, None)
    assert pair.second.asked == 0
    assert await pair.sent_by() == "second"


@pytest.mark.parametrize("kind", [FailureKind.OPTED_OUT, FailureKind.LANDLINE, FailureKind.UNKNOWN])
async def test_what_the_second_says_of_the_person_or_leaves_in_doubt_counts(
    pair: Pair, kind: FailureKind
) -> None:
    pair.first.failure = out()
    doubt = OutcomeUnknownError("it did not answer")
    pair.second.failure = doubt if kind is FailureKind.UNKNOWN else refused(kind)
    with pytest.raises(TransportError) as caught:
        await pair.sent_by()
    assert caught.value is pair.second.failure


@pytest.mark.parametrize("opinion", [refused(), RecipientError("such letters")])
async def test_what_only_the_second_refuses_waits_for_the_first(
    pair: Pair, opinion: Exception
) -> None:
    """A relay that does not know us must not fail what the first will take."""
    pair.first.failure, pair.second.failure = out(), opinion
    for _ in range(2):
        with pytest.raises(TransportError, match="it is out; the second sender: ") as caught:
            await pair.sent_by()
        assert (caught.value.permanent, caught.value.kind) == (False, FailureKind.TEMPORARY)
        assert caught.value.retry_after == PASSED_OVER_FOR
    pair.clock.passes(PASSED_OVER_FOR)
    pair.first.failure = None
    assert await pair.sent_by() == "first"


@pytest.mark.parametrize(
    ("first", "second", "wait"),
    [
        (None, None, None),
        (timedelta(minutes=5), None, None),
        (None, timedelta(seconds=7), timedelta(seconds=7)),
        (timedelta(minutes=5), timedelta(seconds=7), timedelta(seconds=7)),
        (timedelta(minutes=5), timedelta(hours=2), timedelta(minutes=5)),
        (None, timedelta(hours=2), PASSED_OVER_FOR),
    ],
)
async def test_when_both_are_out_whoever_is_back_first_is_waited_for(
    pair: Pair, first: timedelta | None, second: timedelta | None, wait: timedelta | None
) -> None:
    pair.first.failure, pair.second.failure = out(first, FailureKind.THROTTLED), out(second)
    with pytest.raises(TransportError) as caught:
        await pair.sent_by()
    assert (caught.value.kind, caught.value.retry_after) == (FailureKind.THROTTLED, wait)


async def test_an_outage_is_told_once_and_so_is_its_end(pair: Pair) -> None:
    with capture_logs() as logs:
        pair.first.failure = out()
        for _ in range(3):
            await pair.sent_by()
        pair.clock.passes(PASSED_OVER_FOR)
        await pair.sent_by()
        pair.clock.passes(PASSED_OVER_FOR)
        pair.first.failure = None
        await pair.sent_by()
    assert [(log["log_level"], log.get("reason")) for log in logs] == [
        ("warning", "it is out"),
        ("info", None),
    ]


async def test_checking_checks_both(pair: Pair) -> None:
    await pair.channel.check()
    pair.second.failure = refused()
    with pytest.raises(TransportError, match=r"^it refuses$"):
        await pair.channel.check()
    pair.first.failure = out()
    with pytest.raises(TransportError, match=r"^it is out; it refuses$"):
        await pair.channel.check()


async def test_closing_closes_both(pair: Pair) -> None:
    await pair.channel.aclose()
    assert pair.first.is_closed
    assert pair.second.is_closed


async def test_what_is_wrong_with_the_second_names_its_own_setting(phone: SmsCatcher) -> None:
    nowhere = f"smtp://127.0.0.1:{any_free_port()}"
    async with MailCatcher() as mail, built(two_servers(mail.url, nowhere)) as channel:
        with pytest.raises(TransportError, match="check FIXLIFY_SMTP_FALLBACK_URL"):
            await channel.check()
    with pytest.raises(ConfigurationError, match=r"^FIXLIFY_SMTP_FALLBACK_URL has no host"):
        two_servers("smtp://127.0.0.1", "smtp://")
    numbers = sms_channel(
        settings(
            twilio_account_sid=phone.account_sid,
            twilio_auth_token=SecretStr(phone.auth_token),
            twilio_from_number=FULL_QUEUE,
            twilio_fallback_from_number="+15005550007",
            twilio_base_url=phone.base_url,
        )
    )
    async with built(numbers) as channel:
        with pytest.raises(TransportError, match="check TWILIO_FALLBACK_FROM_NUMBER"):
            await channel.send(a_text())


async def test_a_channel_nobody_set_up_waits_and_looks_for_nothing() -> None:
    unset = settings(smtp_url=None, twilio_account_sid=None)
    for send in (email_channel(unset).send(an_email()), sms_channel(unset).send(a_text())):
        with pytest.raises(TransportError, match="not configured") as caught:
            await send
        assert not caught.value.permanent
    with pytest.raises(TransportError, match="not configured"):
        await sms_channel(unset).find_sent(a_text(), since=datetime.now(UTC), known=frozenset())
