"""Timetables hold what they promise in every zone and year, clock changes and leap days included.

The expectations are brute force: minute by minute, in code that shares nothing with the
timetables but zoneinfo.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixlify.domain.occurrences import of_schedule
from fixlify.domain.timetable import (
    Timetable,
    cron_line,
    describe,
    last_occurrence,
    occurrences,
    unplanned,
)

ZONES = (
    "UTC",
    "America/New_York",
    "America/St_Johns",
    "America/Scoresbysund",  # changed its offset and its rule in 2024
    "America/Sao_Paulo",  # put its clocks forward at midnight
    "America/Havana",
    "Africa/Casablanca",  # changes twice around each Ramadan
    "Africa/Cairo",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Lord_Howe",  # half an hour
    "Europe/Dublin",
    "Pacific/Apia",  # skipped 30 December 2011
    "Pacific/Chatham",
)
YEARS = range(2000, 2061)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SPAN = 3 * DAY

lenient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def offset(instant: datetime, zone: str) -> timedelta:
    return instant.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()


def wall(instant: datetime, zone: str) -> datetime:
    """Return what the clock shows then; ``fold`` says whether for the second time."""
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@cache
def changes(zone: str) -> tuple[datetime, ...]:
    """Return the days (as instants) within which the zone's offset changes."""
    day = datetime(YEARS.start, 1, 1, tzinfo=UTC)
    days = [day + n * DAY for n in range(365 * len(YEARS))]
    return tuple(a for a, b in pairwise(days) if offset(a, zone) != offset(b, zone))


def fires(timetable: Timetable, local: datetime, *, plain: bool = False) -> bool:
    """Whether *local* is a time of the timetable; *plain* knows no last day of the month."""
    last = monthrange(local.year, local.month)[1]
    chosen = local.day in timetable.days_of_month
    if timetable.clip_to_last_day and not plain:
        chosen = chosen or (local.day == last and last < max(timetable.days_of_month))
    on_weekday = local.isoweekday() % 7 in timetable.days_of_week
    return (
        local.minute in timetable.minutes
        and local.hour in timetable.hours
        and local.month in timetable.months
        and ((chosen or on_weekday) if timetable.either_day else (chosen and on_weekday))
    )


