"""A sweep that is killed goes on where it was; every run leaves a truthful record."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.sweeps import NOBODY_SERVED, SweepActivities
from fixlify.domain.occurrences import of_overdue_invoice
from fixlify.domain.sweeps import FailedSweep, SweepFindings, SweepKind, SweepRun
from fixlify.domain.timetable import Timetable
from fixlify.storage.database import Database
from tests.office import Office
from tests.sweeping import NEW_YORK, add_invoice, keys, listen_since, run_of, sweep_once

NINE = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
DUE = date(2026, 11, 18)
CONVERTER: DataConverter = pydantic_data_converter

OVERDUE = """
name: NAME
trigger: {type: invoice_overdue, days: 3}
steps: [{type: send_email, subject: Late, text: Please pay.}]
"""


class KilledError(BaseException):
    """The worker's process is gone."""


def overdue_run(**options: Any) -> SweepRun:
    return run_of(SweepKind.OVERDUE_INVOICES, NINE, zone=NEW_YORK, **options)


async def runs(office: Office) -> list[dict[str, Any]]:
    return await office.query("SELECT * FROM automation_schedule_runs ORDER BY started_at")


async def through_temporal(details: tuple[Any, ...]) -> list[Any]:
    """Return heartbeat details as the next attempt is handed them."""
    payloads = await CONVERTER.encode(details)
    return await CONVERTER.decode(payloads)


@pytest.mark.parametrize("unheard", [1, 2])
@pytest.mark.parametrize("killed_after", range(2, 8))
async def test_a_sweep_killed_between_pages_goes_on_where_it_was(
    office: Office, engine_database: Database, killed_after: int, unheard: int
) -> None:
    """Nothing is lost and nothing is twice, also when a page was recorded and never heard of."""
    for name in ("A", "B"):
        await office.apply(OVERDUE.replace("NAME", name))
    invoices = [await add_invoice(office, DUE) for _ in range(5)]
    activities = SweepActivities(engine_database, clock=lambda: NINE, page_size=2)
    run = overdue_run()
    heard: list[tuple[Any, ...]] = []

    def listen(*details: Any) -> None:
        heard.append(details)
        if len(heard) == killed_after:
            raise KilledError

    first = ActivityEnvironment()
    first.on_heartbeat = listen
    with pytest.raises(KilledError):
        await first.run(activities.run_sweep, run)
    recorded = len(await keys(office))

    second = ActivityEnvironment()
    second.info = replace(second.info, heartbeat_details=await through_temporal(heard[-unheard]))
    findings: SweepFindings = await second.run(activities.run_sweep, run)

    assert findings.looked_at == 10
    assert await keys(office) == sorted(of_overdue_invoice(each, 3) for each in invoices * 2)
    # What was recorded and never heard of is counted by nobody.
    assert 10 - recorded <= findings.found <= 10
    (row,) = await runs(office)
    assert (row["id"], row["status"], row["looked_at"]) == (run.run_id, "completed", 10)


async def test_an_attempt_goes_on_after_the_page_it_was_told_of(
    office: Office, engine_database: Database
) -> None:
    """What is done already is not even looked at."""
    automation = (await office.apply(OVERDUE)).automation.id
    invoices = sorted([await add_invoice(office, DUE) for _ in range(5)])
    progress = {
        "automation_id": str(automation),
        "after": [str(DUE), invoices[2]],
        "served": 0,
        "findings": {"looked_at": 3, "found": 3, "problems": ["known"]},
    }
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, heartbeat_details=[progress])
    activities = SweepActivities(engine_database, clock=lambda: NINE, page_size=2)

    findings: SweepFindings = await environment.run(activities.run_sweep, overdue_run())

    assert findings == SweepFindings(looked_at=5, found=5, problems=("known",))
    assert await keys(office) == [of_overdue_invoice(each, 3) for each in invoices[3:]]


async def test_what_another_version_heard_is_begun_anew(
    office: Office, engine_database: Database
) -> None:
    await office.apply(OVERDUE)
    await add_invoice(office, DUE)
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, heartbeat_details=["page 7"])
    activities = SweepActivities(engine_database, clock=lambda: NINE)
    findings: SweepFindings = await environment.run(activities.run_sweep, overdue_run())
    assert findings.found == 1


