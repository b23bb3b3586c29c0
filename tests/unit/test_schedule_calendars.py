"""A timetable becomes the calendars that Temporal's server and its Web UI read."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import ScheduleCalendarSpec, ScheduleRange

from fixlify.domain.timetable import Timetable
from starter.schedules.calendars import YEARS_AHEAD, explicit_dates, schedule_spec

NEW_YORK = "America/New_York"


def calendars(timetable: Timetable, zone: str = NEW_YORK) -> list[ScheduleCalendarSpec]:
    return list(schedule_spec(timetable, zone, []).calendars)


def numbers(ranges: tuple[ScheduleRange, ...]) -> list[int]:
    return [number for each in ranges for number in range(each.start, each.end + 1, each.step)]


def test_a_daily_time_is_one_calendar_with_its_cron_line_as_the_comment() -> None:
    assert calendars(Timetable.daily(9, 30)) == [
        ScheduleCalendarSpec(
            minute=(ScheduleRange(30),),
            hour=(ScheduleRange(9),),
            day_of_month=(ScheduleRange(1, 31),),
            month=(ScheduleRange(1, 12),),
            day_of_week=(ScheduleRange(0, 6),),
            comment="30 9 * * *",
        )
    ]


def test_zone_and_jitter_are_passed_on() -> None:
    spec = schedule_spec(Timetable(), NEW_YORK, [], timedelta(minutes=2))
    assert (spec.time_zone_name, spec.jitter) == (NEW_YORK, timedelta(minutes=2))


def test_numbers_become_ranges_and_steps() -> None:
    (calendar,) = calendars(Timetable.from_cron("*/15 1-3,9 * 1,2 1,3"))
    assert calendar.minute == (ScheduleRange(0, 45, 15),)
    assert calendar.hour == (ScheduleRange(1, 3), ScheduleRange(9))
    assert calendar.month == (ScheduleRange(1, 2),)
    assert numbers(calendar.day_of_week) == [1, 3]  # type: ignore[arg-type]


def test_either_day_is_two_calendars_because_temporal_wants_all_fields_to_match() -> None:
    by_date, by_weekday = calendars(Timetable.from_cron("0 9 13 * 5"))
    assert by_date.day_of_month == (ScheduleRange(13),)
    assert by_date.day_of_week == (ScheduleRange(0, 6),)
    assert by_weekday.day_of_month == (ScheduleRange(1, 31),)
    assert by_weekday.day_of_week == (ScheduleRange(5),)


def test_the_spring_gap_moves_a_time_forward_as_a_date_of_its_own() -> None:
    dates = explicit_dates(Timetable.daily(2, 30), NEW_YORK, 2027)
    assert [date.isoformat(" ", "minutes") for date in dates] == [
        "2027-03-14 03:30",
        "2028-03-12 03:30",
        "2029-03-11 03:30",
        "2030-03-10 03:30",
    ]
    assert len(dates) == YEARS_AHEAD + 1
    _, first, *_ = schedule_spec(Timetable.daily(2, 30), NEW_YORK, dates).calendars
    assert (first.year, first.month, first.day_of_month) == (
        (ScheduleRange(2027),),
        (ScheduleRange(3),),
        (ScheduleRange(14),),
    )
    assert (first.hour, first.minute) == ((ScheduleRange(3),), (ScheduleRange(30),))
    assert first.comment == "2027-03-14, which the cron line leaves out"


def test_the_last_day_of_a_short_month_is_a_date_of_its_own() -> None:
    dates = explicit_dates(Timetable.monthly(31, 9, 0), "UTC", 2027)
    assert [(date.month, date.day) for date in dates if date.year == 2028] == [
        (2, 29),
        (4, 30),
        (6, 30),
        (9, 30),
        (11, 30),
    ]


def test_every_minute_of_a_swallowed_hour_is_one_calendar_not_sixty() -> None:
    every_minute_of_two = Timetable.from_cron("* 2 * * *")
    dates = explicit_dates(every_minute_of_two, NEW_YORK, 2027)
    assert len(dates) == 60 * (YEARS_AHEAD + 1)
    spec = schedule_spec(every_minute_of_two, NEW_YORK, dates)
    assert len(spec.calendars) == 1 + YEARS_AHEAD + 1
    assert spec.calendars[1].minute == (ScheduleRange(0, 59),)
