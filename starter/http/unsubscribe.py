"""Where links to unsubscribe lead: a page for people, one click for mail programs (RFC 8058)."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import SecretStr

from fixlify.domain.errors import UnsubscribeTokenError
from fixlify.domain.unsubscribing import PATH, message_of
from fixlify.storage.database import Database
from starter.callbacks.unsubscribing import Unsubscribing, Wish
from starter.http.bodies import read_bytes
from starter.http.pages.unsubscribing import Page, unknown_link_page, unsubscribe_page
from starter.http.rates import Rates, network_of

ONE_CLICK: Final = ("List-Unsubscribe", "One-Click")
"""What a mail program's own button sends: RFC 8058, section 3.1."""
_WISH: Final = "wish"

# More than both forms have; the rest is not looked at.
_LONGEST_FORM: Final = 10_000
_MOST_FIELDS: Final = 20
_LONGEST_AGENT: Final = 200


def unsubscribe_router(database: Database, secret: SecretStr | None, rate: str) -> APIRouter:
    """Return the routes of the links; for people, so they are in no description of the API.

    Args:
        database: Acts as the engine role: whose message it is follows from the link.
        secret: What links are signed with; without it every link is wrong.
        rate: How often one link may be used, and one address may come with a wrong one.
    """
    router = APIRouter(include_in_schema=False)
    links = _Links(secret, Rates(rate))
    unsubscribing = Unsubscribing(database)

    @router.api_route(f"{PATH}{{token}}", methods=["GET", "HEAD"])
    async def show(token: str, request: Request) -> HTMLResponse:
        """Change nothing: whatever looks through mail for danger follows every link in it."""
        message_id = links.message_of(token, request)
        standing = None if message_id is None else await unsubscribing.look(message_id)
        if standing is None:
            return _not_found(request)
        return _answer(unsubscribe_page(standing))

    @router.post(f"{PATH}{{token}}")
    async def act(token: str, request: Request) -> HTMLResponse:
        """Do what is asked for at once, without a redirect, a cookie or another question."""
        message_id = links.message_of(token, request)
        form = _fields(request.headers.get("content-type", ""), await read_bytes(request))
        if message_id is None:
            return _not_found(request)
        is_one_click = form.get(ONE_CLICK[0]) == ONE_CLICK[1]
        wish = Wish.NO_MARKETING if is_one_click else _wish(form)
        if wish is None:
            standing = await unsubscribing.look(message_id)
            if standing is None:
                return _not_found(request)
            page = unsubscribe_page(standing, is_understood=False)
            return _answer(page, HTTPStatus.BAD_REQUEST)
        agent = request.headers.get("user-agent", "")[:_LONGEST_AGENT]
        evidence = {"user_agent": agent, "one_click": is_one_click}
        standing = await unsubscribing.fulfil(message_id, wish, evidence)
        return (
            _not_found(request) if standing is None else _answer(unsubscribe_page(standing, wish))
        )

    return router


class _Links:
    """Reads links, and slows down whoever tries many; lives with its application."""

    def __init__(self, secret: SecretStr | None, rates: Rates) -> None:
        self._secret = secret.get_secret_value() if secret else ""
        self._rates = rates

    def message_of(self, token: str, request: Request) -> UUID | None:
        """Return the message that a link names, None for a wrong link.

        Raises:
            ProblemError: 429 for too many requests.
        """
        try:
            message_id = message_of(token, self._secret)
        except UnsubscribeTokenError:
            host = request.client.host if request.client else ""
            self._rates.count("address", network_of(host))
            return None
        # By the link, not by the address: a large mail provider unsubscribes all from one.
        self._rates.count("link", str(message_id))
        return message_id


def _wish(form: dict[str, str]) -> Wish | None:
    try:
        return Wish(form.get(_WISH, ""))
    except ValueError:
        return None


def _fields(content_type: str, body: bytes) -> dict[str, str]:
    """Return the fields of a form, in either encoding that RFC 8058 allows; none of another."""
    if len(body) > _LONGEST_FORM:
        return {}
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        try:
            return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=_MOST_FIELDS))
        except ValueError:
            return {}
    if kind != "multipart/form-data":
        return {}
    head = f"Content-Type: {content_type}\r\n\r\n".encode("utf-8", "replace")
    parts = message_from_bytes(head + body).get_payload()
    fields = {}
    for part in parts[:_MOST_FIELDS] if isinstance(parts, list) else ():
        if not isinstance(part, Message):
            continue
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload()
        if isinstance(name, str) and isinstance(value, str):
            fields[name] = value.strip()
    return fields


def _not_found(request: Request) -> HTMLResponse:
    languages = request.headers.get("accept-language", "")
    return _answer(unknown_link_page(languages), HTTPStatus.NOT_FOUND)


def _answer(page: Page, status: HTTPStatus = HTTPStatus.OK) -> HTMLResponse:
    return HTMLResponse(
        page.html,
        status,
        {
            "Content-Security-Policy": page.security_policy,
            # The link is in the address, and who has it can use it.
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Robots-Tag": "noindex",
        },
    )
