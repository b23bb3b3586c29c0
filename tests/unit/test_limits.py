"""Rates are read as people write them, and written so that they are read again."""

from __future__ import annotations

from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixlify.domain import queues
from fixlify.domain.limits import FASTEST, UNLIMITED, LimitedChannel, format_rate, parse_rate


@pytest.mark.parametrize(
    ("text", "per_second", "shown"),
    [
        ("20/second", 20.0, "20/second"),
        (" 600 / Minute ", 10.0, "10/second"),
        ("30/minute", 0.5, "30/minute"),
        ("1000/day", 1000 / 86_400, "1000/day"),
        ("1/day", 1 / 86_400, "1/day"),
        ("2.5/second", 2.5, "150/minute"),
        ("10000/second", FASTEST, "10000/second"),
        ("none", UNLIMITED, "none"),
    ],
)
def test_a_rate_is_a_number_and_a_unit(text: str, per_second: float, shown: str) -> None:
    assert isclose(parse_rate(text), per_second)
    assert format_rate(per_second) == shown


@pytest.mark.parametrize(
    "text", ["", "20", "20/fortnight", "-1/second", "0/second", "1e9/second", "0.5/day", "nan/day"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        parse_rate(text)


@given(st.floats(min_value=1 / 86_400, max_value=FASTEST, allow_subnormal=False))
def test_what_is_shown_is_about_what_is_meant(per_second: float) -> None:
    number, unit = format_rate(per_second).split("/")
    seconds = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}[unit]
    assert isclose(float(number) / seconds, per_second, rel_tol=1e-5)


def test_every_channel_has_a_queue_of_its_own() -> None:
    """A limit on one that another shares would hold both."""
    own = {channel.queue for channel in LimitedChannel}
    assert own == {queues.EMAIL, queues.SMS, queues.WEBHOOKS}
