"""The SMS catcher is Twilio to the real Twilio SDK, and fails as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from twilio.base.exceptions import (  # type: ignore[import-untyped]
    TwilioException,
    TwilioRestException,
)
from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped]
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from devstack import sms_fates
from devstack.sms import CapturedSms, SmsCatcher
from devstack.sms_fates import GOOD_SENDER, RECIPIENTS, SENDERS, Ending
from devstack.web import LoopbackServer

ANN = "+15551230001"
SHORT = timedelta(milliseconds=50)


@pytest.fixture
async def catcher() -> AsyncIterator[SmsCatcher]:
    async with SmsCatcher() as server:
        yield server


class Endpoint:
    """Where status callbacks go: keeps each with its signature."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, str]]] = []
        self.url = ""
        self.answer = 204

    async def take(self, request: Request) -> Response:
        pairs = httpx2.QueryParams((await request.body()).decode())
        self.received.append((request.headers["X-Twilio-Signature"], dict(pairs)))
        return Response(status_code=self.answer)

    @property
    def statuses(self) -> list[str]:
        return [form["MessageStatus"] for _, form in self.received]


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    callbacks = Endpoint()
    server = LoopbackServer(Starlette(routes=[Route("/status", callbacks.take, methods=["POST"])]))
    callbacks.url = f"http://127.0.0.1:{await server.start()}/status?execution=7"
    yield callbacks
    await server.stop()


def client_of(catcher: SmsCatcher, auth_token: str | None = None, timeout: float = 10) -> Any:
    client = Client(
        catcher.account_sid,
        auth_token or catcher.auth_token,
        http_client=TwilioHttpClient(timeout=timeout),
    )
    client.api.base_url = catcher.base_url
    return client


async def send(catcher: SmsCatcher, to: str = ANN, body: str = "Hello", **options: Any) -> Any:
    """Send with the real SDK, in a thread because it blocks; returns its message."""
    options = {"from_": GOOD_SENDER, **options}
    timeout = options.pop("timeout", 10)
    return await asyncio.to_thread(
        client_of(catcher, timeout=timeout).messages.create, to=to, body=body, **options
    )


async def test_the_sdk_gets_what_twilio_answers(catcher: SmsCatcher) -> None:
    message = await send(catcher, body="On our way {soon}")
    assert message.sid.startswith("SM")
    assert len(message.sid) == 34
    assert (message.status, message.direction) == ("queued", "outbound-api")
    assert (message.to, message.from_, message.body) == (ANN, GOOD_SENDER, "On our way {soon}")
    assert (message.num_segments, message.price, message.error_code) == ("1", None, None)
    assert message.date_created.tzinfo is not None
    assert message.account_sid == catcher.account_sid


async def test_it_keeps_what_was_sent(catcher: SmsCatcher) -> None:
    sent = await send(catcher, body="Grüße € 😀\nzweite Zeile & mehr")
    [message] = catcher.messages
    assert message.sid == sent.sid
    assert (message.to, message.from_) == (ANN, GOOD_SENDER)
    assert message.body == "Grüße € 😀\nzweite Zeile & mehr"
    assert message.segments == 1
    assert message.received_at <= datetime.now(UTC)


async def test_a_messaging_service_may_send(catcher: SmsCatcher) -> None:
    service = "MG" + "1" * 32
    message = await asyncio.to_thread(
        client_of(catcher).messages.create, to=ANN, body="Hello", messaging_service_sid=service
    )
    assert (message.messaging_service_sid, message.from_) == (service, None)
    assert (message.status, message.num_segments) == ("accepted", "0")


async def test_a_wrong_password_is_refused(catcher: SmsCatcher) -> None:
    with pytest.raises(TwilioRestException) as refused:
        await asyncio.to_thread(
            client_of(catcher, "wrong").messages.create, to=ANN, from_=GOOD_SENDER, body="Hello"
        )
    assert (refused.value.status, refused.value.code) == (401, 20003)
    assert catcher.messages == []


async def test_another_account_is_not_found(catcher: SmsCatcher) -> None:
    async with httpx2.AsyncClient(
        auth=(catcher.account_sid, catcher.auth_token), base_url=catcher.base_url, trust_env=False
    ) as http:
        answer = await http.get(f"/2010-04-01/Accounts/AC{'9' * 32}/Messages.json")
        assert answer.status_code == 404
        assert set(answer.json()) == {"code", "message", "more_info", "status"}


