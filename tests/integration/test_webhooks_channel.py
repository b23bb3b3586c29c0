"""Webhooks go, signed, to the very address that was looked at, and never into our own network."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from devstack.ports import any_free_port
from fixlify.channels.webhooks import OutgoingWebhook, WebhookChannel
from fixlify.channels.webhooks.addresses import Resolve, resolve_host
from fixlify.channels.webhooks.channel import ADDRESSES_TRIED, LARGEST_REQUEST, REDIRECTS
from fixlify.domain.errors import TransportError, WebhookAddressError
from fixlify.domain.webhooks import is_public, new_secret
from tests.receiving import Receiver, Reply, trusting

SECRET = new_secret()
HERE = "127.0.0.1"
IMPATIENT = timedelta(seconds=0.3)


class Names:
    """A name server that answers as it is told, one answer after the other; the last one stays."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.asked: list[str] = []
        self._answers = {name.replace("_", "."): list(each) for name, each in answers.items()}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self._answers.get(host)
        if not answers:
            raise socket.gaierror(-2, "Name or service not known")
        return answers.pop(0) if len(answers) > 1 else answers[0]


def names(*addresses: str) -> Names:
    """Return a name server that knows hooks.example.com, and leads moved.example.com here."""
    return Names(hooks_example_com=[addresses or (HERE,)], moved_example_com=[(HERE,)])


Open = Callable[..., WebhookChannel]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(tls=True) as server:
        yield server


@pytest.fixture
async def open_channel() -> AsyncIterator[Open]:
    """Channels for which this machine counts as public, besides what is."""
    opened = []

    def open_(resolve: Resolve | None = None, **options: Any) -> WebhookChannel:
        defaults: dict[str, Any] = {
            "resolve": resolve or names(),
            "may_reach": lambda address: address == ip_address(HERE) or is_public(address),
            "tls": trusting(),
        }
        channel = WebhookChannel(**(defaults | options))
        opened.append(channel)
        return channel

    yield open_
    for channel in opened:
        await channel.aclose()


def webhook(receiver: Receiver | None = None, url: str | None = None, **changes: Any) -> Any:
    port = f":{receiver.port}" if receiver else ""
    fields: dict[str, Any] = {
        "url": url or f"https://hooks.example.com{port}/hooks?token=T0KEN",
        "webhook_id": "msg_1",
        "payload": {"type": "automation.step", "data": {"name": "Zoë"}},
        "secret": SecretStr(SECRET),
    }
    return OutgoingWebhook(**(fields | changes))


async def refused(channel: WebhookChannel, call: OutgoingWebhook) -> TransportError:
    with pytest.raises(TransportError) as error:
        await channel.post(call)
    assert "T0KEN" not in str(error.value)
    return error.value


async def test_a_webhook_is_signed_so_that_its_receiver_can_verify_it(
    receiver: Receiver, open_channel: Open
) -> None:
    accepted = await open_channel().post(webhook(receiver))
    assert accepted.provider == "hooks.example.com"
    (call,) = receiver.received
    assert (call.method, call.path) == ("POST", "/hooks?token=T0KEN")
    assert call.headers["webhook-id"] == "msg_1"
    assert call.headers["content-type"] == "application/json"
    verified = Webhook(SECRET).verify(call.body, dict(call.headers))
    assert verified == {"type": "automation.step", "data": {"name": "Zoë"}}


async def test_the_address_is_called_in_the_name_of_its_host(
    receiver: Receiver, open_channel: Open
) -> None:
    """TLS and the Host header say the name; the connection goes to what was looked up, once."""
    resolve = names()
    await open_channel(resolve).post(webhook(receiver))
    (call,) = receiver.received
    assert call.called == "hooks.example.com"
    assert call.headers["host"] == f"hooks.example.com:{receiver.port}"
    assert resolve.asked == ["hooks.example.com"]


