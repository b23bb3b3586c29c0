"""People get out of marketing email by a link: by one click, or by a page they understand."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import httpx2
import pytest
from pydantic import SecretStr

from devstack.web import LoopbackServer
from fixlify.domain.rules import MessageClass
from fixlify.domain.unsubscribing import unsubscribe_url
from fixlify.storage.consent import suppress
from fixlify.storage.database import Database
from fixlify.storage.messages import Channel
from starter.callbacks.unsubscribing import Wish
from starter.http.app import build_app
from starter.http.unsubscribe import unsubscribe_router
from tests.mailed import SECRET, add_email, evidence, opt_outs, send_email, suppressions
from tests.office import Office

MARKETING = MessageClass.MARKETING
ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@asynccontextmanager
async def served(
    database: Database, secret: str | None = SECRET, rate: str = "600/minute"
) -> AsyncIterator[httpx2.AsyncClient]:
    router = unsubscribe_router(database, secret and SecretStr(secret), rate)  # type: ignore[arg-type]
    server = LoopbackServer(build_app(database, rate, routers=[router]))
    port = await server.start()
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        await server.stop()


@pytest.fixture
async def browser(engine_database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(engine_database) as client:
        yield client


class PageReader(HTMLParser):
    """What a page says, offers and loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] != "style":
            self.text += " ".join(data.split()) + " "

    @property
    def wishes(self) -> list[Wish]:
        """The buttons, in their order."""
        return [Wish(str(each["value"])) for tag, each in self.tags if tag == "input"]

    @property
    def language(self) -> str | None:
        return next(each["lang"] for tag, each in self.tags if tag == "html")


