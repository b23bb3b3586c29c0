"""What Twilio reports of our messages reaches the ledger: signed, in any order, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import permutations
from uuid import UUID

import httpx2
import pytest
from pydantic import SecretStr

from devstack.ports import any_free_port
from devstack.sms import SmsCatcher
from devstack.web import LoopbackServer
from fixlify.channels.protocol import OutgoingSms
from fixlify.channels.sms import TwilioAccount, TwilioChannel
from fixlify.channels.sms.callbacks import STATUS_PATH, status_callback_url
from fixlify.domain.runs import MessageStatus
from fixlify.storage.database import Database, Role
from fixlify.storage.messages import ClaimedMessage, Report
from starter.http.app import build_app
from starter.http.twilio import TwilioCaller, twilio_router
from tests.ledger_book import ACTS, Book
from tests.office import Office
from tests.runs import add_execution
from tests.twilio_calls import ACCOUNT, PUBLIC_URL, THEIR_NUMBER, Twilio, called_by_twilio

NOBODYS = UUID(int=7)
CHANGEABLE = (
    *("messages", "message_transitions", "suppressions", "consent_records", "client_opt_outs"),
    *("inbound_messages", "automation_events"),
)


class Line:
    """A message that Twilio has, and Twilio."""

    def __init__(self, twilio: Twilio, book: Book, message_id: UUID) -> None:
        self.twilio = twilio
        self.book = book
        self.message_id = message_id

    async def report(self, *statuses: str, **parameters: str) -> None:
        for status in statuses:
            response = await self.twilio.report(self.message_id, status, **parameters)
            assert response.status_code == 204, response.text
            assert response.content == b""

    async def status(self) -> str:
        return str((await self.book.row(self.message_id))["status"])

    async def everything(self) -> list[list[dict[str, object]]]:
        """Return every table that a callback may change."""
        return [await self.book.office.query(f"SELECT * FROM {table}") for table in CHANGEABLE]


@pytest.fixture
async def twilio(engine_database: Database) -> AsyncIterator[Twilio]:
    async with called_by_twilio(engine_database) as twilio:
        yield twilio


@pytest.fixture
async def line(office: Office, engine_database: Database, twilio: Twilio) -> Line:
    """A message on its way: the call that hands it over is not answered yet."""
    book = Book(engine_database, office, await add_execution(office))
    message_id = await book.enter()
    assert isinstance(await book.claim(message_id), ClaimedMessage)
    return Line(twilio, book, message_id)


async def accept(line: Line) -> None:
    """Let Twilio's answer to our call come."""
    await line.book.act(line.message_id, ACTS["accepted"])


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *(("accepted", "sent"), ("scheduled", "sent"), ("queued", "sent"), ("sending", "sent")),
        *(("sent", "sent"), ("delivered", "delivered"), ("read", "delivered")),
        *(("undelivered", "undelivered"), ("failed", "failed"), ("canceled", "failed")),
    ],
)
async def test_what_each_status_is_in_the_ledger(line: Line, status: str, expected: str) -> None:
    await line.report(status)
    assert await line.status() == expected


@pytest.mark.parametrize("order", list(permutations(["sent", "delivered", "the answer"])))
@pytest.mark.parametrize("times", [1, 2])
async def test_a_message_ends_delivered_in_whatever_order_that_is_told(
    line: Line, order: tuple[str, ...], times: int
) -> None:
    """Also before the answer to our own call, and where everything is told twice."""
    for each in order:
        if each == "the answer":
            await accept(line)
        else:
            await line.report(*[each] * times)
    row = await line.book.row(line.message_id)
    assert (row["status"], row["provider"], row["provider_id"]) == ("delivered", "twilio", "SM1")
    assert row["delivered_at"] is not None
    moves = await line.book.office.query("SELECT to_status FROM message_transitions")
    assert [move["to_status"] for move in moves].count("delivered") == 1


async def test_a_message_that_did_not_arrive_says_why_in_words(line: Line) -> None:
    await accept(line)
    await line.report("undelivered", ErrorCode="30006")
    row = await line.book.row(line.message_id)
    assert (row["status"], row["error_code"]) == ("undelivered", "30006")
    assert "landline" in row["reason"]


async def test_a_burst_of_reports_is_never_throttled(office: Office, database_url: str) -> None:
    database = Database(database_url, Role.ENGINE, pool_size=5)
    book = Book(database, office, await add_execution(office))
    message_id = await book.enter()
    await book.claim(message_id)
    async with called_by_twilio(database, rate="1/hour") as twilio:
        answers = await asyncio.gather(
            *(twilio.report(message_id, status) for status in ["sent", "delivered"] * 20)
        )
    assert {answer.status_code for answer in answers} == {204}
    assert (await book.row(message_id))["status"] == "delivered"
    await database.close()


