"""How often one caller may ask: a moving window per key, or per address without one."""

from __future__ import annotations

import time
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from starter.http.problems import ProblemError

# Whoever has one address of such a network has all of it (RFC 6177).
_IPV6_NETWORK_BITS: Final = 64


class Rates:
    """Counts requests in this process's memory; lives as long as its application."""

    def __init__(self, rate: str) -> None:
        self._rate: RateLimitItem = parse(rate)
        self._windows = MovingWindowRateLimiter(MemoryStorage())

    def count(self, *caller: str) -> None:
        """Count one request of *caller*.

        Raises:
            ProblemError: 429, with when to ask again; the request is not counted.
        """
        if not self._windows.hit(self._rate, *caller):
            raise self._refusal(*caller)

    def check(self, *caller: str) -> None:
        """Count nothing.

        Raises:
            ProblemError: 429, where ``count`` would.
        """
        if not self._windows.test(self._rate, *caller):
            raise self._refusal(*caller)

    def _refusal(self, *caller: str) -> ProblemError:
        reset = self._windows.get_window_stats(self._rate, *caller).reset_time
        wait = max(1, ceil(reset - time.time()))
        return ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"more than {self._rate}; ask again in {wait} s, and send events in batches",
            headers={"Retry-After": str(wait)},
        )


def network_of(host: str) -> str:
    """Return what to count the requests of an address under: itself, or its IPv6 network."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            # So a proxy on both kinds of addresses writes one of IPv4; all have one /64.
            return str(address.ipv4_mapped)
        return str(int(address) >> 128 - _IPV6_NETWORK_BITS)
    return str(address)
