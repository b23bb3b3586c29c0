"""Post signed JSON to addresses that strangers name, and to nothing inside our own network."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urljoin

import httpx2
from pydantic import SecretStr
from standardwebhooks import Webhook

from fixlify.channels.protocol import Accepted
from fixlify.channels.webhooks.addresses import (
    Address,
    Resolve,
    reachable_addresses,
    resolve_host,
)
from fixlify.channels.webhooks.codes import refusal
from fixlify.domain.errors import TransportError, WebhookAddressError
from fixlify.domain.webhooks import LONGEST_TIMEOUT, WebhookTarget, is_public, parse_target

PATIENCE: Final = timedelta(seconds=10)
CONNECT_PATIENCE: Final = timedelta(seconds=5)
# What it says beside its status is of no use; it is listened to so that it may finish.
BODY_PATIENCE: Final = timedelta(seconds=1)
LARGEST_ANSWER: Final = 64 * 1024
LARGEST_REQUEST: Final = 256 * 1024
REDIRECTS: Final = 3
ADDRESSES_TRIED: Final = 3

# The two that repeat the request as it was; the others would turn it into a GET.
_SAME_REQUEST: Final = frozenset({307, 308})
_NEVER_CONNECTED: Final = (httpx2.ConnectError, httpx2.ConnectTimeout)


@dataclass(frozen=True, slots=True)
class OutgoingWebhook:
    """One webhook. ``webhook_id`` is the same at every attempt; ``timeout`` covers all of one."""

    url: str
    webhook_id: str
    payload: dict[str, Any]
    secret: SecretStr
    timeout: timedelta = PATIENCE


class WebhookChannel:
    """A way to post webhooks; lives as long as the worker.

    Nothing is kept between two calls: no connection, which another name with the same address
    could come to use; no cookie; nothing of the environment's proxies.
    """

    def __init__(
        self,
        *,
        stand_in: str | None = None,
        resolve: Resolve = resolve_host,
        may_reach: Callable[[Address], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare TLS; nothing is connected yet.

        Args:
            stand_in: where every webhook goes instead of its own address, for development.
            resolve: what finds a host's addresses.
            may_reach: which of them may be connected to.
            tls: whose certificates count; None takes this machine's.

        Raises:
            WebhookAddressError: The stand-in is no URL.
        """
        self._stand_in = stand_in
        if stand_in is not None:
            parse_target(stand_in, is_stand_in=True)
        self._resolve = resolve
        self._may_reach = may_reach
        self._transport = httpx2.AsyncHTTPTransport(
            verify=True if tls is None else tls,
            trust_env=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def post(self, webhook: OutgoingWebhook) -> Accepted:
        """Post *webhook* once; a second call posts it again under the same id.

        Raises:
            TransportError: The receiver did not take it, or did not say so. It may have it all
                the same: the id tells it so when it comes again.
        """
        body = json.dumps(webhook.payload, separators=(",", ":"))
        content = body.encode("ascii")
        if len(content) > LARGEST_REQUEST:
            raise TransportError(
                f"the webhook is larger than {LARGEST_REQUEST // 1024} KiB; name fewer fields",
                permanent=True,
            )
        headers = _signed(webhook, body)
        url = webhook.url
        if self._stand_in is not None:
            headers["fixlify-target"], url = webhook.url, self._stand_in
        patience = min(webhook.timeout, LONGEST_TIMEOUT)
        try:
            async with asyncio.timeout(patience.total_seconds()):
                return await self._post(url, content, headers)
        except TimeoutError as error:
            raise TransportError(
                f"{_host(url)} did not answer within {patience.total_seconds():.0f} s",
                permanent=False,
            ) from error

    async def aclose(self) -> None:
        """Hang up; the channel is not used again."""
        await self._transport.aclose()

    async def _post(self, url: str, content: bytes, headers: dict[str, str]) -> Accepted:
        for _ in range(1 + REDIRECTS):
            target = self._target(url)
            response = await self._answer(target, content, headers)
            try:
                location = response.headers.get("Location")
                if response.status_code not in _SAME_REQUEST or location is None:
                    await _listen(response)
                    return _taken(target.host, response)
            finally:
                await response.aclose()
            # Looked at like any other: it was the receiver who named it.
            url = _moved(url, location)
        raise TransportError(
            f"{_host(url)} redirects more than {REDIRECTS} times; write the last address",
            permanent=True,
        )

    def _target(self, url: str) -> WebhookTarget:
        try:
            return parse_target(url, is_stand_in=self._stand_in is not None)
        except WebhookAddressError as error:
            raise TransportError(str(error), permanent=True) from error

    async def _answer(
        self, target: WebhookTarget, content: bytes, headers: dict[str, str]
    ) -> httpx2.Response:
        """Return what the first address that can be connected to answers."""
        failure: Exception | None = None
        for address in (await self._addresses(target))[:ADDRESSES_TRIED]:
            try:
                return await self._transport.handle_async_request(
                    _request(target, address, content, headers)
                )
            except _NEVER_CONNECTED as error:
                failure = error
            except httpx2.HTTPError as error:
                raise TransportError(
                    f"{target.host} took the call and gave no answer ({type(error).__name__})",
                    permanent=False,
                ) from error
        raise TransportError(_unreachable(target.host, failure), permanent=False) from failure

    async def _addresses(self, target: WebhookTarget) -> list[Address]:
        may_reach = self._may_reach if self._stand_in is None else _anything
        return await reachable_addresses(target, self._resolve, may_reach)


def _signed(webhook: OutgoingWebhook, body: str) -> dict[str, str]:
    now = datetime.now(UTC)
    signature = Webhook(webhook.secret.get_secret_value()).sign(webhook.webhook_id, now, body)
    return {
        "Content-Type": "application/json",
        "User-Agent": "fixlify-automations",
        "Connection": "close",
        "webhook-id": webhook.webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }


def _request(
    target: WebhookTarget, address: Address, content: bytes, headers: dict[str, str]
) -> httpx2.Request:
    """Return a request to the very *address* that was looked at, in the name of its host.

    A name in its place would be looked up once more, and may lead elsewhere by then.
    """
    waits = CONNECT_PATIENCE.total_seconds()
    # Reading and writing end with the whole.
    timeouts = {"connect": waits, "pool": waits, "read": None, "write": None}
    return httpx2.Request(
        "POST",
        httpx2.URL(
            scheme=target.scheme,
            host=str(address),
            port=target.port,
            raw_path=target.path.encode("ascii"),
        ),
        headers={"Host": target.authority, **headers},
        content=content,
        extensions={"timeout": timeouts, "sni_hostname": target.host},
    )


def _moved(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise TransportError(
            f"{_host(url)} redirects to what is no URL; write the last address", permanent=True
        ) from error


async def _listen(response: httpx2.Response) -> None:
    """Let the receiver finish what it says, within reason; its status counts either way."""
    heard = 0
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(BODY_PATIENCE.total_seconds()):
            # Raw: what is small when it comes may be huge unpacked.
            async for part in response.aiter_raw():
                heard += len(part)
                if heard >= LARGEST_ANSWER:
                    return


def _taken(host: str, response: httpx2.Response) -> Accepted:
    if not response.is_success:
        raise refusal(host, response.status_code, response.headers)
    return Accepted(provider=host, detail=str(response.status_code))


def _unreachable(host: str, failure: Exception | None) -> str:
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate of {host} is not valid: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return f"{host} cannot be reached ({type(failure).__name__}); check the URL, or the network"


def _host(url: str) -> str:
    try:
        return parse_target(url, is_stand_in=True).host
    except WebhookAddressError:
        return "the receiver"


def _anything(address: Address) -> bool:
    return True
