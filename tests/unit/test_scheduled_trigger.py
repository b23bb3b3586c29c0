"""A schedule is read as people write it, or refused with the key and the way out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixlify.domain.automation import parse_definition
from fixlify.domain.errors import DefinitionError
from fixlify.domain.events import Event, EventType, SubjectType
from fixlify.domain.timetable import MONTHS, WEEKDAYS, Timetable, describe
from fixlify.domain.triggers.scheduled import Audience, Frequency, Scheduled

DAILY: dict[str, Any] = {"frequency": "daily", "hour": 9}
WEEKLY: dict[str, Any] = {"frequency": "weekly", "hour": 9, "day_of_week": "monday"}
MONTHLY: dict[str, Any] = {"frequency": "monthly", "hour": 9, "day_of_month": 31}
YEARLY: dict[str, Any] = {"frequency": "yearly", "hour": 9, "month": 2, "day_of_month": 29}


def scheduled(**config: Any) -> Scheduled:
    return Scheduled.model_validate(config)


def problems(config: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is wrong where, as the author of a whole automation reads it."""
    automation = {"name": "Clock", "trigger": {"type": "scheduled", **config}, "steps": []}
    with pytest.raises(DefinitionError) as refused:
        parse_definition("clock.yaml", automation)
    return [(problem.path, problem.message) for problem in refused.value.problems]


# What is accepted.


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (DAILY, "daily at 09:00"),
        ({**DAILY, "minute": 30}, "daily at 09:30"),
        ({**DAILY, "hour": "09", "minute": "05"}, "daily at 09:05"),
        ({**DAILY, "hour": 0}, "daily at 00:00"),
        (WEEKLY, "weekly on Monday at 09:00"),
        (MONTHLY, "monthly on day 31 (or the last day) at 09:00"),
        ({**MONTHLY, "day_of_month": 1}, "monthly on day 1 at 09:00"),
        (YEARLY, "yearly on 29 February (or the last day) at 09:00"),
        ({**YEARLY, "month": "Dec", "day_of_month": 24}, "yearly on 24 December at 09:00"),
        ({"cron": "0 9 * * MON"}, "weekly on Monday at 09:00"),
        ({"cron": "*/10 8-17 * * mon-fri"}, "*/10 8-17 * * 1-5"),
    ],
)
def test_a_schedule_is_a_timetable(config: dict[str, Any], sentence: str) -> None:
    assert describe(scheduled(**config).timetable) == sentence


def test_every_frequency_is_the_timetable_of_its_name() -> None:
    assert scheduled(**DAILY, minute=5).timetable == Timetable.daily(9, 5)
    assert scheduled(**WEEKLY, minute=5).timetable == Timetable.weekly(1, 9, 5)
    assert scheduled(**MONTHLY, minute=5).timetable == Timetable.monthly(31, 9, 5)
    assert scheduled(**YEARLY, minute=5).timetable == Timetable.yearly(2, 29, 9, 5)
    assert {f.value for f in Frequency} == {"daily", "weekly", "monthly", "yearly"}


@pytest.mark.parametrize("monday", ["mon", "Mon", "MON", "monday", "Monday", " monday ", "1", 1])
def test_a_weekday_is_one_however_it_is_written(monday: Any) -> None:
    """``mon`` compared with ``monday`` once meant never."""
    assert scheduled(**{**WEEKLY, "day_of_week": monday}).day_of_week == "monday"


@pytest.mark.parametrize("sunday", [0, 7, "0", "7", "sun", "SUNDAY"])
def test_sunday_is_0_and_7(sunday: Any) -> None:
    written = scheduled(**{**WEEKLY, "day_of_week": sunday})
    assert written.day_of_week == "sunday"
    assert written.timetable == Timetable.weekly(0, 9, 0)


