"""A timetable's times come on the right days, once each, also when the clocks change."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from fixlify.domain.timetable import (
    Occurrence,
    Timetable,
    cron_line,
    describe,
    last_occurrence,
    occurrences,
    unplanned,
    zone_problem,
)

NEW_YORK = "America/New_York"
LORD_HOWE = "Australia/Lord_Howe"
APIA = "Pacific/Apia"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def naive(text: str) -> datetime:
    return datetime.fromisoformat(text)


def upcoming(timetable: Timetable, zone: str, after: datetime, count: int) -> list[tuple[str, str]]:
    """Return local times as written, each with what the wall clock really shows."""
    return [
        (
            f"{each.local:%Y-%m-%d %H:%M}",
            f"{each.at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M %z}",
        )
        for each in islice(occurrences(timetable, zone, after), count)
    ]


def cron(expression: str) -> Timetable:
    return Timetable.from_cron(expression)


# Which days.


@pytest.mark.parametrize(
    ("timetable", "expected"),
    [
        (Timetable.daily(9, 0), ["2026-11-21 09:00", "2026-11-22 09:00", "2026-11-23 09:00"]),
        (Timetable.weekly(1, 9, 30), ["2026-11-23 09:30", "2026-11-30 09:30", "2026-12-07 09:30"]),
        (Timetable.weekly(0, 0, 0), ["2026-11-22 00:00", "2026-11-29 00:00", "2026-12-06 00:00"]),
        (Timetable.monthly(1, 8, 0), ["2026-12-01 08:00", "2027-01-01 08:00", "2027-02-01 08:00"]),
        (
            Timetable.monthly(31, 8, 30),
            ["2026-11-30 08:30", "2026-12-31 08:30", "2027-01-31 08:30", "2027-02-28 08:30"],
        ),
        (
            Timetable.monthly(29, 8, 30),
            ["2026-11-29 08:30", "2026-12-29 08:30", "2027-01-29 08:30", "2027-02-28 08:30"],
        ),
        (Timetable.yearly(12, 24, 7, 0), ["2026-12-24 07:00", "2027-12-24 07:00"]),
        (
            Timetable.yearly(2, 29, 7, 0),
            ["2027-02-28 07:00", "2028-02-29 07:00", "2029-02-28 07:00"],
        ),
        (cron("0 7 29 2 *"), ["2028-02-29 07:00", "2032-02-29 07:00"]),
        (cron("0 7 31 * *"), ["2026-12-31 07:00", "2027-01-31 07:00", "2027-03-31 07:00"]),
        # Cron's own rule: two restricted day fields are alternatives.
        (cron("0 9 13 * fri"), ["2026-11-27 09:00", "2026-12-04 09:00", "2026-12-11 09:00",
                                "2026-12-13 09:00"]),
        # Unless one of them begins with a star: the first Sunday of a month.
        (cron("0 9 1-7 * */7"), ["2026-12-06 09:00", "2027-01-03 09:00"]),
        (cron("*/20 8-9 * * *"), ["2026-11-21 08:00", "2026-11-21 08:20", "2026-11-21 08:40",
                                  "2026-11-21 09:00"]),
    ],
)  # fmt: skip
def test_the_next_times(timetable: Timetable, expected: list[str]) -> None:
    found = upcoming(timetable, "UTC", utc(2026, 11, 21, 0, 0, 1), len(expected))
    assert [local for local, _ in found] == expected


def test_a_century_that_is_no_leap_year_has_no_leap_day() -> None:
    found = upcoming(cron("0 7 29 2 *"), "Europe/Berlin", utc(2096, 3, 1), 2)
    assert [local for local, _ in found] == ["2104-02-29 07:00", "2108-02-29 07:00"]


def test_a_leap_day_on_a_sunday_is_found_across_forty_years() -> None:
    found = upcoming(cron("0 7 29 2 */7"), "UTC", utc(2088, 3, 1), 1)
    assert found[0][0] == "2128-02-29 07:00"
    before = last_occurrence(cron("0 7 29 2 */7"), "UTC", utc(2128, 2, 29, 6, 59))
    assert before == Occurrence(local=naive("2088-02-29T07:00"), at=utc(2088, 2, 29, 7))


def test_what_happens_at_the_very_instant_is_not_after_it() -> None:
    daily = Timetable.daily(9, 0)
    nine = utc(2026, 11, 21, 9)
    assert next(occurrences(daily, "UTC", nine)).at == utc(2026, 11, 22, 9)
    assert next(occurrences(daily, "UTC", nine - timedelta.resolution)).at == nine
    assert last_occurrence(daily, "UTC", nine) == Occurrence(
        local=naive("2026-11-21T09:00"), at=nine
    )
    earlier = last_occurrence(daily, "UTC", nine - timedelta.resolution)
    assert earlier is not None
    assert earlier.at == utc(2026, 11, 20, 9)


def test_it_ends_with_the_year_9998_and_begins_with_the_second() -> None:
    noon = Timetable.daily(12, 0)
    last = list(occurrences(noon, "Pacific/Kiritimati", utc(9998, 12, 29, 12)))
    assert [each.local for each in last] == [naive("9998-12-30T12:00"), naive("9998-12-31T12:00")]
    assert list(occurrences(noon, "UTC", datetime.max.replace(tzinfo=UTC))) == []
    end = last_occurrence(noon, "Pacific/Pago_Pago", datetime.max.replace(tzinfo=UTC))
    assert end is not None
    assert end.local == naive("9998-12-31T12:00")
    first = next(occurrences(noon, "Asia/Manila", datetime.min.replace(tzinfo=UTC)))
    assert first.local == naive("0002-01-01T12:00")
    assert last_occurrence(Timetable.yearly(6, 1, 0, 0), "UTC", utc(1, 1, 1)) is None


@pytest.mark.parametrize("ask", [occurrences, last_occurrence])
def test_an_instant_without_a_zone_is_refused(ask: object) -> None:
    with pytest.raises(ValueError, match="pass an aware datetime"):
        ask(Timetable.daily(9, 0), "UTC", naive("2026-11-21T09:00"))  # type: ignore[operator]


# Which instants.


def test_a_time_inside_the_spring_gap_is_moved_forward_by_the_gap() -> None:
    assert upcoming(Timetable.daily(2, 30), NEW_YORK, utc(2026, 3, 7, 12), 2) == [
        ("2026-03-08 02:30", "2026-03-08 03:30 -0400"),
        ("2026-03-09 02:30", "2026-03-09 02:30 -0400"),
    ]


def test_a_moved_time_that_lands_on_another_is_that_other() -> None:
    assert upcoming(cron("30 1-3 * * *"), NEW_YORK, utc(2026, 3, 8, 5), 3) == [
        ("2026-03-08 01:30", "2026-03-08 01:30 -0500"),
        ("2026-03-08 03:30", "2026-03-08 03:30 -0400"),
        ("2026-03-09 01:30", "2026-03-09 01:30 -0400"),
    ]


def test_moved_times_come_in_the_order_in_which_they_happen() -> None:
    """On Lord Howe clocks go forward by half an hour, so 02:10 happens after 02:35."""
    assert upcoming(cron("10,35 2 * * *"), LORD_HOWE, utc(2026, 10, 3), 3) == [
        ("2026-10-04 02:35", "2026-10-04 02:35 +1100"),
        ("2026-10-04 02:10", "2026-10-04 02:40 +1100"),
        ("2026-10-05 02:10", "2026-10-05 02:10 +1100"),
    ]


@pytest.mark.parametrize("minutes", range(-1, 6))
def test_the_newest_may_be_one_that_was_moved(minutes: int) -> None:
    at = utc(2026, 10, 3, 15, 36) + timedelta(minutes=minutes)
    found = last_occurrence(cron("10,35 2 * * *"), LORD_HOWE, at)
    assert found is not None
    assert f"{found.local:%H:%M}" == ("02:35" if minutes < 4 else "02:10")


def test_a_time_that_is_always_inside_the_gap_still_happens() -> None:
    assert upcoming(cron("30 2 8-14 3 */7"), NEW_YORK, utc(2026, 1, 1), 2) == [
        ("2026-03-08 02:30", "2026-03-08 03:30 -0400"),
        ("2027-03-14 02:30", "2027-03-14 03:30 -0400"),
    ]
    last = list(occurrences(cron("30 2 8-14 3 */7"), NEW_YORK, utc(9997, 6, 1)))
    assert [f"{each.local:%Y-%m-%d}" for each in last] == ["9998-03-08"]


def test_an_hour_that_comes_twice_counts_the_first_time() -> None:
    assert upcoming(Timetable.daily(1, 30), NEW_YORK, utc(2026, 10, 31, 12), 2) == [
        ("2026-11-01 01:30", "2026-11-01 01:30 -0400"),
        ("2026-11-02 01:30", "2026-11-02 01:30 -0500"),
    ]
    between = utc(2026, 11, 1, 6)
    assert upcoming(Timetable.daily(1, 30), NEW_YORK, between, 1)[0][0] == "2026-11-02 01:30"
    newest = last_occurrence(Timetable.daily(1, 30), NEW_YORK, utc(2026, 11, 1, 6, 30))
    assert newest == Occurrence(local=naive("2026-11-01T01:30"), at=utc(2026, 11, 1, 5, 30))


def test_a_midnight_that_comes_twice_counts_the_first_time() -> None:
    """St John's put its clocks back at 00:01, into the evening before."""
    midnight, evening_again = Timetable.daily(0, 0), utc(2010, 11, 7, 3, 0)
    assert upcoming(midnight, "America/St_Johns", evening_again, 1) == [
        ("2010-11-08 00:00", "2010-11-08 00:00 -0330")
    ]
    newest = last_occurrence(midnight, "America/St_Johns", evening_again)
    assert newest == Occurrence(local=naive("2010-11-07T00:00"), at=utc(2010, 11, 7, 2, 30))