def read(response: httpx2.Response, status: int = 200) -> PageReader:
    """Return the page that a response is, with all that a page of ours must have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in response.headers
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    page = PageReader(response.text)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    return page


def path_of(message_id: UUID, secret: str = SECRET) -> str:
    return unsubscribe_url("", secret, message_id)


async def ask(browser: httpx2.AsyncClient, message_id: UUID, wish: Wish) -> PageReader:
    return read(await browser.post(path_of(message_id), data={"wish": wish.value}))


async def one_click(browser: httpx2.AsyncClient, message_id: UUID) -> httpx2.Response:
    return await browser.post(
        path_of(message_id), content=ONE_CLICK, headers={**FORM, "User-Agent": "Mail/1.0"}
    )


async def test_looking_at_the_page_changes_nothing(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database
) -> None:
    """What looks through mail for danger follows every link in it."""
    message_id = await send_email(office, engine_database)
    client_id = office.newest_client_id
    assert client_id is not None
    page = read(await browser.get(path_of(message_id)))
    assert (await browser.head(path_of(message_id))).status_code == 200
    assert page.wishes == [Wish.NO_MARKETING, Wish.NO_EMAIL]
    assert "Marketing email from Northwind Heating" in page.text
    assert "appointments, estimates and invoices goes on" in page.text
    assert await opt_outs(office, engine_database, client_id) == []
    assert await suppressions(office, engine_database) == []
    assert await evidence(office) == []


async def test_the_page_shows_no_stranger_the_whole_address(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database
) -> None:
    response = await browser.get(path_of(await send_email(office, engine_database)))
    assert "ada@example.com" not in response.text
    assert "a•••@example.com" in response.text


@pytest.mark.parametrize("form", ["urlencoded", "multipart"])
async def test_one_click_unsubscribes_from_marketing_at_once(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database, form: str
) -> None:
    message_id = await send_email(office, engine_database)
    client_id = office.newest_client_id
    assert client_id is not None
    if form == "urlencoded":
        response = await one_click(browser, message_id)
    else:
        response = await browser.post(
            path_of(message_id),
            files={"List-Unsubscribe": (None, "One-Click")},
            headers={"User-Agent": "Mail/1.0"},
        )
    assert "You are unsubscribed" in read(response).text
    assert await opt_outs(office, engine_database, client_id) == [(MARKETING, "unsubscribe")]
    (kept,) = await evidence(office)
    assert (kept["client_id"], kept["channel"], kept["message_class"]) == (
        client_id,
        "email",
        "marketing",
    )
    assert (kept["wants"], kept["source"], kept["address"]) == (
        False,
        "unsubscribe",
        "ada@example.com",
    )
    assert kept["evidence"] == {
        "message_id": str(message_id),
        "user_agent": "Mail/1.0",
        "one_click": True,
    }


async def test_one_click_again_is_answered_the_same_and_keeps_no_second_evidence(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database
) -> None:
    message_id = await send_email(office, engine_database)
    answers = [read(await one_click(browser, message_id)) for _ in range(3)]
    assert len({each.text for each in answers}) == 1
    assert len(await evidence(office)) == 1


async def test_marketing_is_kept_back_then_and_appointments_are_not(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database
) -> None:
    await one_click(browser, await send_email(office, engine_database))
    client_id = office.newest_client_id
    for message_class, sends in ((MARKETING, False), (MessageClass.TRANSACTIONAL, True)):
        message_id = await send_email(
            office, engine_database, message_class=message_class, recipient_id=client_id
        )
        (row,) = await office.query("SELECT status FROM messages WHERE id = %s", message_id)
        assert (row["status"] == "sent") is sends


async def test_the_page_does_what_is_chosen_and_undoes_it(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database
) -> None:
    message_id = await send_email(office, engine_database)
    client_id = office.newest_client_id
    assert client_id is not None
    page = await ask(browser, message_id, Wish.NO_MARKETING)
    assert page.wishes == [Wish.MARKETING_AGAIN, Wish.NO_EMAIL]
    assert "Undo" in page.text
    page = await ask(browser, message_id, Wish.NO_EMAIL)
    assert page.wishes == [Wish.EMAIL_AGAIN]
    assert set(await opt_outs(office, engine_database, client_id)) == {
        (None, "unsubscribe"),
        (MARKETING, "unsubscribe"),
    }
    page = await ask(browser, message_id, Wish.EMAIL_AGAIN)
    assert "sends you email again" in page.text
    assert "You are unsubscribed" in page.text, "that of marketing was another wish"
    page = await ask(browser, message_id, Wish.MARKETING_AGAIN)
    assert page.wishes == [Wish.NO_MARKETING, Wish.NO_EMAIL]
    assert await opt_outs(office, engine_database, client_id) == []
    assert [(each["wants"], each["message_class"]) for each in await evidence(office)] == [
        (False, "marketing"),
        (False, None),
        (True, None),
        (True, "marketing"),
    ]
    assert not any(each["evidence"]["one_click"] for each in await evidence(office))


async def test_every_client_with_the_address_is_unsubscribed(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database, database_url: str
) -> None:
    twin = await office.add_client(email="ADA@example.com")
    other = await office.add_client(email="bob@example.com")
    async with await Office.open(database_url, "Elsewhere") as elsewhere:
        stranger = await elsewhere.add_client()
        message_id = await send_email(office, engine_database)
        mine = office.newest_client_id
        assert mine is not None
        await one_click(browser, message_id)
        for client_id in (mine, twin):
            assert await opt_outs(office, engine_database, client_id)
        assert not await opt_outs(office, engine_database, other)
        assert not await opt_outs(elsewhere, engine_database, stranger)


async def test_a_client_who_has_another_address_by_now_is_unsubscribed_all_the_same(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database
) -> None:
    message_id = await send_email(office, engine_database)
    client_id = office.newest_client_id
    assert client_id is not None
    await office.query("UPDATE clients SET email = 'new@example.com' WHERE id = %s", client_id)
    await one_click(browser, message_id)
    assert await opt_outs(office, engine_database, client_id) == [(MARKETING, "unsubscribe")]


@pytest.mark.parametrize("kind", ["address", "owner"])
async def test_an_address_that_is_no_clients_gets_no_email_at_all(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database, kind: str
) -> None:
    address = {"address": "press@example.org", "owner": "ada@example.com"}[kind]
    message_id = await add_email(
        office, engine_database, recipient_kind=kind, recipient_id=None, recipient=address
    )
    page = read(await browser.get(path_of(message_id)))
    assert page.wishes == [Wish.NO_EMAIL]
    assert "appointments" not in page.text
    await one_click(browser, message_id)
    assert await suppressions(office, engine_database) == [(address, "unsubscribed", "unsubscribe")]
    page = await ask(browser, message_id, Wish.EMAIL_AGAIN)
    assert "sends you email again" in page.text
    assert await suppressions(office, engine_database) == []


@pytest.mark.parametrize("kind", ["client", "owner"])
async def test_undo_takes_back_nothing_that_was_said_elsewhere(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database, kind: str
) -> None:
    message_id = await add_email(office, engine_database, recipient_kind=kind)
    async with engine_database.transaction() as connection:
        await suppress(
            connection,
            office.organization_id,
            Channel.EMAIL,
            "ada@example.com",
            reason="bounced: 5.1.1",
            source="bounce",
        )
    await ask(browser, message_id, Wish.NO_EMAIL)
    page = await ask(browser, message_id, Wish.EMAIL_AGAIN)
    assert "noted in another way" in page.text
    assert page.wishes == []
    assert len(await suppressions(office, engine_database)) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_wrong_link_says_what_to_do(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database, method: str
) -> None:
    message_id = await send_email(office, engine_database)
    right = path_of(message_id)
    for wrong in (right[:-1], right + "a", "/u/x", path_of(message_id, "another key, 16+")):
        response = await browser.request(method, wrong, content=ONE_CLICK, headers=FORM)
        assert "open it from the email itself once more" in read(response, 404).text.lower()
    nobody = await browser.request(
        method, path_of(UUID(int=1)), content=ONE_CLICK, headers={**FORM, "Accept-Language": "de"}
    )
    assert read(nobody, 404).language == "de"
    assert await evidence(office) == []


async def test_a_text_message_has_no_such_link(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database
) -> None:
    message_id = await add_email(
        office, engine_database, channel=Channel.SMS, recipient="+12125550123"
    )
    read(await one_click(browser, message_id), 404)


async def test_without_a_secret_every_link_is_wrong(
    office: Office, engine_database: Database
) -> None:
    message_id = await send_email(office, engine_database)
    async with served(engine_database, secret=None) as browser:
        read(await one_click(browser, message_id), 404)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"wish=everything", "application/x-www-form-urlencoded"),
        (b"List-Unsubscribe=Maybe", "application/x-www-form-urlencoded"),
        (b"a=b&" * 5_000 + ONE_CLICK, "application/x-www-form-urlencoded"),
        (ONE_CLICK, "text/plain"),
        (b"\xff\x00", "multipart/form-data; boundary=x"),
        (b"--x\r\n" * 100, "multipart/form-data; boundary=x"),
    ],
)
async def test_what_asks_for_nothing_changes_nothing_and_is_asked_again(
    browser: httpx2.AsyncClient,
    office: Office,
    engine_database: Database,
    body: bytes,
    content_type: str,
) -> None:
    message_id = await send_email(office, engine_database)
    response = await browser.post(
        path_of(message_id), content=body, headers={"Content-Type": content_type}
    )
    page = read(response, 400)
    assert "Nothing was changed" in page.text
    assert page.wishes == [Wish.NO_MARKETING, Wish.NO_EMAIL]
    assert await evidence(office) == []


@pytest.mark.parametrize(
    ("locale", "language", "title"),
    [
        ("es_MX", "es", "Se ha dado de baja"),
        ("fr-CA", "fr", "Désabonnement confirmé"),
        ("de", "de", "Sie haben abbestellt"),
        ("ja_JP", "en", "You are unsubscribed"),
        (None, "en", "You are unsubscribed"),
    ],
)
async def test_the_page_speaks_the_clients_language(
    browser: httpx2.AsyncClient,
    office: Office,
    engine_database: Database,
    locale: str | None,
    language: str,
    title: str,
) -> None:
    message_id = await send_email(office, engine_database)
    await office.query("UPDATE clients SET locale = %s", locale)
    page = read(await one_click(browser, message_id))
    assert (page.language, title in page.text) == (language, True)


async def test_nothing_that_a_company_wrote_of_itself_runs_or_loads_elsewhere(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database
) -> None:
    await office.query(
        "UPDATE organizations SET name = %s, logo_url = %s, brand_color = %s",
        '<script>alert(1)</script>{{ 7 * 7 }}{company}{0.__class__}"‮',
        'https://cdn.example.com;script-src *//x.png" onload="alert(1)',
        "red;} body { display: none",
    )
    response = await browser.get(path_of(await send_email(office, engine_database)))
    page = read(response)
    assert "<script>alert(1)</script>{{ 7 * 7 }}{company}" in page.text
    assert "display: none" not in response.text
    assert "‮" not in response.text
    assert "img-src 'none'" in response.headers["content-security-policy"]
    assert not [tag for tag, _ in page.tags if tag == "img"]


async def test_the_companys_logo_is_the_only_thing_that_comes_from_elsewhere(
    browser: httpx2.AsyncClient, office: Office, engine_database: Database
) -> None:
    await office.query(
        "UPDATE organizations SET logo_url = %s, brand_color = '#0b6e4f'",
        "https://cdn.example.com:8443/logo.png?a=1;b",
    )
    response = await browser.get(path_of(await send_email(office, engine_database)))
    page = read(response)
    policy = response.headers["content-security-policy"]
    assert "img-src https://cdn.example.com:8443; " in policy
    ((_, picture),) = [each for each in page.tags if each[0] == "img"]
    assert picture["alt"] == "Northwind Heating"
    assert picture["referrerpolicy"] == "no-referrer"
    nonce = re.findall(r"'nonce-([^']+)'", policy)
    assert [each["nonce"] for tag, each in page.tags if tag == "style"] == nonce
    assert "#0b6e4f" in response.text
    elsewhere = re.findall(r"https?://[^\s\"<]+", response.text)
    assert elsewhere == ["https://cdn.example.com:8443/logo.png?a=1;b"]


async def test_one_link_cannot_be_used_without_end_and_others_are_free_meanwhile(
    office: Office, engine_database: Database
) -> None:
    """Large mail providers unsubscribe all their users from one address."""
    first, second = [await send_email(office, engine_database) for _ in range(2)]
    async with served(engine_database, rate="2/minute") as browser:
        answers = [(await one_click(browser, first)).status_code for _ in range(3)]
        assert answers == [200, 200, 429]
        read(await one_click(browser, second))
        wrong: list[Any] = [(await browser.get("/u/x")).status_code for _ in range(3)]
        assert wrong == [404, 404, 429]