@pytest.mark.parametrize(
    "message_id", [str(NOBODYS), "not-an-id", "%00", "x" * 500, "..%2F..%2Finbound"]
)
async def test_a_message_that_nobody_knows_is_accepted_and_ignored(
    line: Line, message_id: str
) -> None:
    before = await line.everything()
    response = await line.twilio.report(message_id, "delivered")
    assert response.status_code in (204, 404)
    assert await line.everything() == before


@pytest.mark.parametrize("status", ["", "partially_delivered", "\x00", "sent\x00"])
async def test_a_status_that_nobody_knows_is_ignored(line: Line, status: str) -> None:
    before = await line.everything()
    await line.report(status)
    assert await line.everything() == before


async def test_a_message_is_not_reported_by_the_id_of_another(line: Line) -> None:
    await line.report("delivered", sid="SM7")
    second = await line.book.enter(step_id="mail")
    await line.book.claim(second)
    response = await line.twilio.report(second, "delivered", sid="SM7")
    assert response.status_code == 204
    assert (await line.book.row(second))["status"] == "sending"


async def test_a_number_whose_owner_told_twilio_stop_is_suppressed_with_evidence(
    line: Line,
) -> None:
    await accept(line)
    await line.report("failed", "failed", ErrorCode="21610")
    office = line.book.office
    (suppressed,) = await office.query("SELECT * FROM suppressions")
    assert (suppressed["address"], suppressed["source"]) == (THEIR_NUMBER, "twilio")
    (record,) = await office.query("SELECT * FROM consent_records")
    assert (record["wants"], record["client_id"]) == (False, office.newest_client_id)
    assert record["evidence"] == {
        "message_id": str(line.message_id),
        "message_sid": "SM1",
        "error_code": "21610",
    }


REFUSED = {
    "no signature": {"X_Twilio_Signature": ""},
    "another signature": {"X_Twilio_Signature": "MDAwMDAwMDAwMDAwMDAwMDAwMDA="},
    "an address of our proxy's": {"signed_as": "http://10.0.0.7:8080"},
    "another host": {"signed_as": "https://evil.example.com"},
}


@pytest.mark.parametrize("case", list(REFUSED))
@pytest.mark.parametrize("as_json", [False, True])
async def test_a_call_that_is_not_signed_for_our_address_changes_nothing(
    line: Line, case: str, as_json: bool
) -> None:
    before = await line.everything()
    path = f"{STATUS_PATH}/{line.message_id}"
    options = dict(REFUSED[case])
    if "signed_as" in options:
        options["signed_as"] += path
    response = await line.twilio.call(
        path,
        {"MessageSid": "SM1", "MessageStatus": "delivered"},
        as_json=as_json,
        **options,
    )
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert await line.everything() == before


async def test_what_was_changed_after_it_was_signed_changes_nothing(line: Line) -> None:
    before = await line.everything()
    path = f"{STATUS_PATH}/{line.message_id}"
    signed = await line.twilio.call(path, {"MessageSid": "SM1", "MessageStatus": "sent"})
    forged = {name: signed.request.headers[name] for name in ("X-Twilio-Signature", "Content-Type")}
    changed = signed.request.content.replace(b"=sent", b"=delivered")
    assert changed != signed.request.content
    middle = await line.everything()
    assert middle != before
    answers = [
        await line.twilio.http.post(path, content=changed, headers=forged),
        await line.twilio.http.post(
            f"{STATUS_PATH}/{NOBODYS}", content=signed.request.content, headers=forged
        ),
        await line.twilio.http.post(
            f"{path}?to=another", content=signed.request.content, headers=forged
        ),
    ]
    assert {answer.status_code for answer in answers} == {403}
    assert await line.everything() == middle