def test_a_day_that_a_zone_skipped_is_moved_by_a_day() -> None:
    """Samoa went from Thursday the 29th to Saturday the 31st of December 2011."""
    assert upcoming(Timetable.weekly(5, 9, 0), APIA, utc(2011, 12, 24), 2) == [
        ("2011-12-30 09:00", "2011-12-31 09:00 +1400"),
        ("2012-01-06 09:00", "2012-01-06 09:00 +1400"),
    ]
    assert [local for local, _ in upcoming(Timetable.daily(9, 0), APIA, utc(2011, 12, 29), 2)] == [
        "2011-12-29 09:00",
        "2011-12-31 09:00",
    ]


# What a plain calendar leaves out.


def test_a_plain_calendar_leaves_out_what_a_gap_moved() -> None:
    assert unplanned(Timetable.daily(2, 30), NEW_YORK, 2026, 2027) == [
        Occurrence(local=naive("2026-03-08T02:30"), at=utc(2026, 3, 8, 7, 30)),
        Occurrence(
            local=naive("2027-03-14T02:30"), at=utc(2027, 3, 14, 6, 30) + timedelta(hours=1)
        ),
    ]


def test_a_plain_calendar_leaves_out_the_last_days_of_short_months() -> None:
    found = unplanned(Timetable.monthly(31, 8, 30), "UTC", 2028, 2028)
    assert [f"{each.local:%m-%d}" for each in found] == [
        "02-29",
        "04-30",
        "06-30",
        "09-30",
        "11-30",
    ]
    assert [each.at for each in unplanned(Timetable.yearly(2, 29, 7, 0), "UTC", 2027, 2029)] == [
        utc(2027, 2, 28, 7),
        utc(2029, 2, 28, 7),
    ]


