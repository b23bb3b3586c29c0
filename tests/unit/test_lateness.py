"""What is in time and what is late, over all dates, zones and months."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixlify.domain.lateness import (
    MAINTENANCE_CATCH_UP,
    OVERDUE_CATCH_UP,
    REMEMBERED,
    add_months,
    first_sweep_day,
    services_due,
    standing_for,
    thresholds,
    visits_near,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DATES = st.dates(date(1975, 1, 1), date(2100, 12, 31))
ZONES = st.sampled_from(
    ["UTC", "America/New_York", "Pacific/Auckland", "Pacific/Apia", "Africa/Cairo", "Asia/Kolkata"]
)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2028, 2, 29), 12, date(2029, 2, 28)),
        (date(2026, 12, 31), 2, date(2027, 2, 28)),
        (date(2026, 3, 31), -1, date(2026, 2, 28)),
        (date(2026, 1, 15), -13, date(2024, 12, 15)),
    ],
)
def test_a_month_too_short_ends_on_its_last_day(day: date, months: int, expected: date) -> None:
    assert add_months(day, months) == expected


@given(DATES, st.integers(1, 60), ZONES)
def test_services_due_are_those_whose_months_have_just_passed(
    today: date, months: int, zone: str
) -> None:
    services = services_due(months, today, zone, listening_from=None)
    clock = ZoneInfo(zone)
    around = add_months(today, -months)
    for offset in range(-45, 12):
        day = around + offset * DAY
        noon = datetime.combine(day, time(12), tzinfo=clock)
        due = add_months(day, months)
        in_time = services.in_time_from <= noon < services.until
        assert in_time == (today - MAINTENANCE_CATCH_UP <= due <= today)
        missed = services.missed_from <= noon < services.in_time_from
        assert missed == (today - REMEMBERED <= due < today - MAINTENANCE_CATCH_UP)


@given(DATES, st.lists(st.integers(1, 365), min_size=1, unique=True), st.integers(-60, 60))
def test_every_threshold_has_its_days_in_time_and_its_days_missed(
    today: date, days: list[int], listening: int
) -> None:
    listening_from = today - listening * DAY
    for each in thresholds(days, today, listening_from):
        for overdue in range(each.days - 2, each.days + 40):
            due = today - overdue * DAY
            crossed = due + each.days * DAY
            in_time = each.in_time_from <= due <= each.reached
            assert in_time == (crossed <= today <= crossed + OVERDUE_CATCH_UP)
            missed = each.missed_from <= due < each.in_time_from
            assert missed == (
                crossed + OVERDUE_CATCH_UP < today <= crossed + REMEMBERED
                and crossed >= listening_from
            )


def test_what_became_active_before_the_sweep_of_its_day_is_served_that_day() -> None:
    nine = datetime(2026, 11, 21, 14, tzinfo=UTC)
    before, after = nine - timedelta(days=3, minutes=1), nine - timedelta(days=3, minutes=-1)
    assert first_sweep_day(before, nine, "America/New_York") == date(2026, 11, 18)
    assert first_sweep_day(after, nine, "America/New_York") == date(2026, 11, 19)
    assert first_sweep_day(None, nine, "America/New_York") is None


def test_a_visit_is_near_from_its_lead_on_and_in_time_for_a_while() -> None:
    lead, tolerance = timedelta(hours=24), timedelta(hours=2)
    visits = visits_near(lead, tolerance, NOON, None, NOON - timedelta(days=9))
    assert (visits.after, visits.until) == (NOON, NOON + lead)
    assert visits.in_time_after == NOON + lead - tolerance

    just_active = visits_near(lead, tolerance, NOON, None, NOON - timedelta(hours=5))
    assert just_active.after == NOON + timedelta(hours=19)
    assert visits_near(lead, tolerance, NOON, None, NOON).after == visits.in_time_after


@pytest.mark.parametrize("swept_until", [None, NOON - timedelta(minutes=1)])
def test_no_visit_of_the_past_is_near(swept_until: datetime | None) -> None:
    lead = timedelta(hours=1)
    assert visits_near(lead, lead, NOON, swept_until, NOON - timedelta(days=9)).after == NOON


def test_visits_that_passed_while_nothing_swept_are_looked_for_too() -> None:
    lead, tolerance, ever = timedelta(hours=2), timedelta(hours=1), NOON - timedelta(days=99)
    outage = NOON - timedelta(days=2)
    assert visits_near(lead, tolerance, NOON, outage, ever).after == outage + lead
    since = NOON - timedelta(days=1)
    assert visits_near(lead, tolerance, NOON, outage, since).after == since + lead
    long_ago = visits_near(lead, tolerance, NOON, NOON - timedelta(days=50), ever)
    assert long_ago.after == NOON - REMEMBERED + lead


def test_stale_jobs_are_looked_for_back_to_the_last_sweep_and_no_further() -> None:
    ever, until = NOON - timedelta(days=99), NOON - timedelta(days=3)
    usual = standing_for(3, NOON, NOON - timedelta(minutes=1), ever)
    assert (usual.after, usual.in_time_after, usual.until) == (until - DAY, until - DAY, until)
    assert standing_for(3, NOON, None, ever) == usual

    outage = standing_for(3, NOON, NOON - timedelta(days=5), ever)
    assert (outage.after, outage.in_time_after) == (until - timedelta(days=5), until - DAY)
    assert standing_for(3, NOON, NOON - timedelta(days=50), ever).after == until - REMEMBERED
    lately = NOON - timedelta(days=2)
    assert standing_for(3, NOON, NOON - timedelta(days=5), lately).after == until - 2 * DAY
