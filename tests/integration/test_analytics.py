"""The figures of each day are what a recount finds, however often and by whom they are made."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.ids import new_id
from fixlify.domain.runs import TAKEN, ExecutionStatus, MessageStatus
from fixlify.storage.analytics import recompute_analytics
from fixlify.storage.database import Database
from tests.clones import delete_everything, new_database
from tests.conftest import TEMPLATE
from tests.engine import eventually
from tests.office import Office
from tests.runs import add_execution

FIGURES = (
    "organization_id, automation_id, date, executions, completed, failed, skipped, cancelled, open,"
    " emails_sent, sms_sent, messages_not_sent, average_duration"
)
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
A_DAY = timedelta(days=1)


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


async def recompute(database: Database, since: datetime | None = None) -> int:
    async with database.transaction() as connection:
        return await recompute_analytics(connection, since)


async def figures(office: Office) -> list[dict[str, Any]]:
    return await office.query(
        f"SELECT {FIGURES} FROM automation_analytics ORDER BY automation_id, date"
    )


async def add_message(office: Office, execution: UUID, status: str, **columns: Any) -> None:
    defaults = {
        "id": new_id(),
        "organization_id": office.organization_id,
        "execution_id": execution,
        "step_id": str(new_id()),
        "channel": "sms",
        "recipient_kind": "client",
        "status": status,
        "sent_at": datetime.now(UTC) if status == "sent" else None,
    }
    await office.insert("messages", **(defaults | columns))


async def add_day(office: Office, day: datetime) -> UUID:
    """Enter one execution that ended on *day*, five seconds after it began, with one text sent."""
    execution = await add_execution(
        office,
        "completed",
        created_at=day,
        started_at=day,
        completed_at=day + timedelta(seconds=5),
    )
    await add_message(office, execution, "sent", created_at=day, sent_at=day)
    return execution


async def simulate_work(url: str, days: int = 3, executions: int = 2000) -> None:
    """Fill three companies with four automations each; every status, both channels."""
    chance = random.Random(20261121)  # noqa: S311 - the same figures in every run
    offices = [await Office.open(url, f"Company {n}") for n in range(3)]
    automations: list[tuple[Office, UUID]] = []
    for office in offices:
        for n in range(4):
            applied = await office.apply(
                f"{{name: Automation {n}, trigger: {{type: job_completed}},"
                " steps: [{type: send_sms, text: Hello}]}"
            )
            automations.append((office, applied.automation.id))
    now = datetime.now(UTC)
    matched, sent = [], []
    for n in range(executions):
        office, automation = chance.choice(automations)
        status = chance.choice(list(ExecutionStatus))
        created = now - chance.random() * days * A_DAY
        ended = status in ("completed", "failed", "skipped", "cancelled")
        took = timedelta(milliseconds=chance.randint(5, 90_000))
        execution = new_id()
        matched.append(
            (
                *(execution, office.organization_id, automation, 1, f"event/{n}", "job", "J-1"),
                *("job_completed", "completed", json.dumps({}), created, status, created),
                None if status in ("pending", "skipped") else created,
                created + took if ended else None,
            )
        )
        for step in range(chance.randint(0, 3)):
            message = chance.choice(list(MessageStatus))
            sent.append(
                (
                    *(new_id(), office.organization_id, execution, f"step-{step}"),
                    *(chance.choice(["email", "sms"]), "client", message, created),
                    created + took if message == "sent" else None,
                )
            )
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = connection.cursor()
        await cursor.executemany(
            "INSERT INTO automation_execution_logs (id, organization_id, automation_id,"
            " automation_version, occurrence_key, subject_type, subject_id, trigger_type,"
            " trigger_value, trigger_data, occurred_at, status, created_at, started_at,"
            " completed_at) VALUES (" + ", ".join(["%s"] * 15) + ")",
            matched,
        )
        await cursor.executemany(
            "INSERT INTO messages (id, organization_id, execution_id, step_id, channel,"
            " recipient_kind, status, created_at, sent_at) VALUES (" + ", ".join(["%s"] * 9) + ")",
            sent,
        )
    for office in offices:
        await office.__aexit__(None, None, None)


async def recount(office: Office) -> list[dict[str, Any]]:
    """Count row by row in Python, from nothing but the two tables."""
    executions = await office.query("SELECT * FROM automation_execution_logs")
    messages = await office.query("SELECT execution_id, channel, status FROM messages")
    found: dict[tuple[UUID, Any], dict[str, Any]] = {}
    durations: dict[tuple[UUID, Any], list[timedelta]] = {}
    groups = {}
    for each in executions:
        key = (each["automation_id"], each["created_at"].astimezone(UTC).date())
        groups[each["id"]] = key
        row = found.setdefault(
            key,
            {
                "organization_id": each["organization_id"],
                "automation_id": key[0],
                "date": key[1],
                **dict.fromkeys(("executions", "completed", "failed", "skipped"), 0),
                **dict.fromkeys(("cancelled", "open", "emails_sent", "sms_sent"), 0),
                "messages_not_sent": 0,
            },
        )
        row["executions"] += 1
        ended = each["status"] in ("completed", "failed", "skipped", "cancelled")
        row[each["status"] if ended else "open"] += 1
        if each["status"] == "completed":
            durations.setdefault(key, []).append(each["completed_at"] - each["started_at"])
    for message in messages:
        row = found[groups[message["execution_id"]]]
        if message["status"] in TAKEN:
            row["emails_sent" if message["channel"] == "email" else "sms_sent"] += 1
        elif message["status"] in ("failed", "suppressed", "cancelled"):
            row["messages_not_sent"] += 1
    for key, row in found.items():
        took = durations.get(key)
        row["average_duration"] = sum(took, timedelta()) / len(took) if took else None
    return [found[key] for key in sorted(found)]


async def test_the_figures_are_what_a_recount_finds(
    database_url: str, office: Office, engine_database: Database
) -> None:
    await simulate_work(database_url)
    expected = await recount(office)
    assert await recompute(engine_database) == len(expected) >= 36
    found = await figures(office)
    for row in [*found, *expected]:
        # Postgres rounds an average to a microsecond in its own way.
        if row["average_duration"] is not None:
            row["average_duration"] = round(row["average_duration"].total_seconds(), 4)
    assert found == expected


async def test_counting_twice_or_five_times_at_once_gives_the_same(
    database_url: str, office: Office, engine_database: Database
) -> None:
    """The last hour's completions were once counted again by every run of the cron."""
    await simulate_work(database_url, executions=300)
    await recompute(engine_database)
    once = await figures(office)
    await recompute(engine_database)
    await asyncio.gather(*(recompute(engine_database) for _ in range(5)))
    assert await figures(office) == once


