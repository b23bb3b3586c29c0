"""The monitoring people know runs unchanged, and tells the truth."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.runs import ExecutionStatus
from fixlify.storage.database import Database
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


async def test_the_figures_of_today(office: Office) -> None:
    """Counted from the executions themselves, so nothing can be counted twice."""
    assert await office.query(TODAY) == []
    await add_executions(
        office, pending=1, running=1, waiting=1, completed=3, failed=2, skipped=4, cancelled=1
    )
    await add_execution(office, "completed", created_at=datetime.now(UTC) - timedelta(days=1))
    (row,) = await office.query(TODAY)
    automation = (await office.executions())[0]["automation_id"]
    assert row.pop("average_duration") is None
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
    }


async def test_the_figures_follow_the_executions(office: Office) -> None:
    await add_executions(office, running=1)
    await office.query(
        "UPDATE automation_execution_logs SET status = 'completed', "
        "started_at = now() - interval '5 seconds', completed_at = now()"
    )
    for _ in range(2):
        (row,) = await office.query(TODAY)
        assert (row["executions"], row["completed"], row["open"]) == (1, 1, 0)
        assert row["average_duration"] == timedelta(seconds=5)


async def test_every_status_is_counted_once(office: Office) -> None:
    await add_executions(office, **{status.value: 1 for status in ExecutionStatus})
    (row,) = await office.query(TODAY)
    parts = ("completed", "failed", "skipped", "cancelled", "open")
    assert sum(row[part] for part in parts) == row["executions"] == len(ExecutionStatus)


async def test_the_schedules(office: Office) -> None:
    assert await office.query(SCHEDULES) == []
    await office.insert(
        "automation_schedules",
        organization_id=office.organization_id,
        name="check-overdue-invoices",
        schedule="0 9 * * *",
        time_zone="America/New_York",
        last_status="completed",
    )
    (row,) = await office.query(SCHEDULES)
    assert row == {
        "jobname": "check-overdue-invoices",
        "schedule": "0 9 * * *",
        "time_zone": "America/New_York",
        "active": True,
        "last_run_at": None,
        "last_status": "completed",
        "next_run_at": None,
    }


async def test_the_health_of_every_organization(office: Office, database_url: str) -> None:
    async with await Office.open(database_url, "Acme Drains") as idle:
        long_ago = datetime(2026, 1, 1, tzinfo=UTC)
        await add_executions(office, pending=2, running=1, waiting=2, failed=1, completed=1)
        await add_execution(office, "pending", created_at=long_ago)
        failed = await add_execution(office, "failed", created_at=long_ago)
        for status in ("unknown", "unknown", "sent"):
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
            },
            {
                "organization_id": office.organization_id,
                "organization": "Northwind Heating",
                "unprocessed_events": 1,
                "pending": 3,
                "oldest_pending_at": long_ago,
                "open": 3,
                "failed_in_24_hours": 1,
                "unknown_outcomes": 2,
            },
        ]


@pytest.mark.parametrize("statement", [PENDING, NEWEST, SCHEDULES, LAST_HOUR, TODAY, HEALTH])
async def test_each_role_may_look(
    app_database: Database, engine_database: Database, office: Office, statement: str
) -> None:
    await add_executions(office, pending=1)
    rows: list[Any]
    async with app_database.organization(office.organization_id) as connection:
        rows = list(await connection.execute(text(statement)))
    async with engine_database.statement() as connection:
        assert list(await connection.execute(text(statement))) == rows
    assert rows or statement == SCHEDULES


async def test_a_company_counts_its_own_alone(
    app_database: Database, office: Office, database_url: str
) -> None:
    async with await Office.open(database_url, "Harbor Plumbing") as other:
        await add_executions(other, pending=3)
        await add_executions(office, pending=1)
        async with app_database.organization(office.organization_id) as connection:
            assert await connection.scalar(text(PENDING)) == 1
            (row,) = await connection.execute(text(TODAY))
            assert row.executions == 1
