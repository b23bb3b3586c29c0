"""When a wait ends: fields that move, days the clocks change, and what is past or missing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from fixlify.domain.facts import Facts
from fixlify.domain.moments import GRACE, find_arrival
from fixlify.domain.steps import WaitUntil
from tests.unit.sample_facts import facts as sample_facts

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def until(at: Any, if_late: Any = "skip") -> WaitUntil:
    return WaitUntil.model_validate({"id": "until", "at": at, "if_late": if_late})


def facts(zone: str = "America/New_York", **job: Any) -> Facts:
    return sample_facts(client={"time_zone": zone}, job=job)


DAY_BEFORE = {"field": "job.schedule_start", "offset": "-24h"}


def test_what_comes_before_a_visit_is_worth_nothing_after_it() -> None:
    start = NOW + 3 * DAY
    arrival = find_arrival(until(DAY_BEFORE), facts(schedule_start=start), NOW)

    assert arrival == (start - DAY, None, start)


def test_what_comes_after_a_visit_has_no_end() -> None:
    start = NOW - HOUR
    at = {"field": "job.schedule_start", "offset": "2h"}

    assert find_arrival(until(at), facts(schedule_start=start), NOW) == (NOW + HOUR, None, None)


@pytest.mark.parametrize(
    ("policy", "late_by", "is_late"),
    [
        ("skip", GRACE, False),
        ("skip", GRACE + timedelta(seconds=1), True),
        ("send", 30 * DAY, False),
        ({"within": "2h"}, 2 * HOUR, False),
        ({"within": "2h"}, 2 * HOUR + timedelta(seconds=1), True),
    ],
)
def test_a_moment_that_passed_goes_by_its_policy(
    policy: Any, late_by: timedelta, is_late: bool
) -> None:
    """Also where it passed while no worker ran to notice."""
    start = NOW + DAY - late_by
    arrival = find_arrival(until(DAY_BEFORE, policy), facts(schedule_start=start), NOW)

    assert (arrival.late is not None) == is_late
    assert arrival.until == NOW - late_by


def test_a_policy_of_hours_ends_before_the_visit_does() -> None:
    at = {"field": "job.schedule_start", "offset": "-1h"}
    arrival = find_arrival(until(at, {"within": "3h"}), facts(schedule_start=NOW + DAY), NOW)

    assert arrival.good_until == NOW + DAY


@pytest.mark.parametrize(
    ("policy", "late"), [("skip", "job.schedule_start is empty"), ("send", None)]
)
def test_a_date_that_is_missing_goes_by_its_policy(policy: str, late: str | None) -> None:
    assert find_arrival(until(DAY_BEFORE, policy), facts(schedule_start=None), NOW) == (
        None,
        late,
        None,
    )


def test_a_date_that_was_taken_away_may_come_back_until_its_moment() -> None:
    step, without = until(DAY_BEFORE), facts(schedule_start=None)

    assert find_arrival(step, without, NOW, NOW + HOUR).until == NOW + HOUR
    assert find_arrival(step, without, NOW + HOUR, NOW + HOUR).late is not None


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        # 02:30 does not exist; the clocks say 03:30 then.
        ("America/New_York", date(2027, 3, 14), datetime(2027, 3, 14, 7, 30, tzinfo=UTC)),
        # 01:30 comes twice, and counts the first time.
        ("America/New_York", date(2026, 11, 1), datetime(2026, 11, 1, 7, 30, tzinfo=UTC)),
        ("Asia/Kathmandu", date(2026, 12, 1), datetime(2026, 11, 30, 20, 45, tzinfo=UTC)),
    ],
)
def test_a_wall_clock_is_the_clients(zone: str, day: date, expected: datetime) -> None:
    at = f"{day}T02:30"
    now = expected - DAY

    assert find_arrival(until(at), facts(zone), now).until == expected


def test_days_before_a_date_are_counted_on_the_calendar() -> None:
    """Nine in the morning stays nine, though a night between has an hour more."""
    at = {"field": "event.due", "offset": "-2d"}
    known = facts().with_event({"due": "2026-11-02"})
    arrival = find_arrival(until(at), known, datetime(2026, 10, 1, tzinfo=UTC))

    assert arrival.until == datetime(2026, 10, 31, 13, tzinfo=UTC)
    assert arrival.good_until == datetime(2026, 11, 2, 14, tzinfo=UTC)


@pytest.mark.parametrize("garbage", ["soon", "", "9999-99-99", 7, True, None, "10:00"])
def test_what_is_no_date_is_missing(garbage: Any) -> None:
    known = facts().with_event({"due": garbage})

    assert find_arrival(until({"field": "event.due"}), known, NOW).late == "event.due is empty"


def test_what_lies_beyond_the_calendar_is_missing() -> None:
    at = {"field": "job.schedule_start", "offset": "730d"}
    beyond = facts(schedule_start=datetime(9999, 12, 1, tzinfo=UTC))

    assert find_arrival(until(at), beyond, NOW).late is not None


def test_a_time_of_day_is_the_next_one_and_stays_it() -> None:
    step, known = until("09:30"), facts("Europe/Berlin")
    armed = find_arrival(step, known, NOW).until

    assert armed == datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
    assert find_arrival(step, known, armed, armed) == (armed, None, None)


def test_a_zone_that_is_none_is_the_companys() -> None:
    known = facts("Mars/Olympus")

    assert known.organization.time_zone == "America/Chicago"
    assert find_arrival(until("2026-12-01"), known, NOW).until == datetime(
        2026, 12, 1, 15, tzinfo=UTC
    )


def test_every_moment_is_told_in_utc() -> None:
    """What people read says UTC, and once said the hour of another zone."""
    arrival = find_arrival(until("2026-12-01T10:00:00+02:00", {"within": "2h"}), facts(), NOW)

    assert [f"{each:%H:%M}" for each in (arrival.until, arrival.good_until) if each] == [
        "08:00",
        "10:00",
    ]


def test_a_policy_reaches_no_further_than_the_calendar() -> None:
    last = datetime(9999, 12, 31, 23, tzinfo=UTC)
    at = {"field": "job.schedule_start"}
    arrival = find_arrival(until(at, {"within": "2h"}), facts(schedule_start=last), NOW)

    assert arrival == (last, None, None)
    assert find_arrival(until("9999-12-31T23:00"), facts(), NOW).late == "the moment is empty"
