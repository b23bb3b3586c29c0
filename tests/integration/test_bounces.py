"""What mail systems report is recorded and obeyed, once, whoever repeats or reorders it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import permutations
from typing import Any
from uuid import UUID

import httpx2
import pytest
from pydantic import SecretStr

from devstack.web import LoopbackServer
from fixlify.domain.ids import new_id
from fixlify.domain.rules import MessageClass
from fixlify.storage.consent import opt_in, release
from fixlify.storage.database import Database
from fixlify.storage.messages import Channel
from starter.http.app import build_app
from starter.http.bounces import EVENTS_PATH, REPORT_PATH, bounce_router
from tests.mailed import TOKEN, add_email, evidence, opt_outs, send_email, suppressions
from tests.office import Office

AT = "2026-11-17T10:00:00Z"


class MailSystem:
    """A program with the token; what it sends and gets is in the open."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def tell(self, *events: dict[str, Any]) -> dict[str, int]:
        """Report events that are as they should be; return the receipt."""
        answer = await self.post({"events": list(events)})
        assert answer.status_code == 200, answer.text
        receipt: dict[str, int] = answer.json()
        return receipt

    async def post(self, body: Any, token: str = TOKEN) -> httpx2.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(
            EVENTS_PATH,
            content=content,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )

    async def send_back(self, mail: bytes, kind: str = "message/rfc822") -> httpx2.Response:
        return await self.client.post(
            REPORT_PATH,
            content=mail,
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": kind},
        )


@asynccontextmanager
async def served(
    database: Database, token: str | None = TOKEN, rate: str = "600/minute"
) -> AsyncIterator[MailSystem]:
    router = bounce_router(database, SecretStr(token) if token else None, rate)
    server = LoopbackServer(build_app(database, rate, routers=[router]))
    port = await server.start()
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield MailSystem(client)
    finally:
        await server.stop()


@pytest.fixture
async def mail_system(engine_database: Database) -> AsyncIterator[MailSystem]:
    async with served(engine_database) as caller:
        yield caller


def event(message_id: UUID | str, kind: str, **fields: Any) -> dict[str, Any]:
    defaults = {"message_id": str(message_id), "type": kind, "recipient": "ada@example.com"}
    return defaults | {"at": AT} | fields


def hard(message_id: UUID | str, **fields: Any) -> dict[str, Any]:
    details = {"bounce": "hard", "code": "5.1.1", "reason": "550 5.1.1 User unknown"}
    return event(message_id, "bounce", **(details | fields))


def soft(message_id: UUID | str, **fields: Any) -> dict[str, Any]:
    details = {"bounce": "soft", "code": "4.2.2", "reason": "452 4.2.2 Mailbox full"}
    return event(message_id, "bounce", **(details | fields))


async def row_of(office: Office, message_id: UUID) -> dict[str, Any]:
    (row,) = await office.query("SELECT * FROM messages WHERE id = %s", message_id)
    return row


async def status_of(office: Office, message_id: UUID) -> str:
    return str((await row_of(office, message_id))["status"])


@pytest.mark.parametrize("name", ["{id}", "<{id}@fixlify.example>", "{id}@fixlify.example"])
async def test_a_hard_bounce_is_recorded_and_the_address_gets_no_more(
    mail_system: MailSystem, office: Office, engine_database: Database, name: str
) -> None:
    message_id = await send_email(office, engine_database)
    receipt = await mail_system.tell(hard(name.format(id=message_id)))
    assert receipt == {"recorded": 1, "unchanged": 0, "ignored": 0}
    row = await row_of(office, message_id)
    assert (row["status"], row["error_code"]) == ("bounced", "5.1.1")
    assert row["reason"] == "550 5.1.1 User unknown"
    assert await suppressions(office, engine_database) == [
        ("ada@example.com", "bounced: 5.1.1", "bounce")
    ]
    (last,) = await office.query(
        "SELECT to_status, cause, error_code FROM message_transitions WHERE message_id = %s "
        "ORDER BY id DESC LIMIT 1",
        message_id,
    )
    assert (last["to_status"], last["error_code"]) == ("bounced", "5.1.1")
    again = await send_email(office, engine_database, message_class=MessageClass.TRANSACTIONAL)
    assert await status_of(office, again) == "suppressed"


