"""Reminders of visits: before each visit at the time it has, once, and never at booking."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from fixlify.domain.occurrences import of_reminder
from fixlify.domain.sweeps import SweepFindings, SweepKind
from fixlify.storage.database import Database
from tests.office import Office
from tests.sweeping import keys, listen_since, run_of, sweep_once, swept_events, too_long_an_id

REMINDER = """
name: Reminder
trigger: {type: appointment_reminder, before: 24h}
steps: [{type: send_sms, text: See you tomorrow.}]
"""
DAY = timedelta(hours=24)
NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
TOMORROW = NOW + DAY


async def sweep(database: Database, at: datetime = NOW, **options: Any) -> SweepFindings:
    return await sweep_once(database, run_of(SweepKind.AUTOMATION_TRIGGERS, at), **options)


async def booked(office: Office, at: datetime) -> None:
    """Have the visit's newest time be set at that moment."""
    await office.query(
        "UPDATE automation_events SET occurred_at = %s WHERE id ="
        " (SELECT max(id) FROM automation_events WHERE event_type = 'job_scheduled')",
        at,
    )


async def visit(
    office: Office,
    at: datetime = TOMORROW,
    *,
    job: str = "J-1",
    booked_at: datetime = NOW - timedelta(days=9),
    **columns: Any,
) -> str:
    """Enter a job whose visit is *at* a time, booked at another."""
    await office.add_job(job, schedule_start=at, **columns)
    await booked(office, booked_at)
    return job


async def move(office: Office, job: str, to: datetime, at: datetime) -> None:
    """Move the visit of *job*, at a moment."""
    await office.query("UPDATE jobs SET schedule_start = %s WHERE id = %s", to, job)
    await booked(office, at)


async def test_a_visit_is_reminded_of_its_lead_before_it(
    office: Office, engine_database: Database
) -> None:
    await office.apply(REMINDER)
    job = await visit(office)
    await visit(office, TOMORROW + timedelta(seconds=1), job="J-2")

    assert await sweep(engine_database) == SweepFindings(looked_at=1, found=1)

    (event,) = await swept_events(office)
    assert (event["event_type"], event["subject_id"]) == ("appointment_reminder", job)
    assert event["occurrence_key"] == of_reminder(job, TOMORROW, DAY)
    assert event["data"] == {"before": 86400, "visit": "2026-11-22T14:00:00+00:00"}


async def test_a_visit_with_a_fraction_of_a_second_has_the_key_of_its_second(
    office: Office, engine_database: Database
) -> None:
    await office.apply(REMINDER)
    at = TOMORROW - timedelta(microseconds=1)
    job = await visit(office, at)
    await sweep(engine_database)
    assert await keys(office) == [of_reminder(job, at, DAY)]


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (timedelta(seconds=-1), None),
        (timedelta(0), "in time"),
        (timedelta(hours=2, seconds=-1), "in time"),
        (timedelta(hours=2), "late"),
        (timedelta(hours=23), "late"),
        (timedelta(hours=24), None),
    ],
)
async def test_a_reminder_goes_out_two_hours_late_at_most(
    office: Office, engine_database: Database, late: timedelta, expected: str | None
) -> None:
    await office.apply(REMINDER)
    await listen_since(office, NOW - timedelta(days=30))
    await visit(office)

    await sweep(engine_database, NOW + late)

    found = ["late" if "late" in e["data"] else "in time" for e in await swept_events(office)]
    assert found == ([expected] if expected else [])


@pytest.mark.parametrize("waited", [timedelta(minutes=16), timedelta(minutes=29)])
async def test_a_run_that_waited_for_a_worker_reminds_of_nothing_stale(
    office: Office, engine_database: Database, waited: timedelta
) -> None:
    """It looks at the visits as they are when it runs, not when it was due."""
    await office.apply(REMINDER.replace("24h", "30m"))
    await listen_since(office, NOW - timedelta(days=30))
    await visit(office, NOW + timedelta(minutes=30))

    await sweep(engine_database, NOW, now=NOW + waited)

    (event,) = await swept_events(office)
    assert f"found {waited // timedelta(minutes=1)} minutes later" in event["data"]["late"]


