"""What a clock sets off: one event for each member of the audience, once per time on the wall."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from temporalio.exceptions import ApplicationError

from fixlify.domain.occurrences import of_schedule
from fixlify.domain.sweeps import SweepFindings, SweepKind
from fixlify.storage.database import Database
from tests.office import Office
from tests.sweeping import add_invoice, keys, run_of, sweep_once, swept_events, too_long_an_id

NINE = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
LOCAL = datetime(2026, 11, 21, 9, 0)  # noqa: DTZ001 - a time on the wall


async def clock(office: Office, audience: str, more: str = "") -> UUID:
    applied = await office.apply(
        f"name: Every day\ntrigger: {{type: scheduled, frequency: daily, hour: 9,"
        f" audience: {audience}}}\n{more}\n"
        "steps: [{type: send_email, subject: Hello, text: Good morning.}]"
    )
    return applied.automation.id


async def sweep(
    database: Database, automation: UUID, at: datetime = NINE, **options: Any
) -> SweepFindings:
    run = run_of(SweepKind.USER_SCHEDULE, at, automation_id=automation)
    return await sweep_once(database, run, **options)


async def test_the_organization_itself_is_an_audience(
    office: Office, engine_database: Database
) -> None:
    automation = await clock(office, "organization")

    assert await sweep(engine_database, automation) == SweepFindings(looked_at=1, found=1)

    (event,) = await swept_events(office)
    subject = str(office.organization_id)
    assert (event["event_type"], event["subject_type"]) == ("scheduled", "organization")
    assert event["subject_id"] == subject
    assert event["occurrence_key"] == of_schedule(LOCAL, "organization", subject)
    assert event["data"] == {"local": "2026-11-21T09:00"}


@pytest.mark.parametrize(
    ("audience", "condition"),
    [
        ("clients", "{field: client.lead_source, operator: equals, value: radio}"),
        ("jobs", "{field: job.lead_source, operator: equals, value: radio}"),
        ("invoices", "{field: invoice.number, operator: equals, value: radio}"),
    ],
)
async def test_an_audience_is_those_who_meet_the_conditions(
    office: Office, engine_database: Database, audience: str, condition: str
) -> None:
    meant = await _member(office, audience, 0, "Radio")
    for number in range(1, 7):
        await _member(office, audience, number, "web")
    automation = await clock(office, audience, f"conditions: {condition}")

    assert await sweep(engine_database, automation, page_size=3) == SweepFindings(
        looked_at=7, found=1
    )

    assert await keys(office) == [of_schedule(LOCAL, audience.removesuffix("s"), meant)]


async def _member(office: Office, audience: str, number: int, source: str) -> str:
    if audience == "clients":
        return str(await office.add_client(lead_source=source))
    client = office.newest_client_id or await office.add_client()
    if audience == "jobs":
        return await office.add_job(f"J-{number}", client_id=client, lead_source=source)
    return await add_invoice(office, None, client_id=client, number=source)


@pytest.mark.parametrize("page_size", [1, 3, 4, 100])
async def test_everybody_is_in_an_audience_without_conditions_whatever_the_pages(
    office: Office, engine_database: Database, page_size: int
) -> None:
    clients = [str(await office.add_client()) for _ in range(6)]
    automation = await clock(office, "clients")
    findings = await sweep(engine_database, automation, page_size=page_size)
    assert findings == SweepFindings(looked_at=6, found=6)
    assert await keys(office) == sorted(of_schedule(LOCAL, "client", each) for each in clients)


async def test_one_time_on_the_wall_happens_once(office: Office, engine_database: Database) -> None:
    """By its schedule, by hand in the afternoon, and five times at once."""
    for _ in range(7):
        await office.add_client()
    automation = await clock(office, "clients")
    for at in (NINE, NINE + timedelta(hours=6)):
        await asyncio.gather(
            *(sweep(engine_database, automation, at, page_size=2) for _ in range(5))
        )
    assert len(await keys(office)) == 7

    await sweep(engine_database, automation, NINE + timedelta(days=1))
    assert len(await keys(office)) == 14


async def test_an_hour_that_comes_twice_is_one_occurrence(
    office: Office, engine_database: Database
) -> None:
    applied = await office.apply(
        "name: Night\ntrigger: {type: scheduled, cron: '30 1 * * *'}\n"
        "steps: [{type: send_email, subject: Hello, text: Hello.}]"
    )
    for hour in (5, 6):
        at = datetime(2026, 11, 1, hour, 30, tzinfo=UTC)
        await sweep(engine_database, applied.automation.id, at)
    assert [event["data"]["local"] for event in await swept_events(office)] == ["2026-11-01T01:30"]


async def test_a_time_in_the_spring_gap_keeps_its_name(
    office: Office, engine_database: Database
) -> None:
    applied = await office.apply(
        "name: Night\ntrigger: {type: scheduled, cron: '30 2 * * *'}\n"
        "steps: [{type: send_email, subject: Hello, text: Hello.}]"
    )
    # 03:30 in New York; there was no 02:30.
    await sweep(engine_database, applied.automation.id, datetime(2026, 3, 8, 7, 30, tzinfo=UTC))
    assert [event["data"]["local"] for event in await swept_events(office)] == ["2026-03-08T02:30"]


async def test_a_trigger_may_have_a_zone_of_its_own(
    office: Office, engine_database: Database
) -> None:
    applied = await office.apply(
        "name: Tokyo\n"
        "trigger: {type: scheduled, frequency: daily, hour: 9, time_zone: Asia/Tokyo}\n"
        "steps: [{type: send_email, subject: Hello, text: Hello.}]"
    )
    await sweep(engine_database, applied.automation.id)
    assert [event["data"]["local"] for event in await swept_events(office)] == ["2026-11-21T09:00"]
    await sweep(engine_database, applied.automation.id, NINE + timedelta(hours=10))
    assert len(await swept_events(office)) == 2


@pytest.mark.parametrize("status", ["draft", "paused", "archived"])
async def test_only_an_active_automation_strikes(
    office: Office, engine_database: Database, status: str
) -> None:
    automation = await clock(office, "organization")
    await office.query("UPDATE automation_workflows SET status = %s", status)
    assert await sweep(engine_database, automation) == SweepFindings()


async def test_a_row_nobody_can_read_never_stops_the_others(
    office: Office, engine_database: Database
) -> None:
    """Facts that Python cannot hold are empty; the sweep goes on either way."""
    condition = "{field: job.status, operator: not_equals, value: cancelled}"
    for number in range(5):
        await office.add_job(f"J-{number}")
    await office.query(
        "UPDATE jobs SET schedule_start = 'infinity', total = 'NaN' WHERE id = 'J-2'"
    )
    automation = await clock(office, "jobs", f"conditions: {condition}")
    assert (await sweep(engine_database, automation, page_size=2)).found == 5


async def test_an_occurrence_too_long_to_record_is_told_of_and_passed_over(
    office: Office, engine_database: Database
) -> None:
    too_long = too_long_an_id()
    jobs = [f"J-{number}" for number in range(6)]
    for job in [*jobs, too_long]:
        await office.add_job(job)
    automation = await clock(office, "jobs")

    findings = await sweep(engine_database, automation, page_size=4)

    assert (findings.looked_at, findings.found) == (7, 6)
    (problem,) = findings.problems
    assert f"job {too_long[:60]}" in problem


async def test_an_organization_in_an_unknown_zone_fails_its_run_and_says_why(
    office: Office, engine_database: Database
) -> None:
    automation = await clock(office, "organization")
    await office.query("UPDATE organizations SET time_zone = 'Amerika/New_York'")
    with pytest.raises(ApplicationError, match="did you mean 'America/New_York'"):
        await sweep(engine_database, automation)
    assert await swept_events(office) == []


async def test_one_company_never_strikes_for_the_other(
    office: Office, engine_database: Database
) -> None:
    automation = await clock(office, "clients")
    async with await Office.open(office.url, "Somebody Else") as other:
        await other.add_client()
        assert await sweep(engine_database, automation) == SweepFindings()
        assert await swept_events(other) == []