async def test_a_soft_bounce_is_recorded_and_the_address_is_written_to_again(
    mail_system: MailSystem, office: Office, engine_database: Database
) -> None:
    message_id = await send_email(office, engine_database)
    await mail_system.tell(soft(message_id))
    assert await status_of(office, message_id) == "undelivered"
    assert await suppressions(office, engine_database) == []


async def test_a_delivery_is_recorded(
    mail_system: MailSystem, office: Office, engine_database: Database
) -> None:
    message_id = await send_email(office, engine_database)
    await mail_system.tell(event(message_id, "delivered"))
    row = await row_of(office, message_id)
    assert row["status"] == "delivered"
    assert row["delivered_at"] is not None


async def test_a_complaint_opts_out_of_marketing_and_keeps_the_evidence(
    mail_system: MailSystem, office: Office, engine_database: Database
) -> None:
    message_id = await send_email(office, engine_database)
    client_id = office.newest_client_id
    assert client_id is not None
    await mail_system.tell(event(message_id, "complaint"))
    assert await status_of(office, message_id) == "delivered"
    assert await opt_outs(office, engine_database, client_id) == [
        (MessageClass.MARKETING, "complaint")
    ]
    (kept,) = await evidence(office)
    assert (kept["wants"], kept["source"], kept["client_id"]) == (False, "complaint", client_id)
    assert kept["evidence"] == {"message_id": str(message_id)}
    assert kept["said_at"].isoformat() == "2026-11-17T10:00:00+00:00"


async def test_a_complaint_of_nobodys_address_suppresses_it(
    mail_system: MailSystem, office: Office, engine_database: Database
) -> None:
    message_id = await send_email(
        office,
        engine_database,
        recipient="press@example.org",
        recipient_kind="address",
        recipient_id=None,
    )
    await mail_system.tell(event(message_id, "complaint", recipient="Press@example.org"))
    assert await suppressions(office, engine_database) == [
        ("press@example.org", "called it spam", "complaint")
    ]


async def test_in_whatever_order_and_however_often_it_comes_to_the_same(
    mail_system: MailSystem, office: Office, engine_database: Database
) -> None:
    for order in permutations(("delivered", "soft", "hard", "complaint")):
        message_id = await send_email(office, engine_database)
        client_id = office.newest_client_id
        assert client_id is not None
        told = {
            "delivered": event(message_id, "delivered"),
            "soft": soft(message_id),
            "hard": hard(message_id),
            "complaint": event(message_id, "complaint"),
        }
        for each in (*order, *order):
            await mail_system.tell(told[each])
        assert await status_of(office, message_id) == "bounced", order
        assert len(await suppressions(office, engine_database)) == 1
        assert len(await opt_outs(office, engine_database, client_id)) == 1
        assert len(await evidence(office)) == 1
        await office.query("DELETE FROM suppressions")
        await office.query("DELETE FROM client_opt_outs")
        await office.query("DELETE FROM consent_records")


async def test_an_old_report_told_again_takes_back_nothing_that_was_said_since(
    mail_system: MailSystem, office: Office, engine_database: Database
) -> None:
    message_id = await send_email(office, engine_database)
    client_id = office.newest_client_id
    assert client_id is not None
    events = (event(message_id, "complaint"), hard(message_id))
    await mail_system.tell(*events)
    async with engine_database.transaction() as connection:
        about = (connection, office.organization_id)
        await opt_in(*about, client_id, Channel.EMAIL, message_class=MessageClass.MARKETING)
        await release(*about, Channel.EMAIL, "ada@example.com")
    assert (await mail_system.tell(*events))["unchanged"] == 2
    assert await opt_outs(office, engine_database, client_id) == []
    assert await suppressions(office, engine_database) == []


async def test_a_report_about_another_address_suppresses_and_opts_out_nobody(
    mail_system: MailSystem, office: Office, engine_database: Database
) -> None:
    victim = await office.add_client(email="bob@example.com")
    message_id = await send_email(office, engine_database)
    client_id = office.newest_client_id
    assert client_id is not None
    for wrong in ("bob@example.com", "ada@example.org", "", "nobody", "\ud800@example.com"):
        for each in (hard, lambda it, **rest: event(it, "complaint", **rest)):
            answer = await mail_system.post({"events": [each(message_id, recipient=wrong)]})
            assert answer.status_code in (200, 422)
    assert await suppressions(office, engine_database) == []
    for each_client in (victim, client_id):
        assert await opt_outs(office, engine_database, each_client) == []
    # That it did not arrive is taken for true all the same, and what its own address says counts.
    assert await status_of(office, message_id) in ("undelivered", "delivered")
    await mail_system.tell(hard(message_id, recipient="<ADA@Example.com>"))
    assert await status_of(office, message_id) == "bounced"
    assert len(await suppressions(office, engine_database)) == 1


