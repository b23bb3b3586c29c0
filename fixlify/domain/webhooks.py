"""Webhooks: where one may go, what it is signed with, and what it is called."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from fixlify.domain.errors import WebhookAddressError
from fixlify.domain.models import Message

LONGEST_TIMEOUT: Final = timedelta(seconds=30)
"""How long a receiver may take to answer, whatever a step says."""

_DEFAULT_PORTS: Final[Mapping[str, int]] = {"https": 443, "http": 80}
# Below lie other protocols' servers; what listens higher up was put there on purpose.
_FIRST_FREE_PORT: Final = 1024
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_VISIBLE: Final = re.compile(r"[!-~]+")
_LOCAL_NAMES: Final = ("localhost", "local", "internal", "lan", "home.arpa", "localdomain")

_NAT64: Final = IPv6Network("64:ff9b::/96")
# Tunnels and translations into IPv4 networks that only their operator knows.
_TUNNELS: Final = (
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("2002::/16"),
    IPv6Network("2001::/32"),
    IPv6Network("::/96"),
)

_SECRET_BYTES: Final = 32


class WebhookKind(StrEnum):
    """What a webhook tells, in its ``type``."""

    STEP = "automation.step"
    FAILURE = "execution.failed"
    TEST = "webhook.test"


class DeliveryStatus(StrEnum):
    """Where the news of a failed execution stands; all but ``pending`` are final."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class WebhookDelivery(Message):
    """Which failed execution an organization is to be told of; input of its workflow.

    What failed a day ago is known by other means, so attempts end after ``give_up_after``.
    """

    delivery_id: UUID
    organization_id: UUID
    give_up_after: timedelta = timedelta(days=1)


class AbandonedDelivery(Message):
    """A delivery that is not tried again, why, and when that was by the clock of its workflow."""

    delivery: WebhookDelivery
    reason: str
    now: datetime
    is_cancelled: bool = False


class DeliveryReceipt(Message):
    """What became of a delivery. ``reason`` is set unless it was delivered."""

    status: DeliveryStatus
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """The parts of a URL that passed ``parse_target``; ``path`` begins with ``/``.

    The path may hold a credential, so only the host is ever shown.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host as the ``Host`` header has it, with the port where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_target(url: str, *, is_stand_in: bool = False) -> WebhookTarget:
    """Return the parts of *url*, if a webhook may go there as far as one can tell by reading.

    Where a name leads is looked at when a call is made.

    Args:
        url: ``https://host[:port][/path][?query]``.
        is_stand_in: Whether the operator's own settings name it: then it may be ``http`` and
            on this very machine.

    Raises:
        WebhookAddressError: With what to change; nothing of the URL but its host is quoted.
    """
    if not _VISIBLE.fullmatch(url) or "\\" in url:
        raise WebhookAddressError("a webhook's URL is visible ASCII; percent-encode the rest")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise WebhookAddressError("this is no URL; write https://host/path") from error
    host = (parts.hostname or "").removesuffix(".")
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise WebhookAddressError("this is no webhook's URL; write https://host/path")
    if "@" in parts.netloc:
        raise WebhookAddressError(
            "a webhook's URL holds no user or password; every call is signed instead"
        )
    if parts.fragment:
        raise WebhookAddressError("what follows '#' is never sent; remove it")
    target = WebhookTarget(
        scheme=parts.scheme,
        host=host,
        port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
        path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )
    if not is_stand_in:
        _refuse_unsafe(target)
    return target


def _refuse_unsafe(target: WebhookTarget) -> None:
    if target.scheme != "https":
        raise WebhookAddressError("a webhook goes over https; write https:// instead of http://")
    if target.port != _DEFAULT_PORTS["https"] and target.port < _FIRST_FREE_PORT:
        raise WebhookAddressError(
            f"a webhook goes to port 443, or to one from {_FIRST_FREE_PORT} on; not {target.port}"
        )
    try:
        address = ip_address(target.host)
    except ValueError:
        _refuse_unsafe_name(target.host)
    else:
        if not is_public(address):
            raise WebhookAddressError(f"{address} is not a public address; name a public host")


def _refuse_unsafe_name(host: str) -> None:
    labels = host.split(".")
    if not all(map(_LABEL.fullmatch, labels)) or len(host) > 253:
        raise WebhookAddressError(f"'{host}' is no host name; a name in letters goes as xn--…")
    # `127.1`, `0x7f000001` and `2130706433` are ways to spell 127.0.0.1.
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        raise WebhookAddressError(f"'{host}' is a number spelled oddly; name a public host")
    if len(labels) == 1 or any(host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES):
        raise WebhookAddressError(f"'{host}' is a name of a private network; name a public host")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether *address* belongs to the internet at large.

    Not to this machine, a private or provider's network, several receivers, or nobody; and
    not an IPv6 address that stands for such an IPv4 address.
    """
    if isinstance(address, IPv6Address):
        if (inner := address.ipv4_mapped) is not None:
            return is_public(inner)
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if any(address in network for network in _TUNNELS) or address.is_site_local:
            return False
    return (
        address.is_global
        and not address.is_private
        and not address.is_loopback
        and not address.is_link_local
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_unspecified
    )


def new_secret() -> str:
    """Return a signing secret as Standard Webhooks writes one: ``whsec_`` and base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def step_webhook_id(execution_id: UUID, step_id: str) -> str:
    """Return the id that every attempt of one step has, by which a receiver knows it again."""
    return f"msg_{uuid5(execution_id, step_id).hex}"


def delivery_webhook_id(delivery_id: UUID) -> str:
    """Return the id that every attempt of one delivery has."""
    return f"msg_{delivery_id.hex}"


DELIVERY_PREFIX: Final = "webhook/"


def delivery_workflow_id(delivery_id: UUID) -> str:
    """Return the one workflow id a delivery may have."""
    return f"{DELIVERY_PREFIX}{delivery_id}"


def payload(kind: WebhookKind, timestamp: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a webhook in the shape Standard Webhooks recommends.

    Args:
        kind: What it tells.
        timestamp: When it happened, ISO 8601; the same at every attempt.
        data: JSON values.
    """
    return {"type": kind.value, "timestamp": timestamp, "data": dict(data)}
