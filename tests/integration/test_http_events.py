"""Other programs report events over HTTP: with a key, under limits, each once, all or none."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import psycopg
import pytest
import structlog

from devstack.postgres import EmbeddedPostgres
from devstack.web import LoopbackServer
from fixlify.domain.api_keys import key_hash, new_key
from fixlify.logs import configure_logging
from fixlify.storage.api_keys import create_api_key
from fixlify.storage.database import Database
from starter.http.app import build_app
from starter.http.bodies import MAX_BODY
from tests.engine import eventually
from tests.office import Office

NOW = datetime(2026, 3, 14, 9, 12, tzinfo=UTC)
EVENTS = "/api/v1/events"
OPENED = {"name": "shop.opened"}


class Caller:
    """A program with a key; what it sends and gets is in the open."""

    def __init__(self, client: httpx2.AsyncClient, key: str) -> None:
        self.client = client
        self.key = key

    async def report(self, body: Any, **headers: str) -> httpx2.Response:
        """Send *body*, as it is where it is bytes."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(
            EVENTS,
            content=content,
            headers={
                "Authorization": f"Bearer {self.key}",
                "Content-Type": "application/json",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )


@asynccontextmanager
async def served(database: Database, rate: str = "600/minute") -> AsyncIterator[httpx2.AsyncClient]:
    server = LoopbackServer(build_app(database, rate, now=lambda: NOW))
    port = await server.start()
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        await server.stop()


async def key_of(office: Office, database: Database, name: str = "website") -> str:
    key = new_key()
    async with database.organization(office.organization_id) as connection:
        assert await create_api_key(
            connection, office.organization_id, name, key.prefix, key_hash(key.text)
        )
    return key.text


@contextmanager
def logged(level: str) -> Iterator[None]:
    """Log as a process does, to standard error; afterwards as tests do."""
    before = structlog.get_config()
    root, level_before = logging.getLogger(), logging.getLogger().level
    handlers = root.handlers[:]
    configure_logging(level)
    # The client of these tests would show its own headers.
    for ours in ("httpx2", "httpcore2"):
        logging.getLogger(ours).setLevel(logging.WARNING)
    try:
        yield
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level_before)


@pytest.fixture
async def key(office: Office, app_database: Database) -> str:
    return await key_of(office, app_database)


@pytest.fixture
async def caller(engine_database: Database, key: str) -> AsyncIterator[Caller]:
    async with served(engine_database) as client:
        yield Caller(client, key)