async def test_only_days_on_which_something_happened_are_counted_again(
    office: Office, engine_database: Database
) -> None:
    for ago in range(5):
        await add_day(office, NOON - ago * A_DAY)
    assert await recompute(engine_database) == 5
    await office.query("UPDATE automation_analytics SET computed_at = '2000-01-01'")
    assert await recompute(engine_database, NOON - timedelta(days=1, hours=1)) == 2
    again = await office.query(
        "SELECT date FROM automation_analytics WHERE computed_at > '2000-01-01' ORDER BY date"
    )
    assert [row["date"] for row in again] == [(NOON - A_DAY).date(), NOON.date()]


async def test_an_execution_that_ends_weeks_later_counts_on_its_own_day(
    office: Office, engine_database: Database
) -> None:
    weeks_ago = NOON - 20 * A_DAY
    await add_execution(office, "waiting", created_at=weeks_ago, started_at=weeks_ago)
    await recompute(engine_database)
    (before,) = await figures(office)
    assert (before["open"], before["completed"]) == (1, 0)

    await office.query(
        "UPDATE automation_execution_logs SET status = 'completed', completed_at = now()"
    )
    assert await recompute(engine_database, datetime.now(UTC) - timedelta(hours=1)) == 1

    (after,) = await figures(office)
    assert (after["date"], after["open"], after["completed"]) == (weeks_ago.date(), 0, 1)


@pytest.mark.parametrize("written", ["now", "long ago, and held until now"])
async def test_a_message_sent_during_a_long_wait_is_counted_before_the_end(
    office: Office, engine_database: Database, written: str
) -> None:
    weeks_ago = NOON - 20 * A_DAY
    execution = await add_execution(office, "waiting", created_at=weeks_ago, started_at=weeks_ago)
    await recompute(engine_database)
    created = datetime.now(UTC) if written == "now" else weeks_ago
    await add_message(office, execution, "sent", created_at=created)

    assert await recompute(engine_database, datetime.now(UTC) - timedelta(hours=1)) == 1

    (row,) = await figures(office)
    assert row["sms_sent"] == 1


@pytest.mark.parametrize("since", [None, NOON - timedelta(hours=13)])
async def test_a_day_of_which_nothing_is_left_loses_its_figures(
    office: Office, engine_database: Database, since: datetime | None
) -> None:
    await add_day(office, NOON)
    await recompute(engine_database)
    await office.query("DELETE FROM messages")
    await office.query("DELETE FROM automation_execution_logs")
    assert await recompute(engine_database, since) == 0
    assert await figures(office) == []


async def test_midnight_is_that_of_utc(office: Office, engine_database: Database) -> None:
    """Wherever the company, the server or the session is."""
    midnight = NOON.replace(hour=0)
    await add_execution(office, "failed", created_at=midnight - timedelta(microseconds=1))
    await add_execution(office, "failed", created_at=midnight)
    await office.query(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET timezone TO %%L',"
        " current_database(), 'Pacific/Auckland'); END $$"
    )
    try:
        await engine_database.close()
        await recompute(engine_database)
    finally:
        await office.query(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I RESET timezone',"
            " current_database()); END $$"
        )
    assert [(row["date"], row["executions"]) for row in await figures(office)] == [
        ((NOON - A_DAY).date(), 1),
        (NOON.date(), 1),
    ]


async def test_what_an_older_count_found_never_replaces_what_a_newer_one_did(
    office: Office, engine_database: Database
) -> None:
    """Somebody who waits for his turn counts what is there when he gets it."""
    await add_day(office, NOON)
    async with engine_database.transaction() as connection:
        await recompute_analytics(connection, None)
        waiting = asyncio.create_task(recompute(engine_database))

        async def waits() -> object:
            return await office.query(
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            )

        await eventually(waits)
        await add_day(office, NOON)
    await waiting
    (row,) = await figures(office)
    assert row["executions"] == 2
