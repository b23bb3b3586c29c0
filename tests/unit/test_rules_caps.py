"""A cap holds a message until enough of those before it are a whole window ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixlify.domain.rules import (
    Cap,
    Channel,
    MessageClass,
    Rules,
    Sent,
    TimeSpan,
    caps_that_bind,
    hold_for_cap,
    hold_for_rules,
)

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
TWO_A_DAY = Cap(at_most=2, per=timedelta(hours=24), channel="sms")

ANY = Cap(at_most=9, per=HOUR)
SMS = Cap(at_most=2, per=HOUR, channel="sms")
MARKETING = Cap(at_most=1, per=HOUR, message_class=MessageClass.MARKETING)
RULES = Rules(caps=(ANY, SMS, MARKETING))


@pytest.mark.parametrize(
    ("channel", "message_class", "caps"),
    [
        ("sms", MessageClass.MARKETING, (ANY, SMS, MARKETING)),
        ("email", MessageClass.MARKETING, (ANY, MARKETING)),
        ("sms", MessageClass.TRANSACTIONAL, (ANY, SMS)),
        ("email", MessageClass.TRANSACTIONAL, (ANY,)),
        ("sms", MessageClass.URGENT, ()),
        ("email", MessageClass.URGENT, ()),
    ],
)
def test_a_cap_binds_its_channel_and_its_class_and_never_what_is_urgent(
    channel: Channel, message_class: MessageClass, caps: tuple[Cap, ...]
) -> None:
    assert caps_that_bind(RULES, channel, message_class) == caps


def test_below_the_cap_a_message_goes() -> None:
    assert hold_for_cap(TWO_A_DAY, [], NOON) is None
    assert hold_for_cap(TWO_A_DAY, [NOON], NOON) is None


def test_at_the_cap_the_next_waits_until_the_oldest_has_left_the_window() -> None:
    hold = hold_for_cap(TWO_A_DAY, [NOON - HOUR, NOON - 5 * HOUR], NOON)
    assert hold == (NOON + 19 * HOUR, "cap: 2 sms per 24h")


def test_above_the_cap_the_next_waits_for_as_many_as_are_too_many() -> None:
    """A cap may be lowered, or what is urgent have counted nothing and gone all the same."""
    hold = hold_for_cap(TWO_A_DAY, [NOON - n * HOUR for n in (1, 2, 3, 4)], NOON)
    assert hold is not None
    assert hold.until == NOON + 22 * HOUR


def test_what_went_a_whole_window_ago_counts_no_more() -> None:
    sent = [NOON - 24 * HOUR, NOON]
    assert hold_for_cap(TWO_A_DAY, sent, NOON) is None
    assert hold_for_cap(TWO_A_DAY, sent, NOON - SECOND) is not None


def test_the_zone_of_an_instant_changes_nothing() -> None:
    elsewhere = [moment.astimezone() for moment in (NOON, NOON)]
    hold = hold_for_cap(TWO_A_DAY, elsewhere, NOON)
    assert hold is not None
    assert hold.until.tzinfo is UTC


def test_a_cap_that_lets_go_at_night_leaves_the_message_to_the_quiet_hours() -> None:
    quiet = TimeSpan.model_validate("21:00-08:00")
    rules = Rules(quiet_hours=quiet, caps=(TWO_A_DAY,))
    sent = [
        Sent(NOON - age, "sms", MessageClass.TRANSACTIONAL) for age in (HOUR, 10 * HOUR, 30 * HOUR)
    ]
    utc = ZoneInfo("UTC")

    hold = hold_for_rules(rules, "sms", MessageClass.TRANSACTIONAL, sent, NOON, utc)

    assert hold == (
        datetime(2026, 11, 27, 8, tzinfo=UTC),
        "cap: 2 sms per 24h, then quiet hours 21:00-08:00 (UTC)",
    )
    assert hold_for_rules(rules, "email", MessageClass.TRANSACTIONAL, sent, NOON, utc) is None


SECONDS = st.integers(0, 120).map(lambda count: timedelta(seconds=count))


@settings(deadline=None)
@given(st.integers(1, 4), SECONDS.filter(bool), st.lists(SECONDS, max_size=8))
def test_the_window_is_the_one_found_second_by_second(
    at_most: int, per: timedelta, ages: list[timedelta]
) -> None:
    sent = [NOON - age for age in ages]
    held = NOON
    while sum(held - per < moment for moment in sent) >= at_most:
        held += SECOND

    hold = hold_for_cap(Cap(at_most=at_most, per=per), sent, NOON)

    assert (hold.until if hold else NOON) == held
