"""Find where a host is, and refuse what is not on the internet at large."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from fixlify.domain.errors import TransportError
from fixlify.domain.webhooks import WebhookTarget

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, best first; raises ``OSError`` where there is none."""


async def resolve_host(host: str, port: int) -> list[str]:
    """Ask this machine's resolver, which also reads addresses written as text."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def reachable_addresses(
    target: WebhookTarget, resolve: Resolve, may_reach: Callable[[Address], bool]
) -> list[Address]:
    """Return the addresses of *target*, every one of which may be connected to.

    One that may not spoils all: a name that leads into a private network even sometimes is
    not a name of the internet.

    Raises:
        TransportError: It has none (for now), or one that may not be reached (for good).
    """
    try:
        addresses = [ip_address(each) for each in await resolve(target.host, target.port)]
    except (OSError, UnicodeError, ValueError) as error:
        raise TransportError(
            f"the name {target.host} leads nowhere; check the URL, or the name server",
            permanent=False,
        ) from error
    if not addresses:
        raise TransportError(f"the name {target.host} leads nowhere", permanent=False)
    if not all(map(may_reach, addresses)):
        # Which address it is would tell a stranger about this network.
        raise TransportError(
            f"the name {target.host} leads to an address that is not public; no webhook goes there",
            permanent=True,
        )
    return addresses