async def test_a_json_body_is_signed_by_its_hash(line: Line) -> None:
    path = f"{STATUS_PATH}/{line.message_id}"
    told = {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": 30006}
    answer = await line.twilio.call(path, told, as_json=True)
    assert answer.status_code == 204
    assert await line.status() == "undelivered"
    sent = answer.request
    signed = {name: sent.headers[name] for name in ("X-Twilio-Signature", "Content-Type")}
    target = sent.url.raw_path.decode()
    changed = sent.content.replace(b"undelivered", b"delivered")
    forged = [
        await line.twilio.http.post(target, content=changed, headers=signed),
        await line.twilio.http.post(path, content=sent.content, headers=signed),
    ]
    assert [each.status_code for each in forged] == [403, 403]
    assert await line.status() == "undelivered"


@pytest.mark.parametrize("port", [":443", ""])
async def test_the_signature_may_name_the_usual_port_or_not(line: Line, port: str) -> None:
    path = f"{STATUS_PATH}/{line.message_id}"
    answer = await line.twilio.call(
        path,
        {"MessageSid": "SM1", "MessageStatus": "sent"},
        signed_as=f"{PUBLIC_URL}{port}{path}",
    )
    assert answer.status_code == 204


async def test_a_call_about_another_account_changes_nothing(line: Line) -> None:
    before = await line.everything()
    answer = await line.twilio.report(line.message_id, "delivered", AccountSid="AC" + "6" * 32)
    assert answer.status_code == 403
    assert await line.everything() == before


async def test_nobody_is_let_in_where_twilio_is_not_configured(
    line: Line, engine_database: Database
) -> None:
    before = await line.everything()
    async with called_by_twilio(engine_database, token=None) as twilio:
        answers = [await twilio.report(line.message_id, "delivered"), await twilio.pass_on("STOP")]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert await line.everything() == before


async def test_whoever_guesses_is_slowed_down_and_twilio_is_not(
    line: Line, engine_database: Database
) -> None:
    async with called_by_twilio(engine_database, rate="3/hour") as twilio:
        guesses = [
            await twilio.http.post(f"{STATUS_PATH}/{line.message_id}", content=b"AccountSid=x")
            for _ in range(5)
        ]
        assert [guess.status_code for guess in guesses] == [403, 403, 403, 429, 429]
        assert (await twilio.report(line.message_id, "delivered")).status_code == 204
    assert await line.status() == "delivered"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"x" * (10 * 1024 * 1024), 413),
        (b"&".join([b"a=b"] * 1_000), 403),
        (b"\xff\xfe%ED%A0%80=\x00", 403),
        (b"", 403),
    ],
)
async def test_any_body_is_answered(line: Line, content: bytes, status: int) -> None:
    before = await line.everything()
    try:
        answer = await line.twilio.http.post(f"{STATUS_PATH}/{line.message_id}", content=content)
    except httpx2.HTTPError:
        # We hang up on whoever goes on and on.
        assert status == 413
    else:
        assert answer.status_code == status
    assert await line.everything() == before


async def test_a_call_of_more_fields_than_any_message_has_is_refused(line: Line) -> None:
    many = {f"Field{number}": "1" for number in range(500)}
    answer = await line.twilio.report(line.message_id, "delivered", **many)
    assert answer.status_code == 403
    assert await line.status() == "sending"


async def test_the_catcher_reports_through_the_real_sdk(
    office: Office, engine_database: Database, phone: SmsCatcher
) -> None:
    """A message goes out by the SDK, and the catcher calls the API back as Twilio would."""
    book = Book(engine_database, office, await add_execution(office))
    message_id = await book.enter()
    await book.claim(message_id)
    port = any_free_port()
    url = f"http://127.0.0.1:{port}"
    caller = TwilioCaller(phone.account_sid, SecretStr(phone.auth_token), url)
    router = twilio_router(engine_database, caller, "1/hour")
    server = LoopbackServer(build_app(engine_database, "1/hour", routers=[router]))
    await server.start(port)
    channel = TwilioChannel(
        TwilioAccount(
            phone.account_sid,
            SecretStr(phone.auth_token),
            from_number="+15005550006",
            base_url=phone.base_url,
        )
    )
    try:
        accepted = await channel.send(
            OutgoingSms(
                message_id=message_id,
                to=THEIR_NUMBER,
                body="Thank you.",
                status_callback=status_callback_url(url, message_id),
            )
        )
        await phone.deliveries_end()
        row = await book.row(message_id)
        assert (row["status"], row["provider_id"]) == ("delivered", accepted.provider_id)
        late = Report("twilio", MessageStatus.SENT, provider_id=accepted.provider_id)
        await book.act(message_id, lambda ledger: ledger.accepted(late))
        assert (await book.row(message_id))["status"] == "delivered"
    finally:
        await channel.aclose()
        await server.stop()


def test_there_is_no_address_where_nobody_could_reach_us() -> None:
    assert status_callback_url(None, NOBODYS) is None
    assert status_callback_url(f"{PUBLIC_URL}/", NOBODYS) == f"{PUBLIC_URL}{STATUS_PATH}/{NOBODYS}"
    assert len(ACCOUNT) == 34