def problem(response: httpx2.Response, status: int) -> dict[str, Any]:
    """Return the problem a response is, which must be one in every respect."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    details: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "instance"} <= details.keys()
    assert details["status"] == status
    return details


async def run_sql(server: EmbeddedPostgres, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(
        server.dsn("postgres"), autocommit=True
    ) as connection:
        await connection.execute(statement.encode())


async def custom_events(office: Office) -> list[dict[str, Any]]:
    return [each for each in await office.events() if each["event_type"] == "custom"]


class TestAnEvent:
    async def test_is_recorded_about_what_it_names(self, caller: Caller, office: Office) -> None:
        await office.add_job("J-2019")
        response = await caller.report(
            {
                "name": "review.submitted",
                "subject": {"type": "job", "id": "J-2019"},
                "data": {"stars": 5, "text": "Grüße 👍", "paid": True, "tip": 2.5, "note": None},
                "id": "review-1",
                "occurred_at": "2026-03-14T08:00:00.25+01:00",
            }
        )
        assert response.status_code == 202
        (row,) = await custom_events(office)
        assert response.json() == {
            "accepted": 1,
            "duplicates": 0,
            "events": [{"id": str(row["id"]), "status": "accepted"}],
        }
        assert row["subject_type"] == "job"
        assert row["subject_id"] == "J-2019"
        assert row["source_key"] == "review-1"
        assert row["occurred_at"] == datetime(2026, 3, 14, 7, 0, 0, 250_000, tzinfo=UTC)
        assert row["data"] == {
            "name": "review.submitted",
            "data": {"stars": 5, "text": "Grüße 👍", "paid": True, "tip": 2.5, "note": None},
        }
        assert row["processed_at"] is None

    async def test_that_names_nothing_is_about_the_organization(
        self, caller: Caller, office: Office
    ) -> None:
        assert (await caller.report(OPENED)).status_code == 202
        (row,) = await custom_events(office)
        assert (row["subject_type"], row["subject_id"]) == (
            "organization",
            str(office.organization_id),
        )
        assert row["source_key"] is None

    async def test_wakes_the_relays(self, caller: Caller, office: Office) -> None:
        async with await psycopg.AsyncConnection.connect(office.url, autocommit=True) as listener:
            await listener.execute("LISTEN automation_events")
            await caller.report({"events": [OPENED, OPENED]})
            heard = [notify async for notify in listener.notifies(timeout=10, stop_after=1)]
        assert [notify.payload for notify in heard] == [""]

    @pytest.mark.parametrize("kind", ["client", "estimate", "invoice", "payment", "task"])
    async def test_may_be_about_everything_a_company_has(
        self, kind: str, caller: Caller, office: Office
    ) -> None:
        row = await office.insert(f"{kind}s", organization_id=office.organization_id)
        # However the id is spelled, it is recorded as the table has it.
        response = await caller.report(
            {"name": "seen", "subject": {"type": kind, "id": str(row["id"]).upper()}}
        )
        assert response.status_code == 202
        (event,) = await custom_events(office)
        assert (event["subject_type"], event["subject_id"]) == (kind, str(row["id"]))


class TestABatch:
    async def test_of_a_thousand_is_recorded_in_its_order(
        self, caller: Caller, office: Office
    ) -> None:
        await office.add_job("J-1")
        events = [
            {"name": f"n{place}", "subject": {"type": "job", "id": "J-1"}}
            | ({"id": f"id-{place}"} if place % 3 else {})
            for place in range(1000)
        ]
        response = await caller.report({"events": events})
        assert response.status_code == 202
        rows = await custom_events(office)
        assert [row["data"]["name"] for row in rows] == [event["name"] for event in events]
        assert response.json()["events"] == [
            {"id": str(row["id"]), "status": "accepted"} for row in rows
        ]

    async def test_with_one_bad_event_records_nothing_and_tells_every_problem(
        self, caller: Caller, office: Office
    ) -> None:
        response = await caller.report(
            {
                "events": [
                    OPENED,
                    {"name": "Shop Opened"},
                    {"nmae": "shop.opened", "data": {"Über": 1, "a": [1], "a~b/c": 1}},
                ]
            }
        )
        details = problem(response, 422)
        assert details["type"] == "urn:fixlify:problem:invalid-events"
        assert details["instance"] == EVENTS
        found = {each["pointer"]: each["detail"] for each in details["errors"]}
        assert set(found) == {
            "/events/1/name",
            "/events/2/name",
            "/events/2/nmae",
            "/events/2/data/Über",
            "/events/2/data/a",
            "/events/2/data/a~0b~1c",
        }
        assert found["/events/2/nmae"] == "unknown key 'nmae'; did you mean 'name'?"
        assert await custom_events(office) == []

    async def test_tells_at_most_fifty_problems(self, caller: Caller) -> None:
        details = problem(await caller.report({"events": [{}] * 1000}), 422)
        assert len(details["errors"]) == 50

    async def test_of_more_than_a_thousand_is_too_large(self, caller: Caller) -> None:
        assert "1001" in problem(await caller.report({"events": [OPENED] * 1001}), 413)["detail"]


class TestASubject:
    @pytest.mark.parametrize(
        ("kind", "subject_id"),
        [
            ("job", "J-404"),
            ("client", str(UUID(int=404))),
            ("client", "not-a-uuid"),
            ("invoice", "'; DROP TABLE invoices --"),
            ("organization", str(UUID(int=404))),
        ],
    )
    async def test_that_does_not_exist_is_refused_by_its_place(
        self, kind: str, subject_id: str, caller: Caller, office: Office
    ) -> None:
        subject = {"type": kind, "id": subject_id}
        response = await caller.report({"events": [OPENED, {"name": "a", "subject": subject}]})
        (error,) = problem(response, 422)["errors"]
        assert error["pointer"] == "/events/1/subject/id"
        assert await custom_events(office) == []

    async def test_of_another_organization_does_not_exist(
        self, caller: Caller, office: Office
    ) -> None:
        async with await Office.open(office.url, "Southwind") as other:
            await other.add_job("J-7")
            client = other.newest_client_id
            for subject in (
                {"type": "job", "id": "J-7"},
                {"type": "client", "id": str(client)},
                {"type": "organization", "id": str(other.organization_id)},
            ):
                problem(await caller.report({"name": "a", "subject": subject}), 422)

    async def test_cannot_be_a_text_message(self, caller: Caller) -> None:
        body = {"name": "a", "subject": {"type": "sms", "id": "1"}}
        (error,) = problem(await caller.report(body), 422)["errors"]
        assert error["pointer"] == "/subject/type"


class TestTheSameIdAgain:
    async def test_is_recorded_once_for_ever(self, caller: Caller, office: Office) -> None:
        first = (await caller.report({"name": "a", "id": "x"})).json()
        second = await caller.report({"events": [{"name": "b", "id": "x"}, {"name": "c"}]})
        assert second.status_code == 202
        assert second.json()["accepted"] == 1
        assert second.json()["duplicates"] == 1
        assert second.json()["events"][0] == {
            "id": first["events"][0]["id"],
            "status": "duplicate",
        }
        assert [row["data"]["name"] for row in await custom_events(office)] == ["a", "c"]

    async def test_is_a_duplicate_within_one_batch(self, caller: Caller, office: Office) -> None:
        body = {"events": [{"name": "a", "id": "x"}, {"name": "b", "id": "x"}]}
        events = (await caller.report(body)).json()["events"]
        assert [each["status"] for each in events] == ["accepted", "duplicate"]
        assert events[0]["id"] == events[1]["id"]
        (row,) = await custom_events(office)
        assert row["data"]["name"] == "a"

    async def test_is_another_event_in_another_organization(
        self, caller: Caller, office: Office, app_database: Database
    ) -> None:
        async with await Office.open(office.url, "Southwind") as other:
            neighbour = Caller(caller.client, await key_of(other, app_database))
            for either in (neighbour, caller):
                assert (await either.report({"name": "a", "id": "x"})).json()["accepted"] == 1
            again = (await neighbour.report({"name": "a", "id": "x"})).json()
            (row,) = await custom_events(other)
            assert again["events"] == [{"id": str(row["id"]), "status": "duplicate"}]
        assert len(await custom_events(office)) == 1

    async def test_by_many_at_once_and_in_any_order_is_still_recorded_once(
        self, caller: Caller, office: Office
    ) -> None:
        """Batches that cross each other would wait for each other for ever."""
        events = [{"name": "a", "id": f"id-{place}"} for place in range(200)]
        answers = await asyncio.gather(
            *(
                caller.report({"events": events[::step] + events[::-step]})
                for step in (1, -1, 1, -1)
            )
        )
        assert {answer.status_code for answer in answers} == {202}
        assert sum(answer.json()["accepted"] for answer in answers) == 200
        assert len(await custom_events(office)) == 200


class TestTime:
    @pytest.mark.parametrize(
        ("age", "word"),
        [
            (timedelta(days=7, seconds=1), "7 days ago"),
            (timedelta(minutes=-5, seconds=-1), "in the future"),
        ],
    )
    async def test_out_of_the_window_is_refused_with_the_reason(
        self, age: timedelta, word: str, caller: Caller
    ) -> None:
        response = await caller.report({"name": "a", "occurred_at": (NOW - age).isoformat()})
        (error,) = problem(response, 422)["errors"]
        assert error["pointer"] == "/occurred_at"
        assert word in error["detail"]

    @pytest.mark.parametrize("age", [timedelta(days=7), timedelta(minutes=-5)])
    async def test_at_the_edge_of_the_window_is_taken(self, age: timedelta, caller: Caller) -> None:
        response = await caller.report({"name": "a", "occurred_at": (NOW - age).isoformat()})
        assert response.status_code == 202

    async def test_of_any_offset_is_taken(self, caller: Caller, office: Office) -> None:
        """Postgres itself reads none of 16 hours or more."""
        for offset in ("+23:59", "-23:59"):
            local = NOW.astimezone(datetime.fromisoformat(f"2026-01-01T00:00:00{offset}").tzinfo)
            assert local.isoformat().endswith(offset)
            response = await caller.report({"name": "a", "occurred_at": local.isoformat()})
            assert response.status_code == 202
        assert {row["occurred_at"] for row in await custom_events(office)} == {NOW}

    @pytest.mark.parametrize(
        "occurred_at",
        ["2026-03-14T09:12:00", "2026-03-14", "1773479520", 1773479520, "2026-02-30T00:00:00Z"],
    )
    async def test_without_date_time_and_offset_is_refused(
        self, occurred_at: Any, caller: Caller
    ) -> None:
        response = await caller.report({"name": "a", "occurred_at": occurred_at})
        (error,) = problem(response, 422)["errors"]
        assert error["pointer"] == "/occurred_at"


class TestAKey:
    @pytest.mark.parametrize(
        "authorization",
        [
            None,
            "Bearer",
            "Bearer hunter2",
            "Basic dXNlcjpwYXNz",
            f"Bearer fx_live_00000000_{'0' * 48}",
            "Bearer fx_live_00000000_" + "0" * 10_000,
        ],
    )
    async def test_that_is_none_is_refused(
        self, authorization: str | None, caller: Caller, office: Office
    ) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        response = await caller.client.post(EVENTS, json=OPENED, headers=headers)
        problem(response, 401)
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert await custom_events(office) == []

    async def test_that_was_revoked_is_refused_at_once(
        self, caller: Caller, office: Office
    ) -> None:
        assert (await caller.report(OPENED)).status_code == 202
        await office.query("UPDATE api_keys SET revoked_at = now()")
        problem(await caller.report(OPENED), 401)

    async def test_remembers_when_it_was_last_used_to_the_minute(
        self, caller: Caller, office: Office
    ) -> None:
        used = "SELECT last_used_at FROM api_keys"
        assert await office.query(used) == [{"last_used_at": None}]
        await caller.report(OPENED)
        (first,) = await office.query(used)
        await caller.report(OPENED)
        assert await office.query(used) == [first]
        await office.query("UPDATE api_keys SET last_used_at = now() - interval '2 minutes'")
        await caller.report(OPENED)
        (later,) = await office.query(used)
        assert later["last_used_at"] > first["last_used_at"]

    async def test_is_kept_as_a_hash(self, key: str, office: Office) -> None:
        rows = await office.query("SELECT api_keys::text AS row FROM api_keys")
        assert key not in rows[0]["row"]
        assert key.rpartition("_")[2] not in rows[0]["row"]

    async def test_is_in_no_log_line_nor_is_what_was_sent(
        self, caller: Caller, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with logged("debug"):
            for body in ({"name": "a", "data": {"who": "Ada Byron"}}, {"name": "Ada Byron"}):
                await caller.report(body, Idempotency_Key="Ada-Byron")
            problem(await Caller(caller.client, new_key().text).report(OPENED), 401)
        said = capfd.readouterr()
        assert said.out == ""
        assert "Events were reported." in said.err
        assert "fx_live" not in said.err
        assert "Byron" not in said.err


class TestAnIdempotencyKey:
    async def test_gives_the_same_answer_again(self, caller: Caller, office: Office) -> None:
        first = await caller.report(OPENED, Idempotency_Key="k-1")
        again = await caller.report(OPENED, Idempotency_Key="k-1")
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.content == again.content
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"
        assert len(await custom_events(office)) == 1

    async def test_for_another_body_is_refused(self, caller: Caller, office: Office) -> None:
        await caller.report(OPENED, Idempotency_Key="k-1")
        details = problem(await caller.report({"name": "other"}, Idempotency_Key="k-1"), 422)
        assert details["type"] == "urn:fixlify:problem:idempotency-key-reused"
        assert len(await custom_events(office)) == 1

    async def test_of_a_refused_request_may_be_used_again(self, caller: Caller) -> None:
        problem(await caller.report({"name": "Bad Name"}, Idempotency_Key="k-1"), 422)
        assert (await caller.report(OPENED, Idempotency_Key="k-1")).status_code == 202

    async def test_answers_also_when_the_event_has_become_too_old(
        self, caller: Caller, engine_database: Database, key: str
    ) -> None:
        body = {"name": "a", "occurred_at": NOW.isoformat()}
        first = await caller.report(body, Idempotency_Key="k-1")
        much_later = build_app(engine_database, "600/minute", now=lambda: NOW + timedelta(days=8))
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(much_later), base_url="http://test"
        ) as client:
            again = await Caller(client, key).report(body, Idempotency_Key="k-1")
        assert again.content == first.content

    async def test_belongs_to_one_organization(
        self, caller: Caller, office: Office, app_database: Database
    ) -> None:
        async with await Office.open(office.url, "Southwind") as other:
            neighbour = Caller(caller.client, await key_of(other, app_database))
            await caller.report(OPENED, Idempotency_Key="k-1")
            answer = await neighbour.report({"name": "other"}, Idempotency_Key="k-1")
        assert answer.status_code == 202
        assert "idempotency-replayed" not in answer.headers

    async def test_used_by_many_at_once_records_once(self, caller: Caller, office: Office) -> None:
        answers = await asyncio.gather(
            *(caller.report(OPENED, Idempotency_Key="k-1") for _ in range(20))
        )
        assert {answer.status_code for answer in answers} <= {202, 409}
        assert len({answer.content for answer in answers if answer.status_code == 202}) == 1
        assert len(await custom_events(office)) == 1

    async def test_that_another_request_holds_is_a_conflict(
        self, caller: Caller, office: Office, database_url: str
    ) -> None:
        async with await psycopg.AsyncConnection.connect(database_url) as other:
            await other.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
                [f"api_requests/{office.organization_id}/k-1"],
            )
            response = await caller.report(OPENED, Idempotency_Key="k-1")
            problem(response, 409)
            assert response.headers["retry-after"] == "1"
        assert await custom_events(office) == []

    async def test_is_free_again_after_a_day(self, caller: Caller, office: Office) -> None:
        await caller.report(OPENED, Idempotency_Key="k-1")
        await office.query("UPDATE api_requests SET created_at = now() - interval '25 hours'")
        answer = await caller.report({"name": "other"}, Idempotency_Key="k-1")
        assert answer.status_code == 202
        assert len(await custom_events(office)) == 2

    @pytest.mark.parametrize("value", ["", "x" * 201, "a b", "\x80"])
    async def test_that_is_no_visible_ascii_is_refused(self, value: str, caller: Caller) -> None:
        response = await caller.client.post(
            EVENTS,
            json=OPENED,
            headers=[
                (b"Authorization", f"Bearer {caller.key}".encode()),
                (b"Idempotency-Key", value.encode("latin-1")),
            ],
        )
        assert "Idempotency-Key" in problem(response, 422)["detail"]


class TestABody:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"\xff\xfe",
            b'{"name": "a", "name": "b"}',
            b'{"name": "a", "data": {"x": NaN}}',
            b"[" * MAX_BODY,
            b'{"a":' * (MAX_BODY // 5),
        ],
    )
    async def test_that_is_no_json_is_refused(self, body: bytes, caller: Caller) -> None:
        problem(await caller.report(body), 400)

    @pytest.mark.parametrize(
        "body",
        [
            b"null",
            b"[]",
            b"9" * MAX_BODY,
            b'{"events": []}',
            b'{"events": {}}',
            b'{"events": [{"name": "a"}], "name": "a"}',
            b'{"name": "a", "data": {"x": 1e400}}',
            b'{"name": "a", "data": {"x": ' + b"9" * 5000 + b"}}",
            b'{"name": "a", "data": {"x": "\\u0000"}}',
            b'{"name": "a", "data": {"x": "\\ud800"}}',
            b'{"name": "a\\n"}',
            b'{"name": "\\ud800"}',
            b'{"name": "a", "id": "\\ud800"}',
            b'{"name": "a", "id": ""}',
            b'{"\\ud800": 1}',
            b'{"name": "a", "data": {"\\ud800": 1}}',
            b'{"events": [{"name": "a"}], "\\ud800": 1}',
            b'{"name": "a", "subject": {"type": "\\ud800", "id": "\\ud800"}}',
            json.dumps({"name": "a", "data": {f"k{n}": n for n in range(51)}}).encode(),
            json.dumps({f"k{n}": n for n in range(60_000)}).encode(),
            json.dumps({"k" * 1_000_000: 1}).encode(),
            json.dumps({"name": "a", "subject": {"type": "x" * 1_000_000, "id": "1"}}).encode(),
        ],
        ids=lambda body: repr(body[:40]),
    )
    async def test_that_says_something_else_is_refused(
        self, body: bytes, caller: Caller, office: Office
    ) -> None:
        response = await caller.report(body)
        problem(response, 422)
        assert len(response.content) < 10_000
        assert await custom_events(office) == []

    @pytest.mark.parametrize("length", [MAX_BODY + 1, 5 * MAX_BODY])
    async def test_of_more_than_a_megabyte_is_too_large(self, length: int, caller: Caller) -> None:
        problem(await caller.report(b" " * length), 413)

    async def test_of_a_megabyte_is_not(self, caller: Caller) -> None:
        body = json.dumps(OPENED).encode()
        assert (await caller.report(body.ljust(MAX_BODY))).status_code == 202

    async def test_that_never_says_how_long_it_is_is_read_no_further_than_allowed(
        self, caller: Caller
    ) -> None:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 64 * MAX_BODY:
                sent += 65_536
                yield b" " * 65_536

        try:
            response = await caller.client.post(
                EVENTS,
                content=endless(),
                headers={
                    "Authorization": f"Bearer {caller.key}",
                    "Content-Type": "application/json",
                },
            )
            problem(response, 413)
        except httpx2.NetworkError:
            pass  # it hung up on us in the middle of a word, which is an answer too
        assert sent < 32 * MAX_BODY

    @pytest.mark.parametrize("charset", ["utf-8", '"UTF-8"', "utf8"])
    async def test_may_say_in_any_way_that_it_is_utf_8(self, charset: str, caller: Caller) -> None:
        content_type = f"application/json; charset={charset}"
        assert (await caller.report(OPENED, Content_Type=content_type)).status_code == 202

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/x-www-form-urlencoded"},
            {"Content-Type": "application/json; charset=utf-16"},
            {"Content-Type": ""},
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        ],
    )
    async def test_of_another_kind_is_refused(
        self, headers: dict[str, str], caller: Caller
    ) -> None:
        response = await caller.client.post(
            EVENTS,
            content=json.dumps(OPENED),
            headers={"Authorization": f"Bearer {caller.key}", **headers},
        )
        problem(response, 415)


class TestARateLimit:
    async def test_holds_for_each_key_and_says_when_to_come_back(
        self, engine_database: Database, app_database: Database, office: Office, key: str
    ) -> None:
        async with served(engine_database, "2/hour") as client:
            caller = Caller(client, key)
            for _ in range(2):
                assert (await caller.report(OPENED)).status_code == 202
            refused = await caller.report(OPENED)
            problem(refused, 429)
            assert 3500 < int(refused.headers["retry-after"]) <= 3600
            other = Caller(client, await key_of(office, app_database, "other"))
            assert (await other.report(OPENED)).status_code == 202

    async def test_holds_for_an_address_without_a_key_and_spares_the_good_ones_there(
        self, engine_database: Database, key: str
    ) -> None:
        async with served(engine_database, "2/hour") as client:
            caller = Caller(client, key)
            assert (await caller.report(OPENED)).status_code == 202
            for _ in range(2):
                problem(await Caller(client, new_key().text).report(OPENED), 401)
            problem(await Caller(client, new_key().text).report(OPENED), 429)
            problem(await client.post(EVENTS, json=OPENED), 429)
            assert (await caller.report(OPENED)).status_code == 202

    async def test_holds_for_questions_of_health_apart_from_everything_else(
        self, engine_database: Database, key: str
    ) -> None:
        """A balancer behind the same proxy as a guesser goes on hearing how the service is."""
        async with served(engine_database, "2/hour") as client:
            for _ in range(2):
                problem(await Caller(client, new_key().text).report(OPENED), 401)
            for _ in range(2):
                assert (await client.get("/api/v1/health")).status_code == 200
            problem(await client.get("/api/v1/health"), 429)
        async with served(engine_database, "1/hour") as client:
            assert (await client.get("/api/v1/health")).status_code == 200
            assert (await Caller(client, key).report(OPENED)).status_code == 202

    async def test_keeps_guesses_away_from_the_database(
        self, engine_database: Database, office: Office
    ) -> None:
        async with served(engine_database, "1/hour") as client:
            problem(await Caller(client, new_key().text).report(OPENED), 401)
            await office.query("ALTER TABLE api_keys RENAME TO out_of_sight")
            problem(await Caller(client, new_key().text).report(OPENED), 429)


class TestTheService:
    async def test_is_healthy_while_its_database_answers(self, caller: Caller) -> None:
        response = await caller.client.get("/api/v1/health")
        assert (response.status_code, response.json()) == (200, {"status": "ok"})

    async def test_turns_requests_away_while_the_database_is_gone(
        self, caller: Caller, office: Office, postgres: EmbeddedPostgres
    ) -> None:
        name = (await office.query("SELECT current_database() AS name"))[0]["name"]
        await caller.report(OPENED)
        await run_sql(postgres, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await office.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        try:
            for response in (
                await caller.report({"name": "lost"}),
                await caller.client.get("/api/v1/health"),
            ):
                details = problem(response, 503)
                assert response.headers["retry-after"]
                assert name not in json.dumps(details)
        finally:
            await run_sql(postgres, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert len(await custom_events(office)) == 1

        async def is_back() -> bool:
            return (await caller.report({"name": "found"})).status_code == 202

        # Connections from before are found to be broken one by one.
        await eventually(is_back)

    async def test_ends_in_good_order_with_requests_that_take_too_long(
        self,
        engine_database: Database,
        key: str,
        office: Office,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        """As after the twenty seconds that a stopping process gives them."""
        with logged("info"):
            async with (
                await psycopg.AsyncConnection.connect(office.url) as other,
                httpx2.AsyncClient(
                    transport=httpx2.ASGITransport(build_app(engine_database, "600/minute")),
                    base_url="http://test",
                ) as client,
            ):
                await other.execute("LOCK TABLE automation_events IN EXCLUSIVE MODE")
                under_way = asyncio.create_task(Caller(client, key).report(OPENED))

                async def waits() -> Any:
                    return await office.query(
                        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                        "AND datname = current_database()"
                    )

                await eventually(waits)
                under_way.cancel()
                problem(await under_way, 503)
        assert "Traceback" not in capfd.readouterr().err
        assert await custom_events(office) == []

    async def test_keeps_its_faults_to_itself(
        self, caller: Caller, office: Office, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A table nobody expected to be so: an error of the database that blames the data."""
        await office.query(
            "ALTER TABLE automation_events ADD CONSTRAINT surprise "
            "CHECK (data ->> 'name' <> 'secret-word')"
        )
        with logged("info"):
            response = await caller.report({"name": "secret-word"}, Idempotency_Key="k")
        assert "surprise" not in json.dumps(problem(response, 500))
        (line,) = capfd.readouterr().err.splitlines()
        assert "CheckViolation" in line
        assert "starter/intake.py" in line
        assert "secret-word" not in line
        # Nothing of it stays: neither the event nor its answer.
        assert await office.query("SELECT * FROM api_requests") == []

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", EVENTS, 405),
            ("POST", EVENTS + "/", 404),
            ("GET", "/", 404),
            ("GET", "/docs", 404),
            ("GET", "/api/v1/%0d%0aX-Evil:%20%C3%A9%", 404),
        ],
    )
    async def test_answers_with_a_problem_where_nothing_is(
        self, method: str, path: str, status: int, caller: Caller
    ) -> None:
        response = await caller.client.request(method, path, headers={"Host": "evil.example"})
        details = problem(response, status)
        assert details["instance"] == path
        assert "evil" not in json.dumps(dict(response.headers)).lower()
        if status == 405:
            assert response.headers["allow"] == "POST"


def test_a_key_is_not_in_its_own_picture() -> None:
    key = new_key()
    assert key.text not in repr(key)