async def test_heartbeats_tell_nothing_personal(office: Office, engine_database: Database) -> None:
    await office.apply(OVERDUE)
    client = await office.add_client()
    for _ in range(3):
        await add_invoice(office, DUE, client_id=client)
    heard: list[Any] = []
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: heard.extend(details)
    activities = SweepActivities(engine_database, clock=lambda: NINE, page_size=1)
    await environment.run(activities.run_sweep, overdue_run())
    told = json.dumps([each.model_dump(mode="json") for each in heard])
    assert "after" in told
    assert not {word for word in ("Ada", "Byron", "example.com", "2125550123") if word in told}


async def test_memory_and_statements_grow_with_the_pages_and_not_with_the_rows(
    office: Office, engine_database: Database
) -> None:
    await office.apply(OVERDUE)
    await office.query(
        "INSERT INTO invoices (organization_id, status, total, due_date)"
        " SELECT %s, 'sent', 100, %s FROM generate_series(1, 1000)",
        office.organization_id,
        DUE,
    )
    heard: list[Any] = []
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: heard.extend(details)
    activities = SweepActivities(engine_database, clock=lambda: NINE, page_size=100)

    findings: SweepFindings = await environment.run(activities.run_sweep, overdue_run())

    assert findings == SweepFindings(looked_at=1000, found=1000)
    # One before, one a page, one for the page that was not full.
    places = {each.after for each in heard if each.after}
    assert len(places) == 10
    assert all(len(each.model_dump_json()) < 300 for each in heard)


async def test_a_run_with_problems_completes_and_shows_them(
    office: Office, engine_database: Database
) -> None:
    await office.apply(OVERDUE)
    await add_invoice(office, DUE)
    await add_invoice(office, DUE, total="NaN")
    await sweep_once(engine_database, overdue_run())
    (row,) = await runs(office)
    assert (row["status"], row["looked_at"], row["found"]) == ("completed", 2, 1)
    assert "its amount is not a number" in row["error_message"]


async def test_a_run_that_can_serve_nobody_fails(office: Office, engine_database: Database) -> None:
    """A sweep that looked at nothing must not count as one that found nothing."""
    await office.apply(OVERDUE)
    await office.query("UPDATE organizations SET time_zone = 'Mars/Olympus'")
    with pytest.raises(ApplicationError, match="unknown time zone") as caught:
        await sweep_once(
            engine_database, run_of(SweepKind.OVERDUE_INVOICES, NINE, zone="Mars/Olympus")
        )
    assert (caught.value.type, caught.value.non_retryable) == (NOBODY_SERVED, True)


async def test_at_most_fifty_problems_are_told_of(
    office: Office, engine_database: Database
) -> None:
    await office.apply(OVERDUE)
    for _ in range(60):
        await add_invoice(office, DUE, total="NaN")
    findings = await sweep_once(engine_database, overdue_run(), page_size=20)
    assert (findings.looked_at, len(findings.problems)) == (60, 50)


async def test_runs_nobody_finished_are_closed_by_the_next(
    office: Office, engine_database: Database
) -> None:
    schedule = "check-overdue-invoices/America/New_York"
    for run_id, schedule_id, age in (
        ("gone", schedule, "61 minutes"),
        ("young", schedule, "59 minutes"),
        ("other", "another", "61 minutes"),
    ):
        await office.query(
            "INSERT INTO automation_schedule_runs"
            " (id, schedule_id, scheduled_at, started_at, status)"
            " VALUES (%s, %s, now(), now() - %s::interval, 'running')",
            run_id,
            schedule_id,
            age,
        )
    await sweep_once(engine_database, overdue_run(run_id="new", schedule_id=schedule))

    found = {row["id"]: (row["status"], row["error_message"]) for row in await runs(office)}
    assert found == {
        "gone": ("failed", "ended without a result"),
        "young": ("running", None),
        "other": ("running", None),
        "new": ("completed", None),
    }


