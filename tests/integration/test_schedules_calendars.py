"""Temporal's server fires when the domain says so: next action times against ``occurrences``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleState

from fixlify import temporal
from fixlify.domain.timetable import Timetable, occurrences
from starter.schedules.calendars import YEARS_AHEAD, explicit_dates, schedule_spec
from tests.scheduling import new_namespace

ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    # Half an hour of summer time; midnight that does not exist; no summer time below it.
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/St_Johns",
    "America/Santiago",
    "America/Havana",
]
TIMETABLES = [
    Timetable(),
    Timetable.from_cron("5 * * * *"),
    Timetable.from_cron("*/7 1-4 * * *"),
    Timetable.from_cron("0 0 * * *"),
    Timetable.daily(2, 30),
    Timetable.weekly(0, 2, 30),
    Timetable.monthly(31, 9, 0),
    Timetable.monthly(29, 2, 15),
    Timetable.yearly(2, 29, 9, 0),
    Timetable.from_cron("15,45 2 * * *"),
    Timetable.from_cron("0 9 13 * 5"),
    Timetable.from_cron("30 6 */2 * 1-5"),
    Timetable.from_cron("*/20 * * * 0"),
    Timetable.weekly(0, 0, 15),
]


def clock_changes(zone: str, *, forward: bool) -> Iterator[datetime]:
    """Yield the instants at which the zone's clocks are put forward, or back, within a year."""
    clock = ZoneInfo(zone)
    instant = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
    end = instant + timedelta(days=370)
    while instant < end:
        after = instant + timedelta(minutes=30)
        difference = _offset(after, clock) - _offset(instant, clock)
        if difference and (difference > timedelta()) is forward:
            yield after
        instant = after


def _offset(instant: datetime, clock: ZoneInfo) -> timedelta:
    return instant.astimezone(clock).utcoffset() or timedelta()


@pytest.fixture(scope="module")
async def client(temporal_client: Client) -> Client:
    address = temporal_client.service_client.config.target_host
    return await temporal.connect(address, await new_namespace(temporal_client))


async def next_action_times(
    client: Client, timetable: Timetable, zone: str, after: datetime
) -> list[datetime]:
    spec = schedule_spec(timetable, zone, explicit_dates(timetable, zone, datetime.now(UTC).year))
    handle = await client.create_schedule(
        uuid4().hex,
        Schedule(
            ScheduleActionStartWorkflow("sweep", id="sweep", task_queue="nobody"),
            replace(spec, start_at=after + timedelta(seconds=1)),
            state=ScheduleState(paused=True),
        ),
    )
    description = await handle.describe()
    await handle.delete()
    return list(description.info.next_action_times)


def within_the_dates(instants: Iterable[datetime]) -> list[datetime]:
    """Return those for which dates are named; the years after them are named by then."""
    last_year = datetime.now(UTC).year + YEARS_AHEAD
    return [instant for instant in instants if instant.year <= last_year]


@pytest.mark.parametrize("zone", ZONES)
async def test_the_server_and_the_domain_agree_on_the_next_times(zone: str, client: Client) -> None:
    """Also across the day on which the clocks are put forward."""
    soon = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=2)
    starts = [soon]
    for change in clock_changes(zone, forward=True):
        starts += [change - timedelta(minutes=30), change - timedelta(hours=26)]
    for timetable in TIMETABLES:
        for start in starts:
            fired = within_the_dates(await next_action_times(client, timetable, zone, start))
            expected = islice(occurrences(timetable, zone, start), len(fired))
            assert fired == [each.at for each in expected], (timetable, start)
            assert fired, (timetable, start)


@pytest.mark.parametrize(
    "zone", [each for each in ZONES if any(clock_changes(each, forward=False))]
)
async def test_an_hour_that_comes_twice_fires_in_either_pass(zone: str, client: Client) -> None:
    """Where the clocks are put back, the server chooses the pass, or fires in both; the time on
    the wall, by which an occurrence is known, is the same. Timetables of several minutes an hour
    are left out: the server passes over some of theirs that night.
    """
    clock = ZoneInfo(zone)
    (change,) = clock_changes(zone, forward=False)
    for timetable in TIMETABLES:
        if len(timetable.minutes) > 1:
            continue
        start = change - timedelta(hours=26)
        fired = within_the_dates(await next_action_times(client, timetable, zone, start))
        walls = list(dict.fromkeys(at.astimezone(clock).replace(tzinfo=None) for at in fired))
        expected = islice(occurrences(timetable, zone, start), len(walls))
        assert walls == [each.at.astimezone(clock).replace(tzinfo=None) for each in expected], (
            timetable
        )
