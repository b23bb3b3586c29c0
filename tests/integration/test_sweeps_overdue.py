"""Invoices that fell overdue: each threshold once, in time, whatever is edited meanwhile."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from fixlify.domain.occurrences import of_overdue_invoice
from fixlify.domain.sweeps import SweepFindings, SweepKind
from fixlify.storage.database import Database
from tests.office import Office
from tests.sweeping import (
    NEW_YORK,
    add_invoice,
    keys,
    listen_since,
    run_of,
    sweep_once,
    swept_events,
)

# 09:00 in New York.
NINE = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
TODAY = date(2026, 11, 21)


def reminding(days: object) -> str:
    return f"""
name: Overdue
trigger: {{type: invoice_overdue, days: {days}}}
steps: [{{type: send_email, subject: Late, text: Please pay.}}]
"""


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


async def sweep(
    database: Database, at: datetime = NINE, zone: str = NEW_YORK, **options: Any
) -> SweepFindings:
    run = run_of(SweepKind.OVERDUE_INVOICES, at, zone=zone)
    return await sweep_once(database, run, **options)


async def test_an_invoice_is_found_on_the_day_it_reaches_a_threshold(
    office: Office, engine_database: Database
) -> None:
    applied = await office.apply(reminding([3, 7]))
    invoice = await add_invoice(office, ago(3))
    await add_invoice(office, ago(2))

    assert await sweep(engine_database) == SweepFindings(looked_at=1, found=1)

    (event,) = await swept_events(office)
    assert event["event_type"] == "invoice_overdue"
    assert (event["subject_type"], event["subject_id"]) == ("invoice", invoice)
    assert event["automation_id"] == applied.automation.id
    assert event["occurrence_key"] == of_overdue_invoice(invoice, 3)
    assert event["data"] == {"days": 3, "due_date": "2026-11-18"}


@pytest.mark.parametrize(("overdue", "found"), [(2, 0), (3, 1), (4, 1), (5, 1)])
async def test_a_threshold_is_caught_up_with_for_two_days(
    office: Office, engine_database: Database, overdue: int, found: int
) -> None:
    await office.apply(reminding(3))
    await add_invoice(office, ago(overdue))
    assert (await sweep(engine_database)).found == found


async def test_what_crossed_long_before_the_automation_existed_is_not_recorded(
    office: Office, engine_database: Database
) -> None:
    await office.apply(reminding(3))
    await listen_since(office, NINE - timedelta(hours=1))
    await add_invoice(office, ago(6))
    assert (await sweep(engine_database)).found == 0


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"status": None}, 1),
        ({"status": "Partially-Paid"}, 1),
        ({"status": "PAID"}, 0),
        ({"status": "Paid in full"}, 0),
        ({"status": "written-off"}, 0),
        ({"status": " void "}, 0),
        ({"status": "draft"}, 0),
        ({"amount_paid": 100}, 0),
        ({"amount_paid": 99}, 1),
        ({"total": None}, 1),
        ({"total": 0}, 0),
    ],
)
async def test_only_open_invoices_are_found(
    office: Office, engine_database: Database, columns: dict[str, object], found: int
) -> None:
    await office.apply(reminding(3))
    await add_invoice(office, ago(3), **columns)
    assert (await sweep(engine_database)).found == found


async def test_of_several_thresholds_reached_at_once_only_the_largest_goes_out(
    office: Office, engine_database: Database
) -> None:
    """Joining a day before expiry once sent the mails of three, two and one day together."""
    await office.apply(reminding([1, 2, 3]))
    invoice = await add_invoice(office, ago(3))

    await sweep(engine_database)
    await sweep(engine_database, NINE + timedelta(days=1))

    assert await keys(office) == [of_overdue_invoice(invoice, days) for days in (1, 2, 3)]
    late = [event["data"].get("late") for event in await swept_events(office)]
    instead = "the reminder of 3 days goes out instead: both were reached when it was found"
    assert late == [instead, instead, None]


async def test_an_invoice_is_reminded_of_at_each_threshold_once(
    office: Office, engine_database: Database
) -> None:
    await office.apply(reminding([3, 7]))
    invoice = await add_invoice(office, ago(0))
    for day in range(40):
        await sweep(engine_database, NINE + timedelta(days=day))
    assert await keys(office) == [of_overdue_invoice(invoice, days) for days in (3, 7)]


async def test_an_edited_due_date_never_brings_a_reminder_back(
    office: Office, engine_database: Database
) -> None:
    """`invoice_overdue` once fired at every edit of an overdue invoice."""
    await office.apply(reminding([3, 7]))
    invoice = await add_invoice(office, ago(7))
    await sweep(engine_database)
    assert await keys(office) == [of_overdue_invoice(invoice, 7)]

    for overdue in (3, 4, 0, 7, 8, 3):
        await office.query("UPDATE invoices SET due_date = %s", ago(overdue))
        await sweep(engine_database)
    assert await keys(office) == [of_overdue_invoice(invoice, 7)]


async def test_a_larger_threshold_counts_also_when_it_is_taken_away(
    office: Office, engine_database: Database
) -> None:
    await office.apply(reminding([14]))
    invoice = await add_invoice(office, ago(14))
    await sweep(engine_database)

    await office.apply(reminding([10, 13]))
    await listen_since(office, NINE - timedelta(days=60))
    await sweep(engine_database)

    assert await keys(office) == [of_overdue_invoice(invoice, 14)]


async def test_a_reminder_missed_for_too_long_is_recorded_as_late(
    office: Office, engine_database: Database
) -> None:
    """Otherwise an outage would silently cost reminders nobody ever hears of."""
    await office.apply(reminding([3, 14]))
    await listen_since(office, NINE - timedelta(days=60))
    invoice = await add_invoice(office, ago(9))
    # Past both for more than a month.
    await add_invoice(office, ago(45))

    await sweep(engine_database)

    (event,) = await swept_events(office)
    assert event["subject_id"] == invoice
    assert event["data"] == {
        "days": 3,
        "due_date": "2026-11-12",
        "late": "overdue since 2026-11-12: found 6 days after the reminder of 3 days was due; "
        "it is sent at most 2 days late",
    }


async def test_what_is_late_for_one_threshold_is_in_time_for_a_larger_one(
    office: Office, engine_database: Database
) -> None:
    await office.apply(reminding([3, 7]))
    await listen_since(office, NINE - timedelta(days=60))
    await add_invoice(office, ago(8))

    await sweep(engine_database)

    found = {e["data"]["days"]: "late" in e["data"] for e in await swept_events(office)}
    assert found == {3: True, 7: False}


async def test_a_threshold_added_later_was_not_missed(
    office: Office, engine_database: Database
) -> None:
    await office.apply(reminding([3]))
    await listen_since(office, NINE - timedelta(days=60))
    await add_invoice(office, ago(14))
    await office.apply(reminding([3, 7]))

    await sweep(engine_database)

    assert await keys(office) == []


async def test_five_sweeps_at_once_record_what_one_does(
    office: Office, engine_database: Database
) -> None:
    await office.apply(reminding([3]))
    invoices = [await add_invoice(office, ago(3)) for _ in range(25)]

    findings = await asyncio.gather(*(sweep(engine_database, page_size=4) for _ in range(5)))

    assert sum(each.found for each in findings) == 25
    assert await keys(office) == sorted(of_overdue_invoice(each, 3) for each in invoices)


async def test_only_organizations_of_the_zone_are_swept(
    office: Office, engine_database: Database
) -> None:
    await office.apply(reminding([3]))
    await add_invoice(office, ago(3))
    async with await Office.open(office.url, "Elsewhere", time_zone="Asia/Tokyo") as other:
        await other.apply(reminding([3]))
        await add_invoice(other, ago(3))

        assert (await sweep(engine_database, zone="Asia/Tokyo")).found == 1
        assert len(await swept_events(other)) == 1
    assert await swept_events(office) == []


async def test_today_is_what_the_calendar_says_where_the_organization_is(
    office: Office, engine_database: Database
) -> None:
    await office.query("UPDATE organizations SET time_zone = 'Pacific/Auckland'")
    await office.apply(reminding([3]))
    await add_invoice(office, ago(2))
    # Already the 22nd in Auckland.
    nine = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
    assert (await sweep(engine_database, nine, zone="Pacific/Auckland")).found == 1


@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 11, 1)])
async def test_days_of_clock_changes_are_days(
    office: Office, engine_database: Database, day: date
) -> None:
    await office.apply(reminding([1]))
    invoice = await add_invoice(office, day)
    for offset in range(-1, 4):
        await sweep(
            engine_database,
            datetime(day.year, day.month, day.day, 13, 30, tzinfo=UTC) + timedelta(days=offset),
        )
        expected = [] if offset < 1 else [of_overdue_invoice(invoice, 1)]
        assert await keys(office) == expected


async def test_bad_rows_are_told_of_and_never_stop_the_others(
    office: Office, engine_database: Database
) -> None:
    applied = await office.apply(reminding([3]))
    good = await add_invoice(office, ago(3))
    amount = await add_invoice(office, ago(3), total="NaN")
    endless = await add_invoice(office, "infinity")
    await add_invoice(office, "-infinity", status="paid")
    await add_invoice(office, None)
    await add_invoice(office, "4714-11-24 BC")
    await add_invoice(office, "99999-01-01")

    findings = await sweep(engine_database)

    assert await keys(office) == [of_overdue_invoice(good, 3)]
    automation = f"automation {applied.automation.id}"
    assert set(findings.problems) == {
        f"{automation}: invoice {amount}: its amount is not a number; correct it",
        f"{automation}: invoice {endless}: its date is infinite",
    }


async def test_an_automation_nobody_can_read_never_stops_the_others(
    office: Office, engine_database: Database
) -> None:
    await office.apply(reminding([3]))
    broken = await office.apply(reminding([3]).replace("Overdue", "Broken"))
    await office.query(
        """UPDATE automation_workflows SET trigger_config = '{"days": "soon"}' WHERE id = %s""",
        broken.automation.id,
    )
    await add_invoice(office, ago(3))

    findings = await sweep(engine_database)

    assert findings.found == 1
    (problem,) = findings.problems
    assert str(broken.automation.id) in problem


async def test_paused_automations_find_nothing(office: Office, engine_database: Database) -> None:
    await office.apply(reminding([3]) + "status: paused\n")
    await add_invoice(office, ago(3))
    assert await sweep(engine_database) == SweepFindings()


async def test_a_run_long_overdue_sends_nothing_stale(
    office: Office, engine_database: Database
) -> None:
    """A backfill of last week looks at the world as it is today."""
    await office.apply(reminding([3]))
    await listen_since(office, NINE - timedelta(days=60))
    await add_invoice(office, ago(10))

    await sweep(engine_database, NINE - timedelta(days=7), now=NINE)

    (event,) = await swept_events(office)
    assert "late" in event["data"]
