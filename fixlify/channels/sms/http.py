"""Carry the Twilio SDK's requests over httpx2, with deadlines and with our errors.

The SDK's own asynchronous client ignores its timeout and hides the answer's headers, and with
them Retry-After. This one decides what a failure means where the whole answer is at hand.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta

import httpx2
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]

from fixlify.channels.sms.codes import refusal
from fixlify.domain.errors import OutcomeUnknownError, TransportError

CONNECTIONS = 20
# Below a minute, after which load balancers hang up: a request on a connection that dies
# under it has an unknown outcome.
KEEP_IDLE_FOR = timedelta(seconds=30)
CONNECT_PATIENCE = timedelta(seconds=5)
ANSWER_PATIENCE = timedelta(seconds=20)
# Waiting for a free connection, connecting, encrypting.
_UNTIL_CONNECTED = 3 * CONNECT_PATIENCE

_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)

_logger = logging.getLogger(__name__)


class TwilioHttp(AsyncHttpClient):  # type: ignore[misc]
    """The SDK's way out; lives as long as its channel, and keeps connections open."""

    def __init__(
        self, *, trust_environment: bool, answer_patience: timedelta, number_setting: str
    ) -> None:
        """Describe the client; nothing is connected yet.

        Args:
            trust_environment: whether ``HTTPS_PROXY`` and its kin count.
            answer_patience: how long Twilio may take to answer.
            number_setting: the variable that our number comes from.
        """
        super().__init__(_logger, True)
        self._number_setting = number_setting
        # httpx2 counts from byte to byte; this is for all of an answer, however it trickles in.
        self._patience = _UNTIL_CONNECTED + answer_patience
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(
                answer_patience.total_seconds(),
                connect=CONNECT_PATIENCE.total_seconds(),
                pool=CONNECT_PATIENCE.total_seconds(),
            ),
            limits=httpx2.Limits(
                max_connections=CONNECTIONS,
                max_keepalive_connections=CONNECTIONS,
                keepalive_expiry=KEEP_IDLE_FOR.total_seconds(),
            ),
            trust_env=trust_environment,
        )

    async def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the SDK's signature
        allow_redirects: bool = False,
    ) -> Response:
        """Return a successful answer; *timeout* and *allow_redirects* stay as they are here.

        Raises:
            TransportError: Twilio does not have the message.
            OutcomeUnknownError: Twilio may have it.
        """
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                answer = await self._client.request(
                    method, uri, params=params, data=data, headers=headers, auth=auth
                )
        except _NEVER_SENT as error:
            raise TransportError(
                f"cannot reach Twilio ({type(error).__name__}); check the network",
                permanent=False,
            ) from error
        except (httpx2.HTTPError, TimeoutError) as error:
            if method == "GET":
                raise TransportError("Twilio does not answer", permanent=False) from error
            raise OutcomeUnknownError(
                f"Twilio had the message and did not answer ({type(error).__name__}); "
                "look for it there"
            ) from error
        if not answer.is_success:
            refused = refusal(answer.status_code, answer.text, answer.headers, self._number_setting)
            if method == "GET" and isinstance(refused, OutcomeUnknownError):
                # Nothing was handed over.
                raise TransportError("Twilio does not answer", permanent=False)
            raise refused
        return Response(answer.status_code, answer.text, answer.headers)

    async def aclose(self) -> None:
        """Hang up."""
        await self._client.aclose()