REFUSED = {number: fate for number, fate in RECIPIENTS.items() if fate.refusal}


@pytest.mark.parametrize("number", REFUSED)
async def test_a_number_is_refused_as_the_table_says(catcher: SmsCatcher, number: str) -> None:
    fate = REFUSED[number]
    assert fate.refusal is not None
    with pytest.raises(TwilioRestException) as refused:
        await send(catcher, number)
    assert (refused.value.status, refused.value.code) == (fate.refusal.status, fate.refusal.code)
    assert catcher.messages == []
    if fate.first_time_only:
        assert (await send(catcher, number)).status == "queued"
    else:
        with pytest.raises(TwilioRestException):
            await send(catcher, number)


async def test_too_many_requests_say_when_to_come_back(catcher: SmsCatcher) -> None:
    async with httpx2.AsyncClient(
        auth=(catcher.account_sid, catcher.auth_token), base_url=catcher.base_url, trust_env=False
    ) as http:
        answer = await http.post(
            f"/2010-04-01/Accounts/{catcher.account_sid}/Messages.json",
            data={"To": "+15005554290", "From": GOOD_SENDER, "Body": "Hello"},
        )
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize("number", SENDERS)
async def test_a_sender_is_refused_as_the_table_says(catcher: SmsCatcher, number: str) -> None:
    with pytest.raises(TwilioRestException) as refused:
        await send(catcher, from_=number)
    assert refused.value.code == SENDERS[number].code


@pytest.mark.parametrize(
    ("to", "sender", "body", "code"),
    [
        ("", GOOD_SENDER, "Hello", 21604),
        (ANN, "", "Hello", 21603),
        (ANN, GOOD_SENDER, "", 21602),
        (ANN, GOOD_SENDER, "x" * 1601, 21617),
        ("0151 123", GOOD_SENDER, "Hello", 21211),
    ],
)
async def test_an_incomplete_message_is_refused(
    catcher: SmsCatcher, to: str, sender: str, body: str, code: int
) -> None:
    with pytest.raises(TwilioRestException) as refused:
        await send(catcher, to, body, from_=sender)
    assert (refused.value.status, refused.value.code) == (400, code)


UNANSWERED = {
    number: fate for number, fate in RECIPIENTS.items() if fate.ending in {Ending.HANGS, Ending.CUT}
}


@pytest.mark.parametrize("number", UNANSWERED)
async def test_a_number_leaves_its_sender_without_an_answer(
    catcher: SmsCatcher, number: str
) -> None:
    """The sender cannot know which of them was taken."""
    hangs = UNANSWERED[number].ending is Ending.HANGS
    expected = requests.exceptions.Timeout if hangs else requests.exceptions.ConnectionError
    with pytest.raises(expected):
        await send(catcher, number, timeout=0.2)
    assert [message.to for message in catcher.messages] == (
        [number] if UNANSWERED[number].captured else []
    )


async def test_a_number_can_be_slow(catcher: SmsCatcher) -> None:
    catcher.slowness = SHORT
    sending = asyncio.create_task(send(catcher, "+15005550024"))
    await catcher.wait_for()
    assert not sending.done()
    assert (await sending).status == "queued"


DELIVERIES = {
    number: fate
    for number, fate in RECIPIENTS.items()
    if not fate.refusal and fate.ending is Ending.ANSWERED
}


@pytest.mark.parametrize("number", [ANN, *DELIVERIES])
async def test_a_delivery_is_told_as_the_table_says(
    catcher: SmsCatcher, endpoint: Endpoint, number: str
) -> None:
    fate = DELIVERIES.get(number, sms_fates.ORDINARY)
    sent = await send(catcher, number, status_callback=endpoint.url)
    await catcher.deliveries_end()

    assert endpoint.statuses == [report.status for report in fate.reports]
    for (signature, form), report in zip(endpoint.received, fate.reports, strict=True):
        assert RequestValidator(catcher.auth_token).validate(endpoint.url, form, signature)
        assert (form["MessageSid"], form["To"], form["AccountSid"]) == (
            sent.sid,
            number,
            catcher.account_sid,
        )
        assert form.get("ErrorCode") == (str(report.error_code) if report.error_code else None)

    fetched = await asyncio.to_thread(client_of(catcher).messages(sent.sid).fetch)
    last = fate.reports[-1] if fate.reports else sms_fates.Report("queued")
    assert fetched.status == ("delivered" if number == "+15005553011" else last.status)
    assert fetched.error_code == last.error_code


