"""Clients whose maintenance is due: a while after their last service, and nothing booked since."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fixlify.domain.occurrences import of_maintenance
from fixlify.domain.sweeps import SweepFindings, SweepKind
from fixlify.storage.database import Database
from tests.office import Office
from tests.sweeping import NEW_YORK, keys, listen_since, run_of, sweep_once, swept_events

AUTOMATION = """
name: Maintenance
trigger: {type: maintenance_due, months: MONTHS}
steps: [{type: send_email, subject: Time again, text: Shall we come again}]
"""
EVERY_YEAR = AUTOMATION.replace("MONTHS", "12")
# 08:00 in New York.
EIGHT = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
A_YEAR_AGO = datetime(2025, 11, 21, 15, 0, tzinfo=UTC)


async def sweep(database: Database, at: datetime = EIGHT, **options: Any) -> SweepFindings:
    run = run_of(SweepKind.MAINTENANCE_REMINDERS, at, zone=NEW_YORK)
    return await sweep_once(database, run, **options)


async def add_service(
    office: Office, job: str, client: UUID, at: datetime | None = A_YEAR_AGO, **columns: Any
) -> str:
    """Enter a completed job of *client*."""
    defaults = {"client_id": client, "status": "Completed", "completed_at": at}
    return await office.add_job(job, **(defaults | columns))


async def test_maintenance_is_due_so_many_months_after_the_last_service(
    office: Office, engine_database: Database
) -> None:
    await office.apply(EVERY_YEAR)
    client = await office.add_client()
    await add_service(office, "J-1", client, A_YEAR_AGO - timedelta(days=300))
    await add_service(office, "J-2", client)

    assert (await sweep(engine_database)).found == 1

    (event,) = await swept_events(office)
    assert event["event_type"] == "maintenance_due"
    assert (event["subject_type"], event["subject_id"]) == ("client", str(client))
    assert event["occurrence_key"] == of_maintenance("J-2", 12)
    assert event["data"] == {"months": 12, "last_job_id": "J-2", "last_service": "2025-11-21"}


@pytest.mark.parametrize(("days", "found"), [(-1, 0), (0, 1), (7, 1)])
async def test_it_is_caught_up_with_for_a_week(
    office: Office, engine_database: Database, days: int, found: int
) -> None:
    await office.apply(EVERY_YEAR)
    await add_service(office, "J-1", await office.add_client())
    assert (await sweep(engine_database, EIGHT + timedelta(days=days))).found == found


async def test_what_was_missed_for_longer_is_recorded_as_late(
    office: Office, engine_database: Database
) -> None:
    await office.apply(EVERY_YEAR)
    await listen_since(office, EIGHT - timedelta(days=1))
    await add_service(office, "J-1", await office.add_client())
    await add_service(office, "J-2", await office.add_client(), A_YEAR_AGO - timedelta(days=3))

    await sweep(engine_database, EIGHT + timedelta(days=10))

    (event,) = await swept_events(office)
    assert event["data"]["last_job_id"] == "J-1"
    assert event["data"]["late"] == (
        "due since 2026-11-21, found on 2026-12-01; it is sent at most 7 days late"
    )


@pytest.mark.parametrize(
    ("service", "months", "due"),
    [
        (datetime(2026, 1, 31, 17, tzinfo=UTC), 1, datetime(2026, 2, 28, 13, tzinfo=UTC)),
        (datetime(2028, 1, 31, 17, tzinfo=UTC), 1, datetime(2028, 2, 29, 13, tzinfo=UTC)),
        (datetime(2028, 2, 29, 17, tzinfo=UTC), 12, datetime(2029, 2, 28, 13, tzinfo=UTC)),
        # In New York it was still the day before, daylight-saving time or not.
        (datetime(2026, 3, 1, 4, 59, tzinfo=UTC), 6, datetime(2026, 8, 28, 12, tzinfo=UTC)),
        (datetime(2026, 5, 2, 3, 59, tzinfo=UTC), 6, datetime(2026, 11, 1, 13, tzinfo=UTC)),
    ],
)
async def test_months_are_calendar_months_where_the_organization_is(
    office: Office, engine_database: Database, service: datetime, months: int, due: datetime
) -> None:
    await office.apply(AUTOMATION.replace("MONTHS", str(months)))
    await add_service(office, "J-1", await office.add_client(), service)
    assert (await sweep(engine_database, due - timedelta(days=1))).found == 0
    assert (await sweep(engine_database, due)).found == 1


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({"status": "scheduled"}, 0),
        ({"status": None}, 0),
        ({"status": "In Progress", "created_at": A_YEAR_AGO - timedelta(days=90)}, 0),
        ({"status": "cancelled"}, 1),
        ({"status": "No-Show"}, 1),
        ({"status": "completed", "completed_at": A_YEAR_AGO + timedelta(days=60)}, 0),
        ({"status": "completed", "completed_at": A_YEAR_AGO - timedelta(days=60)}, 1),
    ],
)
async def test_nothing_is_due_when_something_is_booked_since(
    office: Office, engine_database: Database, other: dict[str, Any], found: int
) -> None:
    await office.apply(EVERY_YEAR)
    client = await office.add_client()
    await add_service(office, "J-1", client)
    await office.add_job("J-2", client_id=client, **other)
    assert (await sweep(engine_database)).found == found


async def test_only_services_of_the_wanted_types_count(
    office: Office, engine_database: Database
) -> None:
    await office.apply(EVERY_YEAR.replace("months: 12", "months: 12, job_types: [Boiler Service]"))
    client = await office.add_client()
    await add_service(office, "J-1", client, job_type="boiler-service")
    await add_service(office, "J-2", client, A_YEAR_AGO + timedelta(days=60), job_type="repair")
    await office.add_job("J-3", client_id=client, job_type="repair", status="scheduled")
    await add_service(office, "J-4", await office.add_client(), job_type="repair")

    await sweep(engine_database)

    assert await keys(office) == [of_maintenance("J-1", 12)]


async def test_the_service_is_dated_as_well_as_anybody_knows(
    office: Office, engine_database: Database
) -> None:
    await office.apply(EVERY_YEAR)
    later = A_YEAR_AGO + timedelta(days=60)
    columns = [
        {"schedule_end": A_YEAR_AGO, "schedule_start": later, "created_at": later},
        {"schedule_start": A_YEAR_AGO, "created_at": later},
        {"created_at": A_YEAR_AGO},
    ]
    for place, dates in enumerate(columns):
        await add_service(office, f"J-{place}", await office.add_client(), None, **dates)
    assert (await sweep(engine_database)).found == 3


async def test_a_service_is_followed_once_however_its_dates_are_edited(
    office: Office, engine_database: Database
) -> None:
    await office.apply(EVERY_YEAR)
    client = await office.add_client()
    await add_service(office, "J-1", client)
    for days in (0, 3, -2, 5, 0):
        await office.query("UPDATE jobs SET completed_at = %s", A_YEAR_AGO + timedelta(days=days))
        await asyncio.gather(*(sweep(engine_database, EIGHT + timedelta(days=5)) for _ in range(3)))
    assert await keys(office) == [of_maintenance("J-1", 12)]

    await add_service(office, "J-2", client, A_YEAR_AGO + timedelta(days=90))
    await sweep(engine_database, EIGHT + timedelta(days=90))
    assert len(await keys(office)) == 2


async def test_merged_clients_are_reminded_of_a_service_once(
    office: Office, engine_database: Database
) -> None:
    await office.apply(EVERY_YEAR)
    await add_service(office, "J-1", await office.add_client())
    await sweep(engine_database)

    await office.query("UPDATE jobs SET client_id = %s", await office.add_client())
    await sweep(engine_database, EIGHT + timedelta(days=1))

    assert await keys(office) == [of_maintenance("J-1", 12)]


async def test_bad_rows_are_told_of_and_never_stop_the_others(
    office: Office, engine_database: Database
) -> None:
    await office.apply(EVERY_YEAR)
    await add_service(office, "J-1", await office.add_client())
    await add_service(office, "J-2", await office.add_client(), None)
    await office.query("UPDATE jobs SET completed_at = 'infinity' WHERE id = 'J-2'")
    await office.add_job("J-3", client_id=None, status="completed", completed_at=A_YEAR_AGO)

    findings = await sweep(engine_database)

    assert findings.found == 1
    (problem,) = findings.problems
    assert problem.endswith("job J-2: its date is infinite")