@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [
        ("5.1.1", None, "bounced"),
        ("5.2.2", "mailbox full", "undelivered"),
        (None, "550 no such user", "bounced"),
        (None, None, "undelivered"),
    ],
)
async def test_where_nobody_says_how_hard_it_bounced_the_code_does(
    mail_system: MailSystem,
    office: Office,
    engine_database: Database,
    code: str | None,
    reason: str | None,
    status: str,
) -> None:
    message_id = await send_email(office, engine_database)
    await mail_system.tell(event(message_id, "bounce", code=code, reason=reason))
    assert await status_of(office, message_id) == status


async def test_what_is_about_no_email_of_ours_is_accepted_and_ignored(
    mail_system: MailSystem, office: Office, engine_database: Database
) -> None:
    text = await add_email(office, engine_database, channel=Channel.SMS, recipient="+12125550123")
    receipt = await mail_system.tell(
        hard(new_id()), hard("<4711@elsewhere.example>"), hard(text), event("x", "complaint")
    )
    assert receipt == {"recorded": 0, "unchanged": 0, "ignored": 4}
    assert await status_of(office, text) == "queued"
    assert await suppressions(office, engine_database) == []


async def test_an_email_that_was_never_sent_has_nothing_to_report(
    mail_system: MailSystem, office: Office, engine_database: Database
) -> None:
    message_id = await add_email(office, engine_database)
    assert (await mail_system.tell(hard(message_id)))["unchanged"] == 1
    assert await status_of(office, message_id) == "queued"
    assert await suppressions(office, engine_database) == []


@pytest.mark.parametrize("token", ["x", "wrong", TOKEN + "x", "\u00e9"])
async def test_without_the_token_nothing_changes(
    mail_system: MailSystem, office: Office, engine_database: Database, token: str
) -> None:
    message_id = await send_email(office, engine_database)
    headers = {b"Authorization": f"Bearer {token}".encode()}
    for path in (EVENTS_PATH, REPORT_PATH):
        answer = await mail_system.client.post(path, headers=headers, content=b"{}")
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
        assert "FIXLIFY_CALLBACK_TOKEN" in answer.json()["detail"]
    assert (await mail_system.client.post(EVENTS_PATH)).status_code == 401
    assert (await mail_system.post({"events": [hard(message_id)]}, token="no")).status_code == 403
    assert await status_of(office, message_id) == "sent"


async def test_where_no_token_is_set_nobody_is_let_in(
    office: Office, engine_database: Database
) -> None:
    message_id = await send_email(office, engine_database)
    async with served(engine_database, token=None) as mail_system:
        for token in (TOKEN, "x", "None"):
            answer = await mail_system.post({"events": [hard(message_id)]}, token=token)
            assert answer.status_code == 403
    assert await status_of(office, message_id) == "sent"


async def test_who_guesses_tokens_is_slowed_down_and_the_right_one_is_not(
    office: Office, engine_database: Database
) -> None:
    async with served(engine_database, rate="2/minute") as mail_system:
        guesses = [(await mail_system.post({}, token="x")).status_code for _ in range(3)]
        assert guesses == [403, 403, 429]
        await mail_system.tell(hard(new_id()))


