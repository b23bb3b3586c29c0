"""Twilio as it calls the HTTP API: forms, JSON, and signatures made by its own SDK."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID, uuid4

import httpx2
from pydantic import SecretStr
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from devstack.web import LoopbackServer
from fixlify.channels.sms.callbacks import INBOUND_PATH, STATUS_PATH
from fixlify.storage.database import Database
from starter.http.app import build_app
from starter.http.twilio import TwilioCaller, twilio_router

ACCOUNT: Final = "AC" + "5" * 32
TOKEN: Final = "a token that only the two of us know"
PUBLIC_URL: Final = "https://automations.example.com"
"""What Twilio calls; a proxy passes it on to us under another name."""
OUR_NUMBER: Final = "+12125550100"
THEIR_NUMBER: Final = "+12125550123"


class Twilio:
    """Calls the API as Twilio does; lives as long as its test."""

    def __init__(self, http: httpx2.AsyncClient, public_url: str = PUBLIC_URL) -> None:
        self.http = http
        self._public_url = public_url
        self._validator = RequestValidator(TOKEN)

    async def report(
        self, message_id: UUID | str, status: str, sid: str = "SM1", **parameters: str
    ) -> httpx2.Response:
        """Report on a message."""
        told = {"MessageSid": sid, "MessageStatus": status, "SmsSid": sid, "SmsStatus": status}
        return await self.call(f"{STATUS_PATH}/{message_id}", told | parameters)

    async def pass_on(self, body: str, **parameters: str) -> httpx2.Response:
        """Pass on a text message that came in; a new one unless it names its MessageSid."""
        told = {
            "MessageSid": "SM" + uuid4().hex,
            "From": THEIR_NUMBER,
            "To": OUR_NUMBER,
            "Body": body,
            "NumMedia": "0",
        }
        return await self.call(INBOUND_PATH, told | parameters)

    async def call(
        self,
        path: str,
        parameters: Mapping[str, Any],
        *,
        signed_as: str | None = None,
        as_json: bool = False,
        **headers: str,
    ) -> httpx2.Response:
        """Call, signed for the public URL unless it is *signed_as* another."""
        told = {"AccountSid": ACCOUNT, **parameters}
        if as_json:
            content = json.dumps(told).encode()
            path = f"{path}?bodySHA256={hashlib.sha256(content).hexdigest()}"
            media_type = "application/json"
        else:
            content = str(httpx2.QueryParams(told)).encode()
            media_type = "application/x-www-form-urlencoded"
        signature = self._validator.compute_signature(
            signed_as or f"{self._public_url}{path}", {} if as_json else told
        )
        return await self.http.post(
            path,
            content=content,
            headers={
                "Content-Type": media_type,
                "X-Twilio-Signature": signature,
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )


@asynccontextmanager
async def called_by_twilio(
    database: Database,
    *,
    token: str | None = TOKEN,
    rate: str = "600/minute",
    public_url: str = PUBLIC_URL,
) -> AsyncIterator[Twilio]:
    """Serve the API, and yield a Twilio that calls it; without a *token* it is not configured."""
    caller = token and TwilioCaller(ACCOUNT, SecretStr(token), public_url)
    app = build_app(database, rate, routers=[twilio_router(database, caller or None, rate)])
    server = LoopbackServer(app)
    port = await server.start()
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            yield Twilio(http, public_url)
    finally:
        await server.stop()
