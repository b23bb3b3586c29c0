"""Whatever the rules, the zone and the moment: a hold ends as soon as it may, and no sooner."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fixlify.domain.rules import (
    Cap,
    Channel,
    Hold,
    Holidays,
    MessageClass,
    Rules,
    Sent,
    TimeSpan,
    hold_for_hours,
    hold_for_rules,
)
from fixlify.domain.rules.hours import SEARCHED
from fixlify.domain.rules.spans import WEEKDAYS

# A country's holidays take a moment when they are asked for the first time.
lenient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SECOND = timedelta(seconds=1)
FIRST = datetime(2026, 1, 1, tzinfo=UTC)

# Leaps of an hour, of half an hour, at midnight, the other way round, twice a year around
# Ramadan, none, and the two ends of the world.
ZONES = st.sampled_from(
    [
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Havana",
        "Africa/Cairo",
        "Europe/Dublin",
        "Africa/Casablanca",
        "Asia/Kathmandu",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
        "America/St_Johns",
    ]
).map(ZoneInfo)
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
SPANS = (
    st.tuples(TIMES, TIMES)
    .filter(lambda ends: ends[0] != ends[1])
    .map(lambda ends: TimeSpan(from_=ends[0], to=ends[1]))
)
DAYS = st.integers(0, 365).map(lambda days: date(2026, 1, 1) + timedelta(days=days))
HOLIDAYS = st.one_of(
    st.builds(Holidays, dates=st.lists(DAYS, min_size=1, max_size=60).map(tuple)),
    st.sampled_from(["US", "DE", "JP"]).map(lambda country: Holidays(country=country)),
)
# Not validated: what contradicts itself must hold as well.
RULES = st.builds(
    Rules.model_construct,
    quiet_hours=st.none() | SPANS,
    business_hours=st.none() | st.dictionaries(st.sampled_from(WEEKDAYS), SPANS),
    holidays=st.none() | HOLIDAYS,
)
MOMENTS = st.builds(
    lambda seconds, microseconds: FIRST + timedelta(seconds=seconds, microseconds=microseconds),
    st.integers(0, 365 * 86_400),
    st.sampled_from([0, 1, 999_999]),
)
CLASSES = st.sampled_from(MessageClass)


@lenient
@given(RULES, CLASSES, MOMENTS, ZONES)
@example(
    # The end falls into the gap of 8 March.
    Rules(quiet_hours=TimeSpan(from_=time(21), to=time(2, 30))),
    MessageClass.TRANSACTIONAL,
    datetime(2026, 3, 8, 5, tzinfo=UTC),
    ZoneInfo("America/New_York"),
)
@example(
    # Once the clock has fallen back on 1 November, these are over, and begin again.
    Rules(quiet_hours=TimeSpan(from_=time(1, 30), to=time(8))),
    MessageClass.TRANSACTIONAL,
    datetime(2026, 11, 1, 5, 40, tzinfo=UTC),
    ZoneInfo("America/New_York"),
)
def test_a_hold_ends_where_nothing_holds_and_not_a_second_before(
    rules: Rules, message_class: MessageClass, now: datetime, zone: ZoneInfo
) -> None:
    hold = hold_for_hours(rules, message_class, now, zone)
    if hold is None:
        return
    assert hold.until > now
    if hold.until == now + SEARCHED:
        return
    assert hold_for_hours(rules, message_class, hold.until, zone) is None
    just_before = max(now, hold.until - SECOND)
    last = hold_for_hours(rules, message_class, just_before, zone)
    assert last is not None
    assert last.until == hold.until


@lenient
@given(RULES, CLASSES, MOMENTS, ZONES, st.floats(0, 1))
def test_whoever_looks_again_meanwhile_hears_the_same_end(
    rules: Rules, message_class: MessageClass, now: datetime, zone: ZoneInfo, share: float
) -> None:
    hold = hold_for_hours(rules, message_class, now, zone)
    if hold is None or hold.until == now + SEARCHED:
        return
    between = now + (hold.until - now) * share * 0.999
    again = hold_for_hours(rules, message_class, between, zone)
    assert again is not None
    assert again.until == hold.until


@lenient
@given(RULES, MOMENTS, ZONES)
def test_what_holds_a_reminder_holds_an_offer_at_least_as_long(
    rules: Rules, now: datetime, zone: ZoneInfo
) -> None:
    def end(message_class: MessageClass) -> datetime:
        hold: Hold | None = hold_for_hours(rules, message_class, now, zone)
        return hold.until if hold else now

    urgent, transactional, marketing = (
        end(each)
        for each in (MessageClass.URGENT, MessageClass.TRANSACTIONAL, MessageClass.MARKETING)
    )
    assert now == urgent <= transactional <= marketing


CAPS = st.builds(
    Cap,
    at_most=st.integers(1, 3),
    per=st.integers(1, 72).map(lambda hours: timedelta(hours=hours)),
    channel=st.sampled_from([None, "email", "sms"]),
    message_class=st.sampled_from([None, MessageClass.MARKETING, MessageClass.TRANSACTIONAL]),
)
CHANNELS = st.sampled_from(["email", "sms"])
AGES = st.integers(0, 72 * 60).map(lambda minutes: timedelta(minutes=minutes))


@lenient
@given(
    RULES,
    st.lists(CAPS, max_size=3),
    CHANNELS,
    CLASSES,
    st.lists(st.tuples(AGES, CHANNELS, CLASSES), max_size=6),
    MOMENTS,
    ZONES,
)
def test_hours_and_caps_together_hold_until_neither_does_and_not_a_second_longer(
    hours: Rules,
    caps: list[Cap],
    channel: Channel,
    message_class: MessageClass,
    ages: list[tuple[timedelta, Channel, MessageClass]],
    now: datetime,
    zone: ZoneInfo,
) -> None:
    rules = hours.model_copy(update={"caps": tuple(caps)})
    sent = [Sent(now - age, over, kind) for age, over, kind in ages]

    def holds(moment: datetime) -> bool:
        return hold_for_hours(rules, message_class, moment, zone) is not None or any(
            sum(
                cap.counts(each.channel, each.message_class) and moment - cap.per < each.at
                for each in sent
            )
            >= cap.at_most
            for cap in caps
            if cap.counts(channel, message_class)
        )

    hold = hold_for_rules(rules, channel, message_class, sent, now, zone)
    if hold is None:
        assert not holds(now)
    elif hold.until < now + SEARCHED:
        assert not holds(hold.until)
        assert holds(max(now, hold.until - SECOND))


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe", "America/Havana"])
@pytest.mark.parametrize(
    "around", [date(2026, 3, 8), date(2026, 4, 5), date(2026, 10, 4), date(2026, 11, 1)]
)
def test_a_hold_is_the_one_found_minute_by_minute(zone: str, around: date) -> None:
    """Counted on the wall clock itself, over nights that are unlike the others."""
    there = ZoneInfo(zone)
    quiet = TimeSpan(from_=time(23, 30), to=time(2, 15))
    noon = datetime.combine(around, time(12), there).astimezone(UTC)
    free = noon + timedelta(days=1)
    for minutes in range(3 * 24 * 60):
        moment = noon + timedelta(days=1) - timedelta(minutes=minutes)
        hold = hold_for_hours(Rules(quiet_hours=quiet), MessageClass.TRANSACTIONAL, moment, there)
        if not quiet.includes(moment.astimezone(there).time()):
            free = moment
        assert (hold.until if hold else moment) == free