async def test_a_name_that_leads_elsewhere_the_second_time_is_not_asked_twice(
    receiver: Receiver, open_channel: Open
) -> None:
    """Rebinding: what counted as public when it was looked at is what is connected to."""
    resolve = Names(hooks_example_com=[("127.0.0.2",), (HERE,)])
    channel = open_channel(resolve, may_reach=lambda address: str(address) == "127.0.0.2")
    error = await refused(channel, webhook(receiver))
    assert "cannot be reached" in str(error)
    assert receiver.received == []
    assert resolve.asked == ["hooks.example.com"]


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("10.0.0.5",),
        ("169.254.169.254",),
        ("100.64.0.1",),
        ("0.0.0.0",),  # noqa: S104 - nobody listens there
        ("::1",),
        ("::ffff:127.0.0.1",),
        ("64:ff9b::7f00:1",),
        ("2002:7f00:1::",),
        ("fd00::1",),
        ("fe80::1%lo",),
        ("8.8.8.8", "127.0.0.1"),
        ("127.0.0.1", "8.8.8.8"),
    ],
)
async def test_a_name_that_leads_into_a_private_network_is_refused(
    addresses: tuple[str, ...], receiver: Receiver, open_channel: Open
) -> None:
    """Even where only one of its addresses does."""
    channel = open_channel(names(*addresses), may_reach=is_public)
    error = await refused(channel, webhook(receiver))
    assert error.permanent
    assert "not public" in str(error)
    assert not any(address in str(error) for address in addresses)
    assert receiver.received == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "[::1]", "2130706433"])
async def test_a_channel_of_the_worker_reaches_nothing_on_its_own_machine(
    host: str, receiver: Receiver
) -> None:
    channel = WebhookChannel(tls=trusting())
    error = await refused(channel, webhook(receiver, url=f"https://{host}:{receiver.port}/"))
    await channel.aclose()
    assert error.permanent
    assert receiver.received == []


async def test_a_name_that_leads_nowhere_is_tried_again(open_channel: Open) -> None:
    error = await refused(open_channel(Names()), webhook())
    assert not error.permanent
    assert "hooks.example.com leads nowhere" in str(error)


async def test_the_next_address_is_tried_where_the_first_cannot_be_connected_to(
    receiver: Receiver, open_channel: Open
) -> None:
    channel = open_channel(names("127.0.0.2", HERE), may_reach=lambda address: address.is_loopback)
    await channel.post(webhook(receiver))
    assert len(receiver.received) == 1
    assert ADDRESSES_TRIED > 1


async def test_only_a_certificate_of_its_name_is_good_enough(
    receiver: Receiver, open_channel: Open
) -> None:
    other = Names(other_example_com=[(HERE,)])
    url = f"https://other.example.com:{receiver.port}/"
    error = await refused(open_channel(other), webhook(url=url))
    assert not error.permanent
    assert "certificate of other.example.com is not valid" in str(error)
    assert "certificate" in str(await refused(open_channel(tls=None), webhook(receiver)))
    assert receiver.received == []


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        (300, True),
        (301, True),
        (302, True),
        (400, True),
        (401, True),
        (403, True),
        (404, True),
        (405, True),
        (408, False),
        (409, False),
        (410, True),
        (413, True),
        (418, True),
        (422, True),
        (425, False),
        (429, False),
        (500, False),
        (502, False),
        (503, False),
        (504, False),
        (599, False),
    ],
)
async def test_what_a_receiver_answers_says_whether_to_try_again(
    status: int, permanent: bool, receiver: Receiver, open_channel: Open
) -> None:
    receiver.replies.append(Reply(status, {"Location": "https://moved.example.com/"}))
    error = await refused(open_channel(), webhook(receiver))
    assert error.permanent is permanent
    assert error.code == str(status)
    assert f"hooks.example.com answered {status}: " in str(error)
    assert len(receiver.received) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_every_success_takes_the_webhook(
    status: int, receiver: Receiver, open_channel: Open
) -> None:
    receiver.replies.append(Reply(status))
    assert (await open_channel().post(webhook(receiver))).detail == str(status)


async def test_a_receiver_may_ask_us_to_wait(receiver: Receiver, open_channel: Open) -> None:
    receiver.replies.append(Reply(429, {"retry-after": "120"}))
    error = await refused(open_channel(), webhook(receiver))
    assert error.retry_after == timedelta(minutes=2)


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_that_repeats_the_request_is_followed(
    status: int, receiver: Receiver, open_channel: Open
) -> None:
    moved = {"Location": f"https://moved.example.com:{receiver.port}/new?x=1"}
    receiver.replies.append(Reply(status, moved))
    resolve = names()
    await open_channel(resolve).post(webhook(receiver))
    first, second = receiver.received
    assert (second.called, second.path) == ("moved.example.com", "/new?x=1")
    assert second.body == first.body
    assert Webhook(SECRET).verify(second.body, dict(second.headers))
    assert resolve.asked == ["hooks.example.com", "moved.example.com"]