async def test_a_failure_is_recorded_also_of_a_run_that_never_began(
    office: Office, engine_database: Database
) -> None:
    activities = SweepActivities(engine_database)
    run = overdue_run()
    for _ in range(2):
        await ActivityEnvironment().run(
            activities.record_failed_sweep, FailedSweep(run=run, reason="gave up")
        )
    (row,) = await runs(office)
    assert (row["status"], row["error_message"]) == ("failed", "gave up")
    assert row["finished_at"] is not None


async def test_a_run_that_completed_stays_completed(
    office: Office, engine_database: Database
) -> None:
    run = overdue_run()
    await sweep_once(engine_database, run)
    await ActivityEnvironment().run(
        SweepActivities(engine_database).record_failed_sweep,
        FailedSweep(run=run, reason="no answer"),
    )
    (row,) = await runs(office)
    assert (row["status"], row["error_message"]) == ("completed", None)


async def test_a_run_of_one_automation_belongs_to_its_organization(
    office: Office, engine_database: Database
) -> None:
    applied = await office.apply(
        "name: Daily\ntrigger: {type: scheduled, frequency: daily, hour: 9}\n"
        "steps: [{type: send_email, subject: Hello, text: Hello.}]"
    )
    run = run_of(SweepKind.USER_SCHEDULE, NINE, automation_id=applied.automation.id)
    await sweep_once(engine_database, run)
    await sweep_once(engine_database, overdue_run())
    assert {row["organization_id"] for row in await runs(office)} == {office.organization_id, None}


@pytest.mark.parametrize(
    ("now", "next_run"),
    [
        (NINE, datetime(2026, 11, 22, 14, tzinfo=UTC)),
        # A backfill of the past does not turn the clock back.
        (NINE + timedelta(days=9), datetime(2026, 12, 1, 14, tzinfo=UTC)),
    ],
)
async def test_a_run_notes_when_its_schedule_runs_next(
    office: Office, engine_database: Database, now: datetime, next_run: datetime
) -> None:
    await _store_schedule(office, Timetable.daily(9, 0).model_dump(mode="json"))
    await sweep_once(engine_database, overdue_run(schedule_id="daily"), now=now)
    (row,) = await office.query("SELECT next_run_at FROM automation_schedules")
    assert row["next_run_at"] == next_run


@pytest.mark.parametrize("timetable", [None, {"minutes": [99]}, "daily"])
async def test_a_schedule_nobody_can_read_is_left_alone(
    office: Office, engine_database: Database, timetable: object
) -> None:
    await _store_schedule(office, timetable)
    await sweep_once(engine_database, overdue_run(schedule_id="daily"))
    (row,) = await office.query("SELECT next_run_at FROM automation_schedules")
    assert row["next_run_at"] is None
    assert [row["status"] for row in await runs(office)] == ["completed"]


async def _store_schedule(office: Office, timetable: object) -> None:
    await office.insert(
        "automation_schedules",
        id="daily",
        name="check-overdue-invoices",
        schedule="0 9 * * *",
        time_zone=NEW_YORK,
        catch_up="2 days",
        specification=json.dumps({"timetable": timetable}),
        content_hash="0",
    )


async def test_analytics_are_recomputed_since_the_last_completed_run(
    office: Office, engine_database: Database
) -> None:
    applied = await office.apply(OVERDUE)
    await listen_since(office, NINE - timedelta(days=60))
    for number, age in enumerate(("3 days", "0 days")):
        await office.insert(
            "automation_execution_logs",
            id=uuid4(),
            organization_id=office.organization_id,
            automation_id=applied.automation.id,
            automation_version=1,
            occurrence_key=str(number),
            subject_type="job",
            subject_id="J-1",
            trigger_type="invoice_overdue",
            trigger_value="3",
            trigger_data="{}",
            occurred_at=NINE,
            status="pending",
        )
        await office.query(
            "UPDATE automation_execution_logs SET created_at = now() - %s::interval"
            " WHERE occurrence_key = %s",
            age,
            str(number),
        )
    run = run_of(SweepKind.ANALYTICS, datetime.now(UTC))
    assert await sweep_once(engine_database, run) == SweepFindings(looked_at=2)
    run = run_of(SweepKind.ANALYTICS, datetime.now(UTC))
    assert await sweep_once(engine_database, run) == SweepFindings(looked_at=1)