def test_every_weekday_and_month_has_a_number_a_name_and_three_letters() -> None:
    for number, name in enumerate(WEEKDAYS):
        for written in (number, str(number), name, name[:3].upper()):
            assert scheduled(**{**WEEKLY, "day_of_week": written}).day_of_week == name
    for number, name in enumerate(MONTHS, start=1):
        for written in (number, str(number), name.capitalize(), name[:3]):
            config = {**YEARLY, "month": written, "day_of_month": 1}
            assert scheduled(**config).month == number


def test_the_spellings_of_the_replaced_system_mean_the_same() -> None:
    old = {"frequency": "weekly", "hour": 9, "minute": 0, "dayOfWeek": 1}
    assert scheduled(**old) == scheduled(**WEEKLY)
    assert scheduled(frequency="monthly", hour=9, dayOfMonth=31) == scheduled(**MONTHLY)
    for key in ("time_zone", "timeZone", "timezone"):
        assert scheduled(**DAILY, **{key: "Asia/Kathmandu"}).time_zone == "Asia/Kathmandu"
    assert scheduled(**DAILY, catchUp="2h").catch_up == timedelta(hours=2)


def test_what_is_left_out() -> None:
    daily = scheduled(**DAILY)
    assert daily.minute == 0
    assert daily.time_zone is None
    assert daily.audience is Audience.ORGANIZATION
    assert daily.catch_up == timedelta(hours=1)


@pytest.mark.parametrize(
    ("written", "audience"),
    [
        ("clients", Audience.CLIENTS),
        ("client", Audience.CLIENTS),
        ("Job", Audience.JOBS),
        ("invoice", Audience.INVOICES),
        ("organization", Audience.ORGANIZATION),
        ("organizations", Audience.ORGANIZATION),
    ],
)
def test_an_audience_is_one_in_both_numbers(written: str, audience: Audience) -> None:
    assert scheduled(**DAILY, audience=written).audience is audience