async def test_a_callback_that_nobody_takes_disturbs_nobody(
    catcher: SmsCatcher, endpoint: Endpoint
) -> None:
    endpoint.answer = 500
    await send(catcher, status_callback=endpoint.url)
    await send(catcher, status_callback="http://127.0.0.1:1/nobody")
    await catcher.deliveries_end()
    assert [message.status for message in catcher.messages] == ["delivered", "delivered"]


async def test_an_unknown_message_is_not_found(catcher: SmsCatcher) -> None:
    with pytest.raises(TwilioRestException) as refused:
        await asyncio.to_thread(client_of(catcher).messages("SM" + "0" * 32).fetch)
    assert (refused.value.status, refused.value.code) == (404, 20404)


async def test_the_sdk_lists_across_pages_newest_first(catcher: SmsCatcher) -> None:
    for number in range(5):
        await send(catcher, body=f"message {number}")
    listed = await asyncio.to_thread(client_of(catcher).messages.list, page_size=2)
    assert [message.body for message in listed] == [f"message {n}" for n in (4, 3, 2, 1, 0)]


async def test_the_sdk_lists_by_recipient_sender_and_day(catcher: SmsCatcher) -> None:
    other = "+15551230002"
    await send(catcher)
    await send(catcher, other)
    today = datetime.now(UTC)
    tomorrow = today + timedelta(days=1)

    await catcher.deliveries_end()

    async def listed(**query: Any) -> list[str]:
        messages = await asyncio.to_thread(client_of(catcher).messages.list, **query)
        return [message.to for message in messages]

    assert await listed(to=other) == [other]
    assert await listed(from_=other) == []
    assert await listed(date_sent=today.date(), to=ANN) == [ANN]
    assert await listed(date_sent=tomorrow.date()) == []
    assert await listed(date_sent_after=today - timedelta(minutes=1), to=ANN) == [ANN]
    assert await listed(date_sent_after=tomorrow) == []
    assert await listed(date_sent_before=tomorrow, to=ANN) == [ANN]
    assert await listed(date_sent_before=today - timedelta(days=1)) == []


async def get(catcher: SmsCatcher, address: str) -> Any:
    async with httpx2.AsyncClient(
        auth=(catcher.account_sid, catcher.auth_token), base_url=catcher.base_url, trust_env=False
    ) as http:
        return (await http.get(address)).raise_for_status().json()


async def test_what_is_queued_has_no_date_of_sending_and_is_not_found_by_one(
    catcher: SmsCatcher,
) -> None:
    await send(catcher, "+15005553000")
    queued = await asyncio.to_thread(client_of(catcher).messages.list)
    assert [message.date_sent for message in queued] == [None]
    yesterday = datetime.now(UTC) - timedelta(days=1)
    by_date = await asyncio.to_thread(
        client_of(catcher).messages.list, date_sent_after=yesterday, to="+15005553000"
    )
    assert by_date == []


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("DateSent%3E=2026-01-01", True),
        ("DateSent>=2026-01-01", True),
        ("DateSent%3E%3D=2026-01-01", True),
        ("DateSent%3C=2026-01-01", False),
        ("DateSent%3C%3D=2026-01-01", False),
        ("DateSent%3E%3D=2999-01-01", False),
    ],
)
async def test_a_range_of_days_may_be_spelled_with_or_without_its_equals_sign(
    catcher: SmsCatcher, query: str, is_found: bool
) -> None:
    await send(catcher)
    await catcher.deliveries_end()
    page = await get(catcher, f"/2010-04-01/Accounts/{catcher.account_sid}/Messages.json?{query}")
    assert len(page["messages"]) == is_found


async def test_a_page_begins_where_the_last_one_ended_whatever_arrives(
    catcher: SmsCatcher,
) -> None:
    for number in range(4):
        await send(catcher, body=f"message {number}")
    path = f"/2010-04-01/Accounts/{catcher.account_sid}/Messages.json?PageSize=2"
    first = await get(catcher, path)
    await send(catcher, body="a new one")
    second = await get(catcher, first["next_page_uri"])
    bodies = [message["body"] for page in (first, second) for message in page["messages"]]
    assert bodies == [f"message {number}" for number in (3, 2, 1, 0)]
    assert second["next_page_uri"] is None