def test_a_plain_calendar_has_everything_else() -> None:
    for line in ("0 9 * * *", "30 * * * *", "30 1-3 * * *", "0 9 31 * *", "0 9 13 * fri"):
        assert unplanned(cron(line), NEW_YORK, 2020, 2030) == []
    assert unplanned(Timetable.daily(2, 30), "UTC", 2020, 2030) == []


def test_a_gap_across_midnight_is_left_out_on_both_its_days() -> None:
    """Toronto's clocks went from 23:30 to 00:30 on 30 March 1919."""
    for local in ("1919-03-30T23:45", "1919-03-31T00:15"):
        time = naive(local)
        timetable = Timetable.daily(time.hour, time.minute)
        assert [each.local for each in unplanned(timetable, "America/Toronto", 1919, 1919)] == [
            time
        ]


# Cron lines.


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("0 9 * * 7", "0 9 * * 0"),
        ("0 9 * * SUN", "0 9 * * 0"),
        ("0 9 * JAN mon", "0 9 * 1 1"),
        ("0 9 * * 0-7", "0 9 * * *"),
        ("0,15,30,45 9 * * *", "*/15 9 * * *"),
        (" 00\t09  * * 1,2,3,4,5 ", "0 9 * * 1-5"),
        ("0 9 1,1,15 * *", "0 9 1,15 * *"),
        ("0 0/6 * * *", "0 */6 * * *"),
        # Either of two days, and one of them is every day.
        ("0 9 1 * 0-6", "0 9 * * *"),
        ("0 9 1-31 * mon", "0 9 * * *"),
        ("0 9 13 * fri", "0 9 13 * 5"),
        ("0 9 1-31/2 * fri", "0 9 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * 5"),
        # Both days.
        ("0 9 */2 * fri", "0 9 */2 * 5"),
        ("0 9 */2,4 * fri", "0 9 */2,4 * 5"),
        ("0 9 1-7 * */7", "0 9 1-7 * */7"),
        ("* * * * *", "* * * * *"),
    ],
)
def test_a_cron_line_is_written_in_its_usual_form(written: str, same: str) -> None:
    assert cron_line(cron(written)) == same
    assert cron(written) == cron(same)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "five fields, minute hour day-of-month month day-of-week, such as '0 9 * * mon-fri'"),
        ("0 9 * *", "this has 4"),
        ("@daily", "this has 1"),
        ("0 0 9 * * *", "without seconds; remove the first of six"),
        ("60 9 * * *", "'60' is no minute; write numbers from 0 to 59"),
        ("0 24 * * *", "'24' is no hour; write numbers from 0 to 23"),
        ("0 9 0 * *", "'0' is no day of the month; write numbers from 1 to 31"),
        ("0 9 32 * *", "'32' is no day of the month"),
        ("0 9 * 13 *", "'13' is no month"),
        ("0 9 * janury *", "'janury' is no month; write numbers from 1 to 12 or short names"),
        ("0 9 * * 8", "'8' is no day of the week"),
        ("0 9 * * monday", "such as 1, mon or mon-fri"),
        ("0 9 * * fri-mon", "'fri-mon' is no day of the week"),
        ("*/0 9 * * *", "'*/0' is no minute"),
        ("-1 9 * * *", "'-1' is no minute"),
        ("0 9, * * *", "'9,' is no hour"),
        ("0 9 L * *", "use frequency monthly with day_of_month 31"),
        ("0 9 15W * *", "L, W, # and ?, which are not supported"),
        ("0 9 lw * *", "which are not supported"),
        ("0 9 ? * 1", "which are not supported"),
        ("0 9 * * 5L", "which are not supported"),
        ("0 9 * * 1#2", "which are not supported"),
        ("0 0 31 2 *", "never fires: its months have no such day"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 30-31 feb *", "never fires"),
        ("0 9 " + "1," * 300 + "1 * *", "500 characters at most"),
        ("0 " + "9" * 400 + " * * *", "is no hour"),
    ],
)
def test_a_cron_line_that_cannot_be_is_refused_with_the_reason(line: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as refused:
        cron(line)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("line", ["0 0 29 2 *", "0 0 31 2,3 *", "0 0 31 2 mon"])
def test_a_cron_line_that_fires_seldom_is_accepted(line: str) -> None:
    assert next(occurrences(cron(line), "UTC", utc(2026, 1, 1))).at < utc(2028, 3, 1)


# The model.


@pytest.mark.parametrize(
    "fields",
    [
        {"minutes": []},
        {"minutes": [60]},
        {"hours": [24]},
        {"hours": [-1]},
        {"days_of_month": [0]},
        {"months": [13]},
        {"days_of_week": [7]},
        {"either_day": True},
        {"either_day": True, "days_of_month": [1]},
        {"clip_to_last_day": True},
        {"clip_to_last_day": True, "days_of_month": [28]},
        {"clip_to_last_day": True, "days_of_month": [1, 31]},
        {"clip_to_last_day": True, "days_of_month": [31], "months": [1]},
        {"clip_to_last_day": True, "days_of_month": [31], "days_of_week": [0]},
        {"days_of_month": [30], "months": [2]},
        {"days_of_month": [13], "days_of_week": [5]},
    ],
)
def test_a_timetable_without_meaning_or_with_two_forms_is_refused(
    fields: dict[str, object],
) -> None:
    with pytest.raises(ValidationError):
        Timetable.model_validate(fields)


@pytest.mark.parametrize(("month", "day"), [(2, 30), (2, 31), (4, 31), (13, 1), (1, 0), (1, 32)])
def test_a_date_that_never_comes_is_no_yearly_timetable(month: int, day: int) -> None:
    with pytest.raises(ValidationError):
        Timetable.yearly(month, day, 9, 0)


@pytest.mark.parametrize("day", [0, 32])
def test_a_day_that_never_comes_is_no_monthly_timetable(day: int) -> None:
    with pytest.raises(ValidationError):
        Timetable.monthly(day, 9, 0)


def test_equal_timetables_are_equal_however_they_were_made() -> None:
    assert Timetable.weekly(0, 9, 0) == cron("0 9 * * 7")
    assert Timetable.yearly(12, 31, 9, 0) == cron("0 9 31 12 *")
    assert Timetable(hours=(9, 9, 8), minutes=(30, 0)) == cron("0,30 8-9 * * *")


def test_a_timetable_survives_being_stored() -> None:
    for timetable in (Timetable.monthly(31, 8, 30), cron("0 9 13 * fri"), cron("0 9 1-7 * */7")):
        assert Timetable.model_validate(timetable.model_dump(mode="json")) == timetable


@pytest.mark.parametrize(
    ("timetable", "sentence"),
    [
        (cron("* * * * *"), "every minute"),
        (cron("5 * * * *"), "hourly at :05"),
        (Timetable.daily(9, 0), "daily at 09:00"),
        (Timetable.weekly(1, 9, 0), "weekly on Monday at 09:00"),
        (Timetable.monthly(1, 0, 5), "monthly on day 1 at 00:05"),
        (Timetable.monthly(31, 8, 30), "monthly on day 31 (or the last day) at 08:30"),
        (Timetable.yearly(12, 24, 7, 0), "yearly on 24 December at 07:00"),
        (Timetable.yearly(2, 29, 7, 0), "yearly on 29 February (or the last day) at 07:00"),
        (cron("0 7 29 2 *"), "yearly on 29 February at 07:00"),
        (cron("0 9 * * 7"), "weekly on Sunday at 09:00"),
        (cron("0 9 * * mon-fri"), "0 9 * * 1-5"),
        (cron("0,30 9 * * *"), "0,30 9 * * *"),
        (cron("*/15 * * * *"), "*/15 * * * *"),
        (cron("0 9 13 * fri"), "0 9 13 * 5"),
        (cron("0 9 * 6 *"), "0 9 * 6 *"),
        (cron("0 9 * 6 1"), "0 9 * 6 1"),
        (cron("0 9 */2 * *"), "0 9 */2 * *"),
    ],
)
def test_a_timetable_is_described_for_people(timetable: Timetable, sentence: str) -> None:
    assert describe(timetable) == sentence


# Zones.


@pytest.mark.parametrize("name", ["UTC", NEW_YORK, "Europe/Berlin", "Asia/Kathmandu", "Etc/GMT+5"])
def test_a_real_zone_has_no_problem(name: str) -> None:
    assert zone_problem(name) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "a time zone is a name such as 'America/New_York'"),
        (" ", "a time zone is a name such as 'America/New_York'"),
        ("Europe/Berln", "unknown time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?"),
        ("europe/berlin", "did you mean 'Europe/Berlin'?"),
        ("New York", "did you mean 'America/New_York'?"),
        ("Mars/Olympus", "unknown time zone 'Mars/Olympus'; did you mean"),
        ("America", "unknown time zone"),
        ("/etc/localtime", "unknown time zone"),
        ("/usr/share/zoneinfo/UTC", "unknown time zone"),
        ("../UTC", "unknown time zone"),
        ("./UTC", "unknown time zone"),
        ("UTC ", "did you mean 'UTC'?"),
        # What the machine's folder holds beside the zones.
        ("localtime", "unknown time zone"),
        ("posixrules", "unknown time zone"),
        ("Factory", "unknown time zone"),
        ("zzzzzzzz", "write a name such as 'America/New_York'"),
        ("x" * 10_000, "write a name such as"),
    ],
)
def test_what_is_no_zone_is_refused_with_the_nearest(name: str, says: str) -> None:
    problem = zone_problem(name)
    assert problem is not None
    assert says in problem
    assert len(problem) < 150
