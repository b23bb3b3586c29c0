"""Requests are counted under whom they come from."""

from __future__ import annotations

import pytest

from starter.http.rates import network_of


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        # As a proxy writes them that listens for both kinds of addresses on one socket.
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("testclient", "elsewhere", False),
    ],
)
def test_addresses_are_counted_by_whoever_has_them(one: str, other: str, are_one: bool) -> None:
    assert (network_of(one) == network_of(other)) is are_one