@pytest.mark.parametrize(
    ("body", "status", "pointer", "detail"),
    [
        (b"{", 400, None, "is not JSON"),
        ({}, 422, "/events", "is missing"),
        ({"events": []}, 422, "/events", "must not be empty"),
        ({"events": [{}]}, 422, "/events/0/message_id", "is missing"),
        ({"events": [event("x", "opened")]}, 422, "/events/0/type", "unknown value"),
        ({"events": [event("x", "bounce", bounced="hard")]}, 422, "/events/0/bounced", "'bounce'"),
        ({"events": [hard("x", code="550")]}, 422, "/events/0/code", "pattern"),
        ({"events": [hard("x", at="yesterday")]}, 422, "/events/0/at", "datetime"),
        ({"events": [hard("x", at="2026-11-17T10:00:00")]}, 422, "/events/0/at", "timezone"),
        ({"events": [hard("x")] * 1_001}, 422, "/events", "1000 at most"),
        (b'{"events": "' + b"x" * 1_100_000 + b'"}', 413, None, "larger than a megabyte"),
    ],
)
async def test_a_body_that_is_not_as_described_is_explained(
    mail_system: MailSystem, body: Any, status: int, pointer: str | None, detail: str
) -> None:
    answer = await mail_system.post(body)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    if pointer is None:
        assert detail in problem["detail"]
    else:
        found = problem["errors"][0]
        assert found["pointer"] == pointer
        assert detail in found["detail"]


async def test_one_wrong_event_keeps_the_others_from_being_recorded(
    mail_system: MailSystem, office: Office, engine_database: Database
) -> None:
    message_id = await send_email(office, engine_database)
    answer = await mail_system.post({"events": [hard(message_id), {"type": "bounce"}]})
    assert answer.status_code == 422
    assert await status_of(office, message_id) == "sent"


@pytest.mark.parametrize("at", [None, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
async def test_a_clock_that_is_far_off_changes_nothing_else(
    mail_system: MailSystem, office: Office, engine_database: Database, at: str | None
) -> None:
    message_id = await send_email(office, engine_database)
    await mail_system.tell(event(message_id, "complaint", at=at), hard(message_id, at=at))
    assert await status_of(office, message_id) == "bounced"
    (kept,) = await office.query("SELECT said_at <= clock_timestamp() AS past FROM consent_records")
    assert kept["past"]


async def test_words_that_no_database_takes_are_left_out(
    mail_system: MailSystem, office: Office, engine_database: Database
) -> None:
    message_id = await send_email(office, engine_database)
    await mail_system.tell(soft(message_id, reason="a\x00b\r\n\u202ec" + "d" * 5_000))
    reason = (await row_of(office, message_id))["reason"]
    assert reason.startswith("a b c")
    assert len(reason) == 300


def returned(message_id: UUID, action: str = "failed", status: str = "5.1.1") -> bytes:
    """Return the mail that a server sends back."""
    return f"""Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Sorry.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; ada@example.com
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} no

--b
Content-Type: text/rfc822-headers

Message-ID: <{message_id}@fixlify.example>
X-Fixlify-Message-Id: {message_id}

--b--
""".encode()


@pytest.mark.parametrize(
    ("action", "code", "status", "count"),
    [
        ("failed", "5.1.1", "bounced", 1),
        ("failed", "5.7.1", "undelivered", 0),
        ("failed", "4.4.7", "undelivered", 0),
        ("delivered", "2.0.0", "delivered", 0),
        ("delayed", "4.4.1", "sent", 0),
        ("relayed", "2.0.0", "sent", 0),
        ("expanded", "2.0.0", "sent", 0),
    ],
)
async def test_mail_that_comes_back_is_understood(
    mail_system: MailSystem,
    office: Office,
    engine_database: Database,
    action: str,
    code: str,
    status: str,
    count: int,
) -> None:
    message_id = await send_email(office, engine_database)
    for _ in range(2):
        answer = await mail_system.send_back(returned(message_id, action, code))
        assert answer.status_code == 200, answer.text
    assert await status_of(office, message_id) == status
    assert len(await suppressions(office, engine_database)) == count


@pytest.mark.parametrize(
    ("mail", "kind", "status"),
    [
        (b"Subject: Hello\n\nHow are you?", "message/rfc822", 200),
        (b"", "message/rfc822", 200),
        (b"\xff\x00" * 1_000, "message/rfc822", 200),
        (returned(UUID(int=1)), "text/plain", 415),
        (b"x" * 1_100_000, "message/rfc822", 413),
    ],
)
async def test_mail_that_reports_nothing_changes_nothing(
    mail_system: MailSystem, mail: bytes, kind: str, status: int
) -> None:
    answer = await mail_system.send_back(mail, kind)
    assert answer.status_code == status
    if status == 200:
        assert answer.json() == {"recorded": 0, "unchanged": 0, "ignored": 0}