# What is refused, where it is said to be, and what must be said about it.
MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({}, "trigger.frequency", "a 'frequency' (daily, weekly, monthly, yearly) or a 'cron' line"),
    ({"hour": 9}, "trigger.frequency", "say when"),
    ({"frequency": "dayly", "hour": 9}, "trigger.frequency", "did you mean 'daily'?"),
    ({"frequency": "dayly", "dayOfWeek": 1}, "trigger.frequency", "did you mean 'daily'?"),
    ({"frequency": "daily"}, "trigger.hour", "frequency daily needs it; add hour"),
    ({"frequency": "daily", "hour": None}, "trigger.hour", "add hour"),
    ({"frequency": "weekly", "hour": 9}, "trigger.day_of_week", "frequency weekly needs it"),
    ({"frequency": "monthly", "hour": 9}, "trigger.day_of_month", "add day_of_month"),
    (
        {"frequency": "yearly", "hour": 9, "day_of_month": 1},
        "trigger.month",
        "frequency yearly needs it; add month",
    ),
    ({"frequency": "yearly", "hour": 9, "month": 1}, "trigger.day_of_month", "add day_of_month"),
    # Keys that would be ignored.
    ({**DAILY, "day_of_week": 1}, "trigger.day_of_week", "frequency daily does not use it"),
    ({**DAILY, "day_of_month": 1}, "trigger.day_of_month", "does not use it; remove it"),
    ({**DAILY, "dayOfMonth": 1}, "trigger.dayOfMonth", "does not use it; remove it"),
    ({**WEEKLY, "day_of_month": 1}, "trigger.day_of_month", "frequency weekly does not use it"),
    ({**MONTHLY, "month": 1}, "trigger.month", "frequency monthly does not use it"),
    ({**YEARLY, "day_of_week": 0}, "trigger.day_of_week", "frequency yearly does not use it"),
    ({**DAILY, "dayOfWek": 1}, "trigger.dayOfWek", "did you mean 'day_of_week'?"),
    # Numbers.
    ({**DAILY, "hour": 24}, "trigger.hour", "must be a whole number from 0 to 23"),
    ({**DAILY, "hour": 25}, "trigger.hour", "must be a whole number from 0 to 23"),
    ({**DAILY, "hour": -1}, "trigger.hour", "from 0 to 23"),
    ({**DAILY, "hour": 9.5}, "trigger.hour", "from 0 to 23"),
    ({**DAILY, "hour": True}, "trigger.hour", "from 0 to 23"),
    ({**DAILY, "hour": "9:30"}, "trigger.hour", "from 0 to 23"),
    ({**DAILY, "hour": [9, 10]}, "trigger.hour", "from 0 to 23"),
    ({**DAILY, "hour": "9" * 5000}, "trigger.hour", "from 0 to 23"),
    ({**DAILY, "minute": 60}, "trigger.minute", "must be a whole number from 0 to 59"),
    ({**MONTHLY, "day_of_month": 0}, "trigger.day_of_month", "from 1 to 31"),
    ({**MONTHLY, "day_of_month": 32}, "trigger.day_of_month", "from 1 to 31"),
    ({**YEARLY, "day_of_month": 31}, "trigger.day_of_month", "February never has a day 31; use 29"),
    ({**YEARLY, "day_of_month": 30}, "trigger.day_of_month", "February never has a day 30; use 29"),
    ({**YEARLY, "month": 4, "day_of_month": 31}, "trigger.day_of_month", "use 30 at most"),
    ({**YEARLY, "month": 13}, "trigger.month", "unknown month '13'; valid: april"),
    ({**YEARLY, "month": "Febuary"}, "trigger.month", "did you mean 'february'?"),
    ({**YEARLY, "month": True}, "trigger.month", "unknown month 'True'"),
    # Weekdays.
    ({**WEEKLY, "day_of_week": "mondy"}, "trigger.day_of_week", "did you mean 'monday'?"),
    ({**WEEKLY, "day_of_week": 8}, "trigger.day_of_week", "unknown day of the week '8'; valid:"),
    ({**WEEKLY, "day_of_week": -1}, "trigger.day_of_week", "unknown day of the week '-1'"),
    ({**WEEKLY, "day_of_week": True}, "trigger.day_of_week", "unknown day of the week 'True'"),
    ({**WEEKLY, "day_of_week": ["mon"]}, "trigger.day_of_week", "unknown day of the week"),
    ({**WEEKLY, "day_of_week": "m"}, "trigger.day_of_week", "unknown day of the week 'm'"),
    ({**WEEKLY, "day_of_week": "x" * 900}, "trigger.day_of_week", "valid: friday, monday"),
    # Cron lines.
    (
        {**DAILY, "cron": "0 9 * * 1"},
        "trigger.frequency",
        "give either a 'frequency' or a 'cron' line, not both; remove one",
    ),
    ({"cron": "0 9 * * 1", "hour": 9}, "trigger.hour", "the cron line says this; remove 'hour'"),
    ({"cron": "0 9 * * 1", "minute": 0}, "trigger.minute", "remove 'minute'"),
    ({"cron": "0 9 * * 1", "dayOfWeek": 1}, "trigger.dayOfWeek", "remove 'day_of_week'"),
    ({"cron": "0 0 31 2 *"}, "trigger.cron", "'0 0 31 2 *' never fires"),
    ({"cron": "0 25 * * *"}, "trigger.cron", "'25' is no hour; write numbers from 0 to 23"),
    ({"cron": "0 9 * *"}, "trigger.cron", "a cron line has five fields"),
    ({"cron": "0 9 * *", "hour": 9}, "trigger.cron", "a cron line has five fields"),
    ({"cron": 5}, "trigger.cron", "must be text"),
    # The rest.
    ({**DAILY, "time_zone": "Mars/Olympus"}, "trigger.time_zone", "unknown time zone"),
    ({**DAILY, "timezone": "Europe/Berln"}, "trigger.timezone", "did you mean 'Europe/Berlin'?"),
    ({**DAILY, "time_zone": ""}, "trigger.time_zone", "a time zone is a name such as"),
    ({**DAILY, "time_zone": "{problem}"}, "trigger.time_zone", "unknown time zone '{problem}'"),
    ({**DAILY, "time_zone": "/etc/localtime"}, "trigger.time_zone", "unknown time zone"),
    ({**DAILY, "audience": "clint"}, "trigger.audience", "did you mean 'clients'?"),
    ({**DAILY, "audience": "staff"}, "trigger.audience", "valid: clients, invoices, jobs"),
    ({**DAILY, "audience": 1}, "trigger.audience", "unknown value '1'"),
    ({**DAILY, "catch_up": "25h"}, "trigger.catch_up", "24h late at most"),
    ({**DAILY, "catch_up": "1d1s"}, "trigger.catch_up", "24h late at most"),
    ({**DAILY, "catch_up": 60}, "trigger.catch_up", "'60' is not a duration"),
    ({**DAILY, "catch_up": "0s"}, "trigger.catch_up", "longer than zero"),
]


