"""The monitoring people know runs unchanged, and tells the truth."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.runs import ExecutionStatus
from fixlify.storage.analytics import recompute_analytics
from fixlify.storage.database import Database
from fixlify.storage.stops import stop_automations
from tests.clones import delete_everything, new_database
from tests.conftest import TEMPLATE
from tests.office import Office
from tests.runs import add_execution

# Word for word as the replaced system documented it.
PENDING = "SELECT COUNT(*) FROM automation_execution_logs WHERE status = 'pending';"
NEWEST = """
    SELECT id, status, created_at, completed_at
    FROM automation_execution_logs
    ORDER BY created_at DESC
    LIMIT 10;
"""
SCHEDULES = "SELECT * FROM automation_cron_status;"
LAST_HOUR = """
    SELECT * FROM automation_execution_logs
    WHERE created_at > NOW() - INTERVAL '1 hour'
    ORDER BY created_at DESC;
"""
TODAY = """
    SELECT * FROM automation_analytics
    WHERE date = CURRENT_DATE;
"""
HEALTH = "SELECT * FROM automation_system_health ORDER BY organization"
NEXT_RUN = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
async def shared_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """One database for these tests, which empty it one after another."""
    async with new_database(postgres, TEMPLATE) as url:
        yield url


@pytest.fixture
async def database_url(shared_database: str) -> str:
    """That database, with nothing in it."""
    await delete_everything(shared_database)
    return shared_database


async def add_executions(office: Office, **counts: int) -> None:
    for status, count in counts.items():
        for _ in range(count):
            await add_execution(office, status)


async def recompute(database: Database) -> None:
    async with database.transaction() as connection:
        await recompute_analytics(connection, None)


async def test_pending_executions(office: Office) -> None:
    assert await office.query(PENDING) == [{"count": 0}]
    await add_executions(office, pending=2, running=1, completed=1, skipped=1)
    assert await office.query(PENDING) == [{"count": 2}]


async def test_the_newest_executions(office: Office) -> None:
    for minutes in range(12):
        created = datetime.now(UTC) - timedelta(minutes=minutes)
        await add_execution(office, "completed", created_at=created, completed_at=created)
    found = await office.query(NEWEST)
    newest = sorted(await office.executions(), key=lambda each: each["created_at"], reverse=True)
    assert [row["id"] for row in found] == [each["id"] for each in newest[:10]]
    assert list(found[0]) == ["id", "status", "created_at", "completed_at"]


async def test_the_executions_of_the_last_hour(office: Office) -> None:
    now = datetime.now(UTC)
    for minutes in (1, 59, 61, 600):
        await add_execution(office, created_at=now - timedelta(minutes=minutes))
    found = [
        round((now - row["created_at"]) / timedelta(minutes=1))
        for row in await office.query(LAST_HOUR)
    ]
    assert found == [1, 59]


async def test_the_figures_of_today(office: Office, engine_database: Database) -> None:
    """Counted from the executions themselves, so nothing can be counted twice."""
    await recompute(engine_database)
    assert await office.query(TODAY) == []
    await add_executions(
        office, pending=1, running=1, waiting=1, completed=3, failed=2, skipped=4, cancelled=1
    )
    await add_execution(office, "completed", created_at=datetime.now(UTC) - timedelta(days=1))
    await recompute(engine_database)
    (row,) = await office.query(TODAY)
    automation = (await office.executions())[0]["automation_id"]
    assert row.pop("average_duration") is None
    assert row.pop("computed_at") <= datetime.now(UTC)
    assert row == {
        "organization_id": office.organization_id,
        "automation_id": automation,
        "date": datetime.now(UTC).date(),
        "executions": 13,
        "completed": 3,
        "failed": 2,
        "skipped": 4,
        "cancelled": 1,
        "open": 3,
        "emails_sent": 0,
        "sms_sent": 0,
        "messages_not_sent": 0,
    }


async def test_the_figures_follow_the_executions(office: Office, engine_database: Database) -> None:
    await add_executions(office, running=1)
    await office.query(
        "UPDATE automation_execution_logs SET status = 'completed', "
        "started_at = now() - interval '5 seconds', completed_at = now()"
    )
    for _ in range(2):
        await recompute(engine_database)
        (row,) = await office.query(TODAY)
        assert (row["executions"], row["completed"], row["open"]) == (1, 1, 0)
        assert row["average_duration"] == timedelta(seconds=5)


async def test_every_status_is_counted_once(office: Office, engine_database: Database) -> None:
    await add_executions(office, **{status.value: 1 for status in ExecutionStatus})
    await recompute(engine_database)
    (row,) = await office.query(TODAY)
    parts = ("completed", "failed", "skipped", "cancelled", "open")
    assert sum(row[part] for part in parts) == row["executions"] == len(ExecutionStatus)


async def add_schedule(
    office: Office, schedule_id: str, *results: str, everybodys: bool = False
) -> None:
    """Enter a schedule that ran once a minute with these results, the newest last."""
    organization = None if everybodys else office.organization_id
    await office.insert(
        "automation_schedules",
        id=schedule_id,
        organization_id=organization,
        name="check-overdue-invoices",
        schedule="0 9 * * *",
        time_zone="America/New_York",
        catch_up="one hour",
        specification="{}",
        content_hash="",
        next_run_at=NEXT_RUN,
    )
    for minutes, result in enumerate(reversed(results)):
        started = NEXT_RUN - timedelta(minutes=minutes, hours=1)
        await office.insert(
            "automation_schedule_runs",
            id=f"{schedule_id}/{minutes}",
            schedule_id=schedule_id,
            organization_id=organization,
            scheduled_at=started,
            started_at=started,
            finished_at=started + timedelta(seconds=2) if result != "running" else None,
            status=result,
        )


async def test_the_schedules(office: Office) -> None:
    assert await office.query(SCHEDULES) == []
    await add_schedule(office, "overdue", "failed", "completed", "completed", "running")
    (row,) = await office.query(SCHEDULES)
    assert row.pop("success_rate") == round(Decimal(200) / 3, 2)
    assert row == {
        "jobname": "check-overdue-invoices",
        "schedule": "0 9 * * *",
        "time_zone": "America/New_York",
        "active": True,
        "paused_reason": None,
        "last_run": NEXT_RUN - timedelta(hours=1),
        "last_result": "running",
        "next_run": NEXT_RUN,
        "runs": 4,
        "average_duration": timedelta(seconds=2),
        "organization_id": office.organization_id,
        "schedule_id": "overdue",
    }


async def test_a_paused_schedule_has_no_next_run(office: Office) -> None:
    await add_schedule(office, "overdue")
    await office.query("UPDATE automation_schedules SET active = false, paused_reason = 'holidays'")
    (row,) = await office.query(SCHEDULES)
    assert (row["next_run"], row["paused_reason"], row["runs"]) == (None, "holidays", 0)


async def test_the_health_of_every_organization(
    office: Office, database_url: str, engine_database: Database
) -> None:
    async with await Office.open(database_url, "Acme Drains") as idle:
        long_ago = datetime(2026, 1, 1, tzinfo=UTC)
        await add_executions(office, pending=2, running=1, waiting=2, failed=1, completed=1)
        await add_execution(office, "pending", created_at=long_ago)
        failed = await add_execution(office, "failed", created_at=long_ago)
        for status in ("unknown", "unknown", "sent", "held", "queued"):
            await office.insert(
                "messages",
                id=uuid4(),
                organization_id=office.organization_id,
                execution_id=failed,
                step_id=str(uuid4()),
                channel="sms",
                recipient_kind="client",
                status=status,
            )
        # Beside what the client and the job brought: something that a sweep found.
        await office.insert(
            "automation_events",
            organization_id=office.organization_id,
            event_type="invoice_overdue",
            subject_type="invoice",
            automation_id=uuid4(),
            occurrence_key="overdue/1",
        )
        await add_schedule(office, "its own, failing", "completed", "failed")
        await add_schedule(office, "its own, well again", "failed", "completed")
        await add_schedule(office, "everybody's, failing", "failed", everybodys=True)
        async with engine_database.transaction() as connection:
            stop = await stop_automations(connection, office.organization_id, "wrong prices")
        assert stop is not None
        assert await office.query(HEALTH) == [
            {
                "organization_id": idle.organization_id,
                "organization": "Acme Drains",
                "unprocessed_events": 0,
                "pending": 0,
                "oldest_pending_at": None,
                "open": 0,
                "failed_in_24_hours": 0,
                "unknown_outcomes": 0,
                "held_messages": 0,
                "stopped_since": None,
                "failing_schedules": 1,
            },
            {
                "organization_id": office.organization_id,
                "organization": "Northwind Heating",
                "unprocessed_events": 3,
                "pending": 3,
                "oldest_pending_at": long_ago,
                "open": 3,
                "failed_in_24_hours": 1,
                "unknown_outcomes": 2,
                "held_messages": 1,
                "stopped_since": stop.stopped_at,
                "failing_schedules": 2,
            },
        ]


async def test_a_stop_of_all_stops_each(office: Office, engine_database: Database) -> None:
    async with engine_database.transaction() as connection:
        everybody = await stop_automations(connection, None, None)
        await stop_automations(connection, office.organization_id, None)
    assert everybody is not None
    (row,) = await office.query(HEALTH)
    assert row["stopped_since"] == everybody.stopped_at


@pytest.mark.parametrize("statement", [PENDING, NEWEST, SCHEDULES, LAST_HOUR, TODAY, HEALTH])
async def test_each_role_may_look(
    app_database: Database, engine_database: Database, office: Office, statement: str
) -> None:
    await add_executions(office, pending=1)
    await add_schedule(office, "its own", "completed")
    await add_schedule(office, "everybody's", "failed", everybodys=True)
    await recompute(engine_database)
    rows: list[Any]
    async with app_database.organization(office.organization_id) as connection:
        rows = list(await connection.execute(text(statement)))
    async with engine_database.statement() as connection:
        assert list(await connection.execute(text(statement))) == rows
    assert rows


async def test_a_company_counts_its_own_alone(
    app_database: Database, engine_database: Database, office: Office, database_url: str
) -> None:
    async with await Office.open(database_url, "Harbor Plumbing") as other:
        await add_executions(other, pending=3)
        await add_executions(office, pending=1)
        await add_schedule(other, "another's", "failed")
        await recompute(engine_database)
        async with engine_database.transaction() as connection:
            await stop_automations(connection, other.organization_id, None)
        async with app_database.organization(office.organization_id) as connection:
            assert await connection.scalar(text(PENDING)) == 1
            (row,) = await connection.execute(text(TODAY))
            assert row.executions == 1
            assert list(await connection.execute(text(SCHEDULES))) == []
            (health,) = await connection.execute(text(HEALTH))
            assert (health.pending, health.stopped_since, health.failing_schedules) == (1, None, 0)


async def simulate_an_hour(office: Office) -> None:
    """Enter what an hour leaves behind: two automations, every outcome, both channels."""
    begun = datetime.now(UTC) - timedelta(minutes=59)
    statuses = list(ExecutionStatus)
    for n in range(70):
        status = statuses[n % len(statuses)]
        created = begun + timedelta(seconds=30 * n)
        execution = await add_execution(
            office,
            status,
            created_at=created,
            started_at=None if status == "pending" else created,
            completed_at=created + timedelta(seconds=n % 9) if n % len(statuses) > 2 else None,
        )
        for channel in ("email", "sms")[: n % 3]:
            await office.insert(
                "messages",
                id=uuid4(),
                organization_id=office.organization_id,
                execution_id=execution,
                step_id=channel,
                channel=channel,
                recipient_kind="client",
                status=("sent", "failed", "suppressed", "unknown", "held")[n % 5],
                created_at=created,
            )


async def test_the_known_queries_tell_the_truth_after_an_hour_of_work(
    office: Office, database_url: str, engine_database: Database
) -> None:
    async with await Office.open(database_url, "Harbor Plumbing") as other:
        await simulate_an_hour(office)
        await simulate_an_hour(other)
        await recompute(engine_database)
        assert await office.query(PENDING) == [{"count": 20}]
        assert len(await office.query(LAST_HOUR)) == 140
        today = await office.query(
            "SELECT organization_id, sum(executions) AS executions, sum(completed) AS completed,"
            " sum(failed) AS failed, sum(skipped) AS skipped, sum(cancelled) AS cancelled,"
            " sum(open) AS open, sum(emails_sent) AS emails, sum(sms_sent) AS sms,"
            " sum(messages_not_sent) AS not_sent"
            " FROM automation_analytics GROUP BY organization_id"
        )
        counted = await office.query("""
            SELECT e.organization_id, count(DISTINCT e.id) AS executions,
                   count(DISTINCT e.id) FILTER (WHERE e.status = 'completed') AS completed,
                   count(DISTINCT e.id) FILTER (WHERE e.status = 'failed') AS failed,
                   count(DISTINCT e.id) FILTER (WHERE e.status = 'skipped') AS skipped,
                   count(DISTINCT e.id) FILTER (WHERE e.status = 'cancelled') AS cancelled,
                   count(DISTINCT e.id) FILTER (WHERE e.completed_at IS NULL) AS open,
                   count(m.id) FILTER (WHERE m.status = 'sent' AND m.channel = 'email') AS emails,
                   count(m.id) FILTER (WHERE m.status = 'sent' AND m.channel = 'sms') AS sms,
                   count(m.id) FILTER (WHERE m.status IN ('failed', 'suppressed')) AS not_sent
            FROM automation_execution_logs e LEFT JOIN messages m ON m.execution_id = e.id
            GROUP BY e.organization_id
        """)
        assert sorted(today, key=str) == sorted(counted, key=str)
        health = {row["organization_id"]: row for row in await office.query(HEALTH)}
        for company in (office, other):
            row = health[company.organization_id]
            assert (row["pending"], row["open"], row["failed_in_24_hours"]) == (10, 20, 10)
            counts = await company.query(
                "SELECT count(*) FILTER (WHERE status = 'unknown') AS unknown_outcomes,"
                " count(*) FILTER (WHERE status = 'held') AS held_messages"
                " FROM messages WHERE organization_id = %s",
                company.organization_id,
            )
            assert [{name: row[name] for name in counts[0]}] == counts
