"""Catch SMS over Twilio's own HTTP API, and misbehave on request.

The real Twilio SDK talks to it once ``client.api.base_url`` is ``SmsCatcher.base_url``. It
creates, fetches and lists messages, and calls the message's ``StatusCallback`` signed as Twilio
signs. Which numbers fail, and how, is the table in ``devstack/sms_fates.py``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

import httpx2
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from devstack.captures import Captures
from devstack.ports import LOOPBACK, port_to_bind
from devstack.sms_fates import FINAL, ORDINARY, RECIPIENTS, SENDERS, Ending, Fate, Refusal, Report
from devstack.twilio_api import (
    ACCOUNTS_PATH,
    CapturedSms,
    callback_parameters,
    missing_parameter,
    page_of,
    representation,
)
from devstack.web import LoopbackServer
from fixlify.domain.segments import number_of_segments

__all__ = ["CapturedSms", "SmsCatcher"]

UNAUTHORIZED = Refusal(401, 20003, "Authenticate")
NOT_FOUND = Refusal(404, 20404, "The requested resource was not found")
CALLBACK_TIMEOUT = timedelta(seconds=15)

log = structlog.get_logger(__name__)


class SmsCatcher(Captures[CapturedSms]):
    """A Twilio account on loopback that keeps every message; lives in the caller's event loop.

    Attributes:
        slowness: how long the number that answers late takes.
        listing_delay: how long the number that is listed late is missing from the list.
        outage: what every request is refused with, until it is None again.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        account_sid: str = "AC" + "0" * 32,
        auth_token: str | None = None,
        folder: Path | None = None,
        preferred_port: int | None = None,
    ) -> None:
        """Describe the server; nothing listens yet.

        Args:
            port: this one or none; 0 takes *preferred_port* where it is free, else any.
            preferred_port: the one to take where it is free.
            account_sid: the one account it knows, ``AC`` and 32 hex digits.
            auth_token: its password and the key of its signatures; None makes a random one.
            folder: where each message is also kept as a ``.json`` file; None keeps none.
        """
        super().__init__(folder)
        self.account_sid = account_sid
        self.auth_token = auth_token or secrets.token_hex(16)
        self.slowness = timedelta(seconds=2)
        self.listing_delay = timedelta(seconds=5)
        self.outage: Refusal | None = None
        self._authorization = "Basic " + _basic(f"{self.account_sid}:{self.auth_token}")
        self._validator = RequestValidator(self.auth_token)
        self._port = 0
        self._fixed_port = port
        self._preferred_port = preferred_port
        self._by_sid: dict[str, int] = {}
        self._refused_once: set[str] = set()
        self._deliveries: set[asyncio.Task[None]] = set()
        self._server: LoopbackServer | None = None
        self._http: httpx2.AsyncClient | None = None

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1; known once the catcher is started."""
        return self._port

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT``, for TWILIO_BASE_URL."""
        return f"http://{LOOPBACK}:{self._port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            DevstackError: The port is taken.
        """
        self._open_folder()
        self._http = httpx2.AsyncClient(
            timeout=CALLBACK_TIMEOUT.total_seconds(),
            headers={"User-Agent": "TwilioProxy/1.1"},
            verify=await asyncio.to_thread(_certificates),
            # A proxy for the outside world has no business between two local ports.
            trust_env=False,
        )
        port = port_to_bind("the SMS catcher", self._fixed_port, self._preferred_port)
        self._server = LoopbackServer(self._application())
        self._port = await self._server.start(port)

    async def stop(self) -> None:
        """Stop listening, hang up and call nobody back any more; the messages stay."""
        server, self._server = self._server, None
        http, self._http = self._http, None
        for delivery in self._deliveries:
            delivery.cancel()
        if server is not None:
            await server.stop()
        if http is not None:
            await http.aclose()
        await self._close_folder()

    def clear(self) -> None:
        """Forget every message, and who was refused once."""
        super().clear()
        self._by_sid.clear()
        self._refused_once.clear()

    async def deliveries_end(self) -> None:
        """Wait until every delivery so far has come to its end and was called back."""
        await asyncio.gather(*self._deliveries)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def _application(self) -> Starlette:
        account = ACCOUNTS_PATH + "/{account}"
        return Starlette(
            routes=[
                Route(account + ".json", self._show_account),
                Route(account + "/Messages.json", self._create_message, methods=["POST"]),
                Route(account + "/Messages.json", self._list_messages),
                Route(account + "/Messages/{sid}.json", self._show_message),
            ]
        )

    def _denial(self, request: Request) -> Response | None:
        given = request.headers.get("Authorization", "")
        if not secrets.compare_digest(given.encode(), self._authorization.encode()):
            return _error(UNAUTHORIZED)
        if request.path_params["account"] != self.account_sid:
            return _error(NOT_FOUND)
        return None if self.outage is None else _error(self.outage)

    async def _show_account(self, request: Request) -> Response:
        account = {"sid": self.account_sid, "status": "active", "friendly_name": "Captured SMS"}
        return self._denial(request) or JSONResponse(account)

    async def _show_message(self, request: Request) -> Response:
        if denial := self._denial(request):
            return denial
        position = self._by_sid.get(request.path_params["sid"])
        if position is None:
            return _error(NOT_FOUND)
        return JSONResponse(representation(self.messages[position], self.account_sid))

    async def _list_messages(self, request: Request) -> Response:
        if denial := self._denial(request):
            return denial
        listed = [message for message in self.messages if self._is_listed(message)]
        return JSONResponse(page_of(listed, request.query_params, self.account_sid))

    def _is_listed(self, message: CapturedSms) -> bool:
        is_late = RECIPIENTS.get(message.to, ORDINARY).listed_late
        return (
            not is_late or monotonic() >= message.accepted_at + self.listing_delay.total_seconds()
        )

    async def _create_message(self, request: Request) -> Response:
        if denial := self._denial(request):
            return denial
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        to = form.get("To", "")
        fate = RECIPIENTS.get(to, ORDINARY)
        if refusal := missing_parameter(form) or SENDERS.get(form.get("From", "")):
            return _error(refusal)
        if refusal := self._refusal_due(to, fate):
            return _error(refusal)

        response: Response = Response()
        if fate.captured:
            message = self._capture(form)
            response = JSONResponse(representation(message, self.account_sid), status_code=201)
            delivery = self._deliver(message, fate.reports, form.get("StatusCallback"))
            if fate.reports_first:
                await delivery
        match fate.ending:
            case Ending.ANSWERED:
                pass
            case Ending.ANSWERED_LATE:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(_client_leaves(request), self.slowness.total_seconds())
            case Ending.CUT:
                self._cut(request)
            case Ending.HANGS:
                await _client_leaves(request)
        return response

    def _refusal_due(self, to: str, fate: Fate) -> Refusal | None:
        if fate.first_time_only and to in self._refused_once:
            return None
        self._refused_once.add(to)
        return fate.refusal

    def _capture(self, form: dict[str, str]) -> CapturedSms:
        accepted_at = monotonic()
        message = CapturedSms(
            sid="SM" + secrets.token_hex(16),
            to=form["To"],
            from_=form.get("From", ""),
            messaging_service_sid=form.get("MessagingServiceSid"),
            body=form["Body"],
            segments=number_of_segments(form["Body"]),
            status="queued" if form.get("From") else "accepted",
            received_at=datetime.now(UTC),
            accepted_at=accepted_at,
        )
        content = json.dumps(representation(message, self.account_sid), ensure_ascii=False)
        self._save(message.received_at, f"{message.sid}.json", content.encode())
        self._by_sid[message.sid] = len(self.messages)
        self._accept(message)
        return message

    def _deliver(
        self, message: CapturedSms, reports: tuple[Report, ...], callback: str | None
    ) -> asyncio.Task[None]:
        delivery = asyncio.create_task(self._report(message.sid, reports, callback))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)
        return delivery

    async def _report(self, sid: str, reports: tuple[Report, ...], callback: str | None) -> None:
        for report in reports:
            position = self._by_sid.get(sid)
            if position is None:
                # Forgotten meanwhile: a test has moved on, and its endpoint with it.
                return
            message = self.messages[position]
            told = message.model_copy(
                update={"status": report.status, "error_code": report.error_code}
            )
            # Callbacks may come in any order; the message itself never goes back.
            if message.status not in FINAL:
                self._replace(position, told)
            if callback:
                await self._call_back(callback, told)

    async def _call_back(self, url: str, message: CapturedSms) -> None:
        assert self._http is not None  # noqa: S101 - deliveries end before the client does
        parameters = callback_parameters(message, self.account_sid)
        headers = {
            "X-Twilio-Signature": self._validator.compute_signature(url, parameters),
            "I-Twilio-Idempotency-Token": secrets.token_hex(16),
        }
        try:
            response = await self._http.post(url, data=parameters, headers=headers)
        except httpx2.HTTPError as error:
            log.warning("A status callback found nobody.", url=url, error=repr(error))
        else:
            if response.is_error:
                log.warning("A status callback was refused.", url=url, status=response.status_code)

    def _cut(self, request: Request) -> None:
        if self._server is not None and request.client is not None:
            self._server.hang_up((request.client.host, request.client.port))


async def _client_leaves(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@cache
def _certificates() -> ssl.SSLContext:
    """The system's, once per process: reading them takes longer than starting the server."""
    return ssl.create_default_context()


def _basic(credentials: str) -> str:
    return base64.b64encode(credentials.encode()).decode()


def _error(refusal: Refusal) -> Response:
    headers = {}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(int(refusal.retry_after.total_seconds()))
    body = {
        "code": refusal.code,
        "message": refusal.message,
        "more_info": f"https://www.twilio.com/docs/errors/{refusal.code}",
        "status": refusal.status,
    }
    return JSONResponse(body, refusal.status, headers)