async def test_a_clock_that_lags_behind_the_servers_looks_at_the_minute_that_was_meant(
    office: Office, engine_database: Database
) -> None:
    await office.apply(REMINDER)
    await visit(office)
    assert (await sweep(engine_database, NOW, now=NOW - timedelta(seconds=5))).found == 1


async def test_what_came_too_late_says_how_late(office: Office, engine_database: Database) -> None:
    await office.apply(REMINDER)
    await listen_since(office, NOW - timedelta(days=30))
    await visit(office)
    await sweep(engine_database, NOW + timedelta(hours=3))
    (event,) = await swept_events(office)
    assert event["data"]["late"] == (
        "due at 2026-11-21 14:00 UTC: found 180 minutes later; it is sent at most 2h late"
    )


async def test_what_was_due_before_anybody_listened_was_not_missed(
    office: Office, engine_database: Database
) -> None:
    await office.apply(REMINDER)
    await listen_since(office, NOW + timedelta(hours=1))
    await visit(office)
    assert (await sweep(engine_database, NOW + timedelta(hours=3))).found == 0


async def test_a_visit_booked_at_short_notice_is_not_reminded_of_and_says_so_once(
    office: Office, engine_database: Database
) -> None:
    """Clients were once reminded at booking, and the real reminder was then suppressed."""
    await office.apply(REMINDER)
    await listen_since(office, NOW - timedelta(days=30))
    job = await visit(office, NOW + timedelta(hours=10), booked_at=NOW)

    found = [
        (await sweep(engine_database, NOW + timedelta(minutes=minute))).found for minute in range(3)
    ]

    assert found == [1, 0, 0]
    (event,) = await swept_events(office)
    assert event["subject_id"] == job
    assert event["data"]["late"] == (
        "due at 2026-11-21 00:00 UTC, before the visit had its time (set at 2026-11-21 14:00 UTC)"
    )


async def test_a_visit_moved_inside_its_lead_is_not_reminded_of_again(
    office: Office, engine_database: Database
) -> None:
    """Whoever moved it by a minute has spoken with the client."""
    await office.apply(REMINDER)
    job = await visit(office)
    await sweep(engine_database)

    await move(office, job, TOMORROW + timedelta(minutes=1), NOW + timedelta(minutes=5))
    await sweep(engine_database, NOW + timedelta(minutes=5))

    in_time, moved = await swept_events(office)
    assert "late" not in in_time["data"]
    assert "before the visit had its time" in moved["data"]["late"]


async def outage(office: Office, since: datetime) -> None:
    """Have the minutely sweep have completed last at that moment."""
    await office.query(
        "INSERT INTO automation_schedule_runs (id, schedule_id, scheduled_at, started_at, status)"
        " VALUES ('last', 'check-automation-triggers/', %s, %s, 'completed')",
        since,
        since,
    )


@pytest.mark.parametrize("status", ["scheduled", "completed", "No show"])
async def test_a_visit_that_passed_during_an_outage_is_recorded_as_missed(
    office: Office, engine_database: Database, status: str
) -> None:
    """Otherwise nobody ever hears of the reminders that a day without a server cost."""
    await office.apply(REMINDER)
    await listen_since(office, NOW - timedelta(days=30))
    await visit(office, NOW - timedelta(hours=1), status=status)
    await visit(office, NOW - timedelta(hours=1), job="J-2", status="cancelled")
    await visit(office, NOW - timedelta(hours=1), job="J-3", booked_at=NOW)
    # Due, and swept, before the outage.
    await visit(office, NOW - timedelta(hours=7), job="J-4")
    await outage(office, NOW - timedelta(hours=30))

    await sweep(engine_database)

    (event,) = await swept_events(office)
    assert event["subject_id"] == "J-1"
    assert "found 1500 minutes later" in event["data"]["late"]


async def test_a_visit_that_moves_is_reminded_of_at_its_new_time(
    office: Office, engine_database: Database
) -> None:
    await office.apply(REMINDER)
    job = await visit(office)
    await sweep(engine_database)

    await move(office, job, TOMORROW + timedelta(days=2), NOW + timedelta(hours=1))
    await sweep(engine_database, NOW + timedelta(hours=1))
    assert len(await keys(office)) == 1
    await sweep(engine_database, NOW + timedelta(days=2))

    # And back to a time that was reminded of already.
    await move(office, job, TOMORROW, NOW - timedelta(hours=1))
    await sweep(engine_database)
    assert await keys(office) == [
        of_reminder(job, TOMORROW, DAY),
        of_reminder(job, TOMORROW + timedelta(days=2), DAY),
    ]