@pytest.mark.parametrize(("config", "path", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_key(config: dict[str, Any], path: str, message: str) -> None:
    (problem,) = problems(config)
    assert problem[0] == path
    assert message in problem[1]
    assert len(problem[1]) < 250


def test_several_mistakes_are_named_at_once() -> None:
    found = problems({"frequency": "weekly", "hour": 25, "time_zone": "Mars", "catch_up": "2d"})
    assert [path for path, _ in found] == [
        "trigger.hour",
        "trigger.day_of_week",
        "trigger.time_zone",
        "trigger.catch_up",
    ]


def test_a_day_of_catching_up_is_the_most() -> None:
    assert scheduled(**DAILY, catch_up="24h").catch_up == timedelta(days=1)


# What it does with events, and in the database.


def event(kind: EventType, **data: Any) -> Event:
    return Event(
        id=1,
        organization_id=UUID(int=1),
        type=kind,
        subject_type=SubjectType.CLIENT,
        subject_id="c",
        data=data,
        occurred_at=datetime(2026, 11, 21, 14, tzinfo=UTC),
    )


@pytest.mark.parametrize("kind", list(EventType))
def test_only_the_clock_sets_it_off(kind: EventType) -> None:
    assert scheduled(**DAILY).matches(event(kind)) is (kind is EventType.SCHEDULED)


def test_the_duplicate_window_compares_the_local_time() -> None:
    daily = scheduled(**DAILY)
    assert daily.value_of(event(EventType.SCHEDULED, local="2026-11-21T09:00")) == (
        "2026-11-21T09:00"
    )
    assert daily.value_of(event(EventType.SCHEDULED)) == ""


WEEKDAY = st.one_of(st.integers(0, 7), st.sampled_from(WEEKDAYS))
HOURS = {"hour": st.integers(0, 23), "minute": st.integers(0, 59)}
COMMON = {
    "time_zone": st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe"]),
    "audience": st.sampled_from([*Audience, "client", "job"]),
    "catch_up": st.integers(1, 86_400).map(lambda seconds: f"{seconds}s"),
}


def configs(frequency: str, **own: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    required = {"frequency": st.just(frequency), "hour": HOURS["hour"], **own}
    return st.fixed_dictionaries(required, optional={"minute": HOURS["minute"], **COMMON})


ANY = st.one_of(
    configs("daily"),
    configs("weekly", day_of_week=WEEKDAY),
    configs("monthly", day_of_month=st.integers(1, 31)),
    configs("yearly", month=st.integers(1, 12), day_of_month=st.integers(1, 28)),
    st.fixed_dictionaries(
        {"cron": st.sampled_from(["0 9 * * mon", "*/5 * * * *", "0 0 29 2 *"])}, optional=COMMON
    ),
)


@settings(deadline=None)
@given(ANY)
def test_a_schedule_survives_being_stored(config: dict[str, Any]) -> None:
    schedule = scheduled(**config)
    stored = schedule.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert Scheduled.model_validate(stored) == schedule
    assert Scheduled.model_validate_json(schedule.model_dump_json()) == schedule
    assert schedule.timetable == Scheduled.model_validate(stored).timetable