@pytest.mark.parametrize(
    "location",
    [
        "http://moved.example.com/",
        "https://localhost/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://private.example.com/",
        "//10.0.0.1/",
        "file:///etc/passwd",
        "https://user:password@moved.example.com/",
        "https://moved.example.com:22/",
        "https://\u00fc.example.com/",
        "https://[moved.example.com/",
        "//moved.example.com]/",
    ],
)
async def test_a_redirect_leads_nowhere_that_a_webhook_may_not_go(
    location: str, receiver: Receiver, open_channel: Open
) -> None:
    receiver.replies.append(Reply(307, {"Location": location}))
    resolve = Names(hooks_example_com=[(HERE,)], private_example_com=[("10.0.0.1",)])
    error = await refused(open_channel(resolve), webhook(receiver))
    assert error.permanent
    assert len(receiver.received) == 1


async def test_a_receiver_that_redirects_for_ever_is_left(
    receiver: Receiver, open_channel: Open
) -> None:
    receiver.otherwise = Reply(307, {"Location": "/hooks"})
    error = await refused(open_channel(), webhook(receiver))
    assert error.permanent
    assert len(receiver.received) == 1 + REDIRECTS


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(silent=True), "did not answer within"),
        (Reply(hangs_up=True), "gave no answer"),
        (Reply(headers={"X": "x" * 1_000_000}), "gave no answer"),
    ],
)
async def test_a_receiver_that_does_not_answer_is_tried_again(
    reply: Reply, says: str, receiver: Receiver, open_channel: Open
) -> None:
    receiver.replies.append(reply)
    error = await refused(open_channel(), webhook(receiver, timeout=IMPATIENT))
    assert not error.permanent
    assert says in str(error)


async def test_nobody_listens_to_an_answer_without_end(
    receiver: Receiver, open_channel: Open
) -> None:
    """Its status counts; what follows is cut off after 64 KiB."""
    receiver.replies.append(Reply(endless=True))
    await open_channel().post(webhook(receiver))
    assert receiver.sent < 16 * 1024 * 1024


async def test_a_receiver_that_is_not_there_is_tried_again(open_channel: Open) -> None:
    error = await refused(
        open_channel(), webhook(url=f"https://hooks.example.com:{any_free_port()}/")
    )
    assert not error.permanent
    assert "cannot be reached" in str(error)


async def test_what_is_too_large_is_not_sent(receiver: Receiver, open_channel: Open) -> None:
    large = webhook(receiver, payload={"data": "x" * LARGEST_REQUEST})
    error = await refused(open_channel(), large)
    assert error.permanent
    assert "256 KiB" in str(error)
    assert receiver.received == []


async def test_a_proxy_of_the_environment_is_not_used(
    receiver: Receiver, open_channel: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{any_free_port()}")
    await open_channel().post(webhook(receiver))
    assert len(receiver.received) == 1


async def test_a_cookie_is_forgotten_and_a_connection_is_not_kept(
    receiver: Receiver, open_channel: Open
) -> None:
    """Of another name with the same address they would be."""
    receiver.replies.append(Reply(headers={"Set-Cookie": "session=1"}))
    channel = open_channel()
    await channel.post(webhook(receiver))
    await channel.post(webhook(url=f"https://moved.example.com:{receiver.port}/"))
    first, second = receiver.received
    assert (first.called, second.called) == ("hooks.example.com", "moved.example.com")
    assert "cookie" not in second.headers


async def test_a_stand_in_gets_what_was_meant_for_others(open_channel: Open) -> None:
    async with Receiver() as stand_in:
        url = "https://hooks.example.com/a"
        await open_channel(resolve=resolve_host, stand_in=stand_in.url).post(webhook(url=url))
        (call,) = stand_in.received
        assert call.path == "/hooks"
        assert call.headers["fixlify-target"] == url
        assert Webhook(SECRET).verify(call.body, dict(call.headers))
    with pytest.raises(WebhookAddressError):
        WebhookChannel(stand_in="nowhere")


def test_a_secret_is_not_shown() -> None:
    assert SECRET not in repr(webhook())