@pytest.mark.parametrize("status", ["cancelled", "Canceled", "completed", "No Show"])
async def test_a_visit_that_will_not_be_is_not_reminded_of(
    office: Office, engine_database: Database, status: str
) -> None:
    await office.apply(REMINDER)
    await visit(office, status=status)
    assert (await sweep(engine_database)).found == 0


async def test_without_a_history_the_job_itself_says_when_it_was_booked(
    office: Office, engine_database: Database
) -> None:
    """Companies have visits from before they used automations."""
    await office.apply(REMINDER)
    await visit(office, job="J-1", created_at=NOW - timedelta(days=3))
    await visit(office, job="J-2", created_at=NOW + timedelta(minutes=1))
    await office.query("DELETE FROM automation_events")
    await sweep(engine_database, NOW + timedelta(minutes=1))
    late = {event["subject_id"]: "late" in event["data"] for event in await swept_events(office)}
    assert late == {"J-1": False, "J-2": True}


@pytest.mark.parametrize(
    "at", [datetime(2026, 3, 8, 12, tzinfo=UTC), datetime(2026, 11, 1, 12, tzinfo=UTC)]
)
async def test_a_lead_is_hours_also_where_the_database_sees_the_clocks_change(
    office: Office, engine_database: Database, at: datetime
) -> None:
    async with await psycopg.AsyncConnection.connect(office.url, autocommit=True) as connection:
        name = connection.info.dbname
        await connection.execute(
            f"ALTER DATABASE {name} SET timezone TO 'America/New_York'".encode()
        )
    await office.apply(REMINDER)
    await listen_since(office, at - timedelta(days=30))
    job = await visit(office, at, booked_at=at - DAY - timedelta(minutes=1))
    await visit(office, at, job="J-2", booked_at=at - DAY)

    assert (await sweep(engine_database, at - DAY - timedelta(seconds=1))).found == 0
    await sweep(engine_database, at - DAY)

    event, booked_then = await swept_events(office)
    assert event["occurrence_key"] == of_reminder(job, at, DAY)
    assert datetime.fromisoformat(event["data"]["visit"]) == at
    assert [("late" in each["data"]) for each in (event, booked_then)] == [False, True]


async def test_every_minute_and_five_at_once_reminds_once(
    office: Office, engine_database: Database
) -> None:
    await office.apply(REMINDER)
    for number in range(9):
        await visit(office, job=f"J-{number}")
    for minute in range(3):
        at = NOW + timedelta(minutes=minute)
        await asyncio.gather(*(sweep(engine_database, at, page_size=2) for _ in range(5)))
    assert await keys(office) == [of_reminder(f"J-{number}", TOMORROW, DAY) for number in range(9)]


async def test_a_visit_without_a_time_that_can_be_is_passed_over(
    office: Office, engine_database: Database
) -> None:
    await office.apply(REMINDER)
    await visit(office, job="J-1")
    for number, time in enumerate(("infinity", "-infinity", "0044-03-15 BC"), start=2):
        await visit(office, job=f"J-{number}")
        await office.query("UPDATE jobs SET schedule_start = %s WHERE id = %s", time, f"J-{number}")
        await booked(office, NOW - timedelta(days=9))
    assert (await sweep(engine_database)).found == 1


async def test_a_row_that_cannot_be_recorded_is_told_of_and_passed_over(
    office: Office, engine_database: Database
) -> None:
    """An id may be so long that its occurrence is too long for an index."""
    endless = too_long_an_id()
    await office.apply(REMINDER)
    jobs = [f"J-{number}" for number in range(8)] + [endless] + [f"K-{n}" for n in range(8)]
    for job in jobs:
        await visit(office, job=job)

    findings = await sweep(engine_database, page_size=5)

    assert (findings.looked_at, findings.found) == (17, 16)
    (problem,) = findings.problems
    assert f"job {endless[:60]}: cannot be recorded" in problem
    assert endless not in await keys(office)
