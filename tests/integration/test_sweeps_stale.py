"""Jobs that stand in a status for days: found once each time they do, and at no cost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fixlify.domain.occurrences import of_stale_job
from fixlify.domain.sweeps import SweepFindings, SweepKind
from fixlify.storage.database import Database
from tests.office import Office
from tests.sweeping import keys, listen_since, run_of, sweep_once, swept_events

STALE = """
name: Stale
trigger: {type: stale_job, status: [Waiting for parts, on hold], days: 3}
steps: [{type: send_email, to: technician, subject: Still waiting, text: Please look.}]
"""
NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
THREE_DAYS_AGO = NOW - timedelta(days=3)


async def sweep(database: Database, at: datetime = NOW, **options: Any) -> SweepFindings:
    return await sweep_once(database, run_of(SweepKind.AUTOMATION_TRIGGERS, at), **options)


async def happened(office: Office, at: datetime) -> None:
    """Have the newest event of the company be of that time."""
    await office.query(
        "UPDATE automation_events SET occurred_at = %s WHERE id ="
        " (SELECT max(id) FROM automation_events"
        "  WHERE event_type IN ('job_created', 'job_status_changed'))",
        at,
    )


async def stand(office: Office, job: str, status: str, since: datetime) -> None:
    """Have *job* change to *status* at that time."""
    await office.write_status(job, status)
    await happened(office, since)


@pytest.fixture
async def job(office: Office) -> str:
    await office.apply(STALE)
    job = await office.add_job(status="new")
    await happened(office, NOW - timedelta(days=30))
    return job


async def test_a_job_is_stale_when_its_status_began_so_many_days_ago(
    office: Office, engine_database: Database, job: str
) -> None:
    since = THREE_DAYS_AGO - timedelta(microseconds=3)
    await stand(office, job, "Waiting-for parts", since)

    assert await sweep(engine_database) == SweepFindings(looked_at=1, found=1)

    (event,) = await swept_events(office)
    assert (event["event_type"], event["subject_id"]) == ("stale_job", job)
    assert event["occurrence_key"] == of_stale_job(job, since, 3)
    assert event["data"] == {
        "days": 3,
        "status": "Waiting-for parts",
        "since": "2026-11-18T13:59:59.999997+00:00",
    }
    assert datetime.fromisoformat(event["data"]["since"]) == since


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (timedelta(seconds=-1), 0),
        (timedelta(0), 1),
        (timedelta(hours=23), 1),
        (timedelta(hours=24), 0),
    ],
)
async def test_it_is_caught_up_with_for_a_day(
    office: Office, engine_database: Database, job: str, after: timedelta, found: int
) -> None:
    await stand(office, job, "on hold", THREE_DAYS_AGO)
    assert (await sweep(engine_database, NOW + after)).found == found


async def test_what_went_stale_while_nothing_swept_is_recorded_as_late(
    office: Office, engine_database: Database, job: str
) -> None:
    await listen_since(office, NOW - timedelta(days=60))
    await stand(office, job, "on hold", THREE_DAYS_AGO)
    assert (await sweep(engine_database, NOW - timedelta(minutes=1))).found == 0

    assert (await sweep(engine_database, NOW + timedelta(hours=30))).found == 1

    (event,) = await swept_events(office)
    assert event["data"]["late"] == (
        "stale for 30 hours when it was found; it is acted on at most 24 hours late"
    )


async def test_a_status_written_again_begins_nothing(
    office: Office, engine_database: Database, job: str
) -> None:
    await stand(office, job, "on hold", THREE_DAYS_AGO)
    await stand(office, job, "On-Hold", NOW - timedelta(days=1))
    await stand(office, job, "On-Hold", NOW - timedelta(hours=1))
    await sweep(engine_database)
    assert await keys(office) == [of_stale_job(job, THREE_DAYS_AGO, 3)]


async def test_a_job_that_moved_on_is_not_stale(
    office: Office, engine_database: Database, job: str
) -> None:
    await stand(office, job, "on hold", THREE_DAYS_AGO)
    await stand(office, job, "in progress", NOW - timedelta(hours=1))
    assert (await sweep(engine_database)).found == 0

    # Back in it, it has just begun to wait.
    await stand(office, job, "on hold", NOW - timedelta(minutes=30))
    assert (await sweep(engine_database)).found == 0
    assert (await sweep(engine_database, NOW + timedelta(days=3))).found == 1


async def test_a_job_entered_in_a_status_stands_there_from_then_on(
    office: Office, engine_database: Database
) -> None:
    await office.apply(STALE)
    await office.add_job(status="on hold")
    await happened(office, THREE_DAYS_AGO)
    assert (await sweep(engine_database)).found == 1


async def test_every_minute_and_five_at_once_finds_it_once(
    office: Office, engine_database: Database, job: str
) -> None:
    await stand(office, job, "on hold", THREE_DAYS_AGO)
    for minute in range(3):
        await asyncio.gather(
            *(sweep(engine_database, NOW + timedelta(minutes=minute)) for _ in range(5))
        )
    assert await keys(office) == [of_stale_job(job, THREE_DAYS_AGO, 3)]


async def test_what_is_not_days_old_is_not_even_looked_at(
    office: Office, engine_database: Database, job: str
) -> None:
    for number in range(30):
        await office.add_job(f"J-{number}", status="on hold")
    assert await sweep(engine_database) == SweepFindings()


async def test_one_company_never_sees_the_other(office: Office, engine_database: Database) -> None:
    """Both have a job with the same number."""
    await office.apply(STALE)
    await office.add_job("J-1", status="on hold")
    async with await Office.open(office.url, "Somebody Else") as other:
        await other.add_job("J-1", status="on hold")
        await happened(other, THREE_DAYS_AGO)
        assert (await sweep(engine_database)).found == 0