async def test_a_message_costs_something_once_it_is_sent(catcher: SmsCatcher) -> None:
    sent = await send(catcher, body="x" * 400)
    assert sent.price is None
    await catcher.deliveries_end()
    fetched = await asyncio.to_thread(client_of(catcher).messages(sent.sid).fetch)
    assert (fetched.price, fetched.price_unit) == ("-0.02370", "USD")


async def test_a_number_is_listed_late(catcher: SmsCatcher) -> None:
    with pytest.raises(requests.exceptions.ConnectionError):
        await send(catcher, "+15005550025")
    assert await asyncio.to_thread(client_of(catcher).messages.list) == []
    catcher.listing_delay = timedelta(0)
    assert len(await asyncio.to_thread(client_of(catcher).messages.list)) == 1


async def test_callbacks_can_come_before_the_answer(
    catcher: SmsCatcher, endpoint: Endpoint
) -> None:
    await send(catcher, "+15005553012", status_callback=endpoint.url)
    # Nothing was waited for: whoever has the answer has had the callbacks.
    assert endpoint.statuses == ["sent", "delivered"]


async def test_an_outage_refuses_everything_until_it_ends(catcher: SmsCatcher) -> None:
    catcher.outage = sms_fates.BROKEN
    with pytest.raises(TwilioRestException) as refused:
        await send(catcher)
    assert (refused.value.status, refused.value.code) == (500, 20500)
    with pytest.raises(TwilioException, match="20500"):
        await asyncio.to_thread(client_of(catcher).messages.list)
    catcher.outage = None
    await send(catcher)
    assert len(catcher.messages) == 1


async def test_the_account_can_be_looked_up(catcher: SmsCatcher) -> None:
    account = await asyncio.to_thread(client_of(catcher).api.accounts(catcher.account_sid).fetch)
    assert account.status == "active"


async def test_every_number_is_in_the_table() -> None:
    """Whoever reads the module's first page knows every magic number and its code."""
    documentation = sms_fates.__doc__ or ""
    for number, fate in RECIPIENTS.items():
        [line] = [
            line
            for line in documentation.partition("Senders")[0].splitlines()
            if line.startswith(f"| {number} ")
        ]
        if fate.refusal:
            assert f"| {fate.refusal.status}  | {fate.refusal.code} |" in line
        elif fate.reports and fate.reports[-1].error_code:
            assert str(fate.reports[-1].error_code) in line
    for number, refusal in SENDERS.items():
        assert f"| {number}   | {refusal.status}  | {refusal.code} |" in documentation


async def test_clearing_forgets_messages_and_refusals(catcher: SmsCatcher) -> None:
    sent = await send(catcher)
    with pytest.raises(TwilioRestException):
        await send(catcher, "+15005554291")
    catcher.clear()
    assert catcher.messages == []
    with pytest.raises(TwilioRestException, match="not found"):
        await asyncio.to_thread(client_of(catcher).messages(sent.sid).fetch)
    with pytest.raises(TwilioRestException, match="Too Many"):
        await send(catcher, "+15005554291")


async def test_listeners_hear_of_a_message_before_its_sender_does(catcher: SmsCatcher) -> None:
    heard: list[CapturedSms] = []
    catcher.on_accept(heard.append)
    sent = await send(catcher)
    assert [message.sid for message in heard] == [sent.sid]


async def test_waiting_sees_a_message_reach_its_end(catcher: SmsCatcher) -> None:
    await send(catcher)
    message = await catcher.wait_for(lambda message: message.status == "delivered")
    assert message.to == ANN


async def test_messages_are_kept_as_files(tmp_path: Path) -> None:
    async with SmsCatcher(folder=tmp_path / "sms") as catcher:
        sent = await send(catcher)
    [file] = (tmp_path / "sms").glob("*.json")
    assert json.loads(file.read_text())["sid"] == sent.sid


async def test_stopping_does_not_wait_for_whoever_hangs() -> None:
    async with SmsCatcher() as catcher:
        hanging = asyncio.create_task(send(catcher, "+15005550021"))
        await catcher.wait_for()
    with pytest.raises(requests.exceptions.ConnectionError):
        await hanging