def numbers(least: int, most: int, every: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    """Draw all numbers of a field, or a few of them."""
    few = st.sets(st.integers(least, most), min_size=1, max_size=every)
    return st.one_of(st.just(set(range(least, most + 1))), few).map(lambda s: tuple(sorted(s)))


@st.composite
def cron_timetables(draw: st.DrawFn) -> Timetable:
    days_of_month, days_of_week = draw(numbers(1, 31)), draw(numbers(0, 6))
    months = draw(numbers(1, 12))
    restricted = len(days_of_month) < 31 and len(days_of_week) < 7
    either = restricted and draw(st.booleans())
    if not either:
        # A month has the first; and a star begins with it, as cron wants for both days.
        days_of_month = tuple(sorted({1, *days_of_month}))
    return Timetable(
        minutes=draw(numbers(0, 59)),
        # Clocks change at night: without this, few examples would come near.
        hours=draw(st.one_of(numbers(0, 23), numbers(0, 3))),
        days_of_month=days_of_month,
        months=months,
        days_of_week=days_of_week,
        either_day=either,
    )


@st.composite
def named_timetables(draw: st.DrawFn) -> Timetable:
    hour = draw(st.one_of(st.integers(0, 23), st.integers(0, 3)))
    minute = draw(st.integers(0, 59))
    day = draw(st.one_of(st.integers(1, 31), st.integers(28, 31)))
    month = draw(st.sampled_from([m for m in range(1, 13) if day <= monthrange(2024, m)[1]]))
    return draw(
        st.sampled_from(
            [
                Timetable.daily(hour, minute),
                Timetable.weekly(day % 7, hour, minute),
                Timetable.monthly(day, hour, minute),
                Timetable.yearly(month, day, hour, minute),
            ]
        )
    )


timetables = st.one_of(cron_timetables(), named_timetables())


@st.composite
def zones_and_moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """Draw a zone and an instant: the day before a change of its clocks, or any."""
    zone = draw(st.sampled_from(ZONES))
    near = [change - DAY for change in changes(zone)]
    any_time = st.datetimes(
        datetime.fromisoformat(f"{YEARS.start}-01-02"), datetime.fromisoformat("2060-12-25")
    ).map(lambda moment: moment.replace(second=0, microsecond=0, tzinfo=UTC))
    return zone, draw(st.one_of(st.sampled_from(near), any_time) if near else any_time)


places = zones_and_moments()


@lenient
@given(timetables, places)
def test_times_ascend_and_each_is_one_of_the_timetable(
    timetable: Timetable, place: tuple[str, datetime]
) -> None:
    zone, after = place
    found = list(islice(occurrences(timetable, zone, after), 30))
    assert len(found) == 30
    assert after < found[0].at
    for earlier, later in pairwise(found):
        assert earlier.at < later.at
    for each in found:
        assert fires(timetable, each.local)
        shown = wall(each.at, zone)
        # In a gap the clock shows more, by exactly what it was put forward; else the same.
        assert shown.fold == 0
        gap = shown - each.local
        assert gap == timedelta() or gap == offset(each.at, zone) - offset(each.at - DAY, zone) > (
            timedelta()
        )


@lenient
@given(timetables, places)
def test_a_calendar_and_what_it_leaves_out_make_all_instants(
    timetable: Timetable, place: tuple[str, datetime]
) -> None:
    zone, after = place
    until = after + SPAN
    planned = set()
    for minute in range(1, SPAN // MINUTE + 1):
        instant = after + minute * MINUTE
        shown = wall(instant, zone)
        # The second fold is the occurrence of the first, known by its key.
        if shown.fold == 0 and fires(timetable, shown, plain=True):
            planned.add(instant)
    extra = [
        each.at
        for each in unplanned(timetable, zone, after.year - 1, until.year + 1)
        if after < each.at <= until
    ]
    assert len(set(extra)) == len(extra)
    assert planned.isdisjoint(extra)
    found = list(takewhile(lambda each: each.at <= until, occurrences(timetable, zone, after)))
    assert {each.at for each in found} == planned | set(extra)


@lenient
@given(timetables, places)
def test_every_local_time_happens_once(timetable: Timetable, place: tuple[str, datetime]) -> None:
    """No day is lost in spring and none doubled in autumn, in the keys too."""
    zone, moment = place
    first = wall(moment, zone).replace(fold=0)
    expected = []
    for minute in range(SPAN // MINUTE):
        local = first + minute * MINUTE
        if not fires(timetable, local):
            continue
        real = local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        swallowed = wall(real, zone) != local
        if not (swallowed and fires(timetable, wall(real, zone))):
            expected.append(local)
    around = takewhile(
        lambda each: each.at < moment + SPAN + 3 * DAY,
        occurrences(timetable, zone, moment - 2 * DAY),
    )
    found = [each.local for each in around if first <= each.local < first + SPAN]
    assert sorted(found) == expected
    assert len({of_schedule(local, "client", "c") for local in found}) == len(expected)


@lenient
@given(timetables, places)
def test_the_newest_is_the_one_before_the_next(
    timetable: Timetable, place: tuple[str, datetime]
) -> None:
    zone, after = place
    found = list(islice(occurrences(timetable, zone, after), 8))
    for earlier, later in pairwise(found):
        assert last_occurrence(timetable, zone, earlier.at) == earlier
        assert last_occurrence(timetable, zone, later.at - timedelta.resolution) == earlier
    newest = last_occurrence(timetable, zone, after)
    assert newest is not None
    assert newest.at <= after
    assert next(occurrences(timetable, zone, newest.at)) == found[0]
    assert next(occurrences(timetable, zone, newest.at - timedelta.resolution)) == newest


@lenient
@given(places, st.integers(0, 23), st.integers(0, 59))
def test_a_leap_day_comes_in_leap_years_alone_and_a_birthday_every_year(
    place: tuple[str, datetime], hour: int, minute: int
) -> None:
    zone, after = place
    leap = islice(occurrences(Timetable.from_cron(f"{minute} {hour} 29 2 *"), zone, after), 5)
    for each in leap:
        assert (each.local.month, each.local.day) == (2, 29)
    birthdays = islice(occurrences(Timetable.yearly(2, 29, hour, minute), zone, after), 5)
    years = []
    for each in birthdays:
        years.append(each.local.year)
        assert each.local.day == monthrange(each.local.year, 2)[1]
    assert years == list(range(years[0], years[0] + 5))


@lenient
@given(places, st.integers(28, 31), st.integers(0, 23), st.integers(0, 59))
def test_every_month_has_one_of_a_monthly_timetable(
    place: tuple[str, datetime], day: int, hour: int, minute: int
) -> None:
    zone, after = place
    found = list(islice(occurrences(Timetable.monthly(day, hour, minute), zone, after), 14))
    months = [each.local.year * 12 + each.local.month for each in found]
    assert months == list(range(months[0], months[0] + 14))
    for each in found:
        assert each.local.day == min(day, monthrange(each.local.year, each.local.month)[1])


@lenient
@given(cron_timetables())
def test_a_cron_line_reads_back_as_its_timetable(timetable: Timetable) -> None:
    assert Timetable.from_cron(cron_line(timetable)) == timetable
    assert describe(timetable)


@lenient
@given(named_timetables())
def test_a_cron_line_leaves_out_nothing_but_the_clipping(timetable: Timetable) -> None:
    read = Timetable.from_cron(cron_line(timetable))
    assert read == timetable.model_copy(update={"clip_to_last_day": False})


def cron_field(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    star = st.just("*")
    stepped = st.tuples(st.one_of(star, span, number.map(str)), st.integers(1, most)).map(
        lambda parts: f"{parts[0]}/{parts[1]}"
    )
    term = st.one_of(star, number.map(str), span, stepped)
    return st.lists(term, min_size=1, max_size=3).map(",".join)


@lenient
@given(
    cron_field(0, 59), cron_field(0, 23), cron_field(1, 31), cron_field(1, 12), cron_field(0, 7),
    places,
)  # fmt: skip
def test_a_cron_line_means_what_cron_makes_of_it(
    minute: str, hour: str, day: str, month: str, weekday: str, place: tuple[str, datetime]
) -> None:
    line = f"{minute} {hour} {day} {month} {weekday}"
    _, after = place
    try:
        timetable = Timetable.from_cron(line)
    except ValueError as refused:
        if "never fires" not in str(refused):
            raise
        return
    found = [each.at for each in islice(occurrences(timetable, "UTC", after), 20)]
    assert found == list(islice(CronSim(line, after), 20))
    assert Timetable.from_cron(cron_line(timetable)) == timetable


@lenient
@given(st.text(alphabet="0123456789*/-,# LWmonjan?@", max_size=20))
def test_any_text_is_a_timetable_that_fires_or_a_refusal(line: str) -> None:
    try:
        timetable = Timetable.from_cron(line)
    except ValueError:
        return
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert next(occurrences(timetable, "UTC", now)).at > now


@lenient
@given(timetables)
def test_a_timetable_survives_being_stored(timetable: Timetable) -> None:
    assert Timetable.model_validate_json(timetable.model_dump_json()) == timetable
