"""What automations did is drawn as it stands: past days as counted, today as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.ids import new_id
from fixlify.storage.analytics import recompute_analytics
from fixlify.storage.database import Database
from fixlify.storage.statistics import Figures, Statistics, read_statistics
from tests.clones import delete_everything, new_database
from tests.command_line import CommandLine
from tests.conftest import TEMPLATE
from tests.office import Office
from tests.runs import add_execution

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


@pytest.fixture
def line(office: Office) -> CommandLine:
    """The command line of the office."""
    return CommandLine(FIXLIFY_DATABASE_URL=office.url)


async def add_run(
    office: Office,
    status: str = "completed",
    *,
    ago: timedelta = timedelta(0),
    took: timedelta = timedelta(seconds=2),
    sent: tuple[str, ...] = (),
    latency: timedelta = timedelta(milliseconds=30),
) -> UUID:
    """Enter an execution that happened *ago*, with one sent message per channel in *sent*."""
    created = datetime.now(UTC) - ago
    ended = status in ("completed", "failed", "cancelled", "skipped")
    execution = await add_execution(
        office,
        status,
        occurred_at=created,
        created_at=created,
        started_at=created,
        completed_at=created + took if ended else None,
    )
    for channel in sent:
        await add_message(office, execution, channel, created, created + latency)
        await add_step(office, execution, channel, len(sent), channel)
    return execution


async def add_message(
    office: Office, execution: UUID, channel: str, created: datetime, sent: datetime | None
) -> None:
    await office.insert(
        "messages",
        id=new_id(),
        organization_id=office.organization_id,
        execution_id=execution,
        step_id=channel,
        channel=channel,
        recipient_kind="client",
        status="sent" if sent else "failed",
        created_at=created,
        sent_at=sent,
    )


async def add_step(office: Office, execution: UUID, step: str, position: int, kind: str) -> None:
    await office.insert(
        "automation_step_logs",
        execution_id=execution,
        step_id=step,
        organization_id=office.organization_id,
        position=position,
        kind=kind,
        status="completed",
    )


async def count(database: Database) -> None:
    async with database.transaction() as connection:
        await recompute_analytics(connection, None)


async def read(database: Database, office: Office, days: int = 7) -> Statistics:
    async with database.organization(office.organization_id) as connection:
        return await read_statistics(connection, office.organization_id, days)


async def test_today_is_live_and_past_days_are_as_counted(
    office: Office, app_database: Database, engine_database: Database
) -> None:
    await add_run(office, ago=2 * A_DAY, sent=("sms",))
    await add_run(office, "failed", ago=2 * A_DAY)
    await count(engine_database)
    await add_run(office, ago=2 * A_DAY)
    await add_run(office, took=timedelta(seconds=4), sent=("email", "sms"))
    await add_run(office, "waiting")

    found = await read(app_database, office, days=3)

    assert [(day.live, day.figures.executions) for day in found.days] == [
        (False, 2),
        (False, 0),
        (True, 2),
    ]
    assert found.days[-1].date == datetime.now(UTC).date()
    assert found.counted_at is not None
    assert found.total == Figures(
        executions=4,
        completed=2,
        failed=1,
        open=1,
        emails_sent=1,
        sms_sent=2,
        average_duration=timedelta(seconds=3),
    )
    assert found.total.success_rate == pytest.approx(2 / 3)


async def test_todays_figures_are_never_taken_from_the_table(
    office: Office, app_database: Database, engine_database: Database
) -> None:
    await add_run(office)
    await count(engine_database)
    await add_run(office)
    assert (await read(app_database, office)).total.executions == 2


async def test_a_company_sees_its_own_figures_alone(
    office: Office, app_database: Database, engine_database: Database
) -> None:
    async with await Office.open(office.url, "Harbor Plumbing") as other:
        await add_run(other, sent=("sms",))
        await add_run(other, ago=A_DAY, sent=("sms",))
        await count(engine_database)
        found = await read(app_database, office)
        assert (found.total, found.automations, found.latencies) == (Figures(), (), ())
        # Even a connection that sees everybody is asked about one.
        async with engine_database.transaction() as connection:
            assert await read_statistics(connection, office.organization_id, 7) == found


async def test_latency_is_from_what_happened_to_the_acceptance(
    office: Office, app_database: Database
) -> None:
    for milliseconds in range(10, 110, 10):
        await add_run(office, sent=("sms",), latency=timedelta(milliseconds=milliseconds))
    await add_run(office, ago=timedelta(hours=25), sent=("sms",), latency=A_DAY)
    (latency,) = (await read(app_database, office)).latencies
    assert (latency.channel, latency.messages) == ("sms", 10)
    assert latency.p50 == timedelta(milliseconds=55)
    assert latency.p95 == timedelta(milliseconds=95.5)


async def test_what_comes_after_a_wait_is_late_on_purpose(
    office: Office, app_database: Database
) -> None:
    execution = await add_run(office, sent=("sms",), latency=timedelta(milliseconds=40))
    now = datetime.now(UTC)
    await add_step(office, execution, "cool-down", 2, "wait")
    await add_step(office, execution, "email", 3, "email")
    await add_message(office, execution, "email", now, now + 2 * A_DAY)
    latencies = (await read(app_database, office)).latencies
    assert [each.channel for each in latencies] == ["sms"]


async def test_it_is_drawn_for_people(
    line: CommandLine, office: Office, engine_database: Database
) -> None:
    yesterday = (datetime.now(UTC) - A_DAY).date()
    for status, runs in {"completed": 6, "failed": 1, "skipped": 2, "cancelled": 1}.items():
        for _ in range(runs):
            await add_run(office, status, ago=A_DAY, sent=("sms",) * (status == "completed"))
    await count(engine_database)
    await add_run(office, "waiting")
    await office.insert(
        "automation_stops", organization_id=office.organization_id, reason="wrong prices"
    )

    said = await line.run("stats", "--days", "3")

    assert said.code == 0
    assert said.lines[0] == "Northwind Heating, the last 3 days (UTC)"
    assert said.lines[3] == f"{yesterday:%a %Y-%m-%d}  ██████▓▒▒░ 10"
    assert said.lines[4] == f"{datetime.now(UTC):%a %Y-%m-%d}  · 1"
    assert said.lines[5] == "█ completed  ▓ failed  ▒ skipped  ░ cancelled  · open"
    table = [each.split() for each in said.lines[7:9]]
    assert table == [
        ["AUTOMATION", "RUNS", "DONE", "FAILED", "SKIPPED", "SENT", "SUCCESS", "TAKES"],
        ["Thanks", "11", "6", "1", "2", "6", "85.7%", "2.0", "s"],
    ]
    facts = dict(each.split(maxsplit=1) for each in said.lines[10:-1])
    assert facts["Messages"] == "0 emails and 6 texts sent, 0 not sent"
    assert facts["Waiting"].startswith("now  2 events, 0 executions pending, 1 run under way;")
    assert facts["Past"].endswith("; today is counted now")
    assert said.lines[-1].startswith("Northwind Heating is stopped since ")
    assert said.lines[-1].endswith(": wrong prices")


async def test_a_paused_channel_is_told(line: CommandLine, office: Office) -> None:
    paused = {"channel": "sms", "paused_at": datetime.now(UTC), "paused_reason": "wrong number"}
    await office.insert("channel_settings", **paused)
    await office.insert("channel_settings", channel="email", per_second=20)

    said = await line.run("stats")
    assert said.lines[-1].startswith("The sms channel is paused since ")
    assert said.lines[-1].endswith(": wrong number")
    (told,) = (await line.run("stats", "--json")).document["paused_channels"]
    assert (told["channel"], told["reason"]) == ("sms", "wrong number")


async def test_bars_fit_and_nothing_that_happened_is_invisible(
    line: CommandLine, office: Office
) -> None:
    await add_run(office, "failed")
    await add_execution(office, "completed", started_at=datetime.now(UTC))
    await office.query(
        "INSERT INTO automation_execution_logs (id, organization_id, automation_id,"
        " automation_version, occurrence_key, subject_type, subject_id, trigger_type,"
        " trigger_value, trigger_data, occurred_at, status)"
        " SELECT gen_random_uuid(), organization_id, automation_id, automation_version,"
        " 'test/' || n, subject_type, subject_id, trigger_type, trigger_value, trigger_data,"
        " occurred_at, 'skipped' FROM automation_execution_logs, generate_series(1, 2000) n"
        " WHERE status = 'failed'"
    )
    said = await line.run("stats", "--days", "1")
    (bar,) = [each for each in said.lines if each.endswith(" 2002")]
    assert "█▓▒" in bar
    assert len(bar) <= 80


async def test_nothing_yet(line: CommandLine, office: Office) -> None:
    said = await line.run("stats")
    assert said.code == 0
    assert sum(each.endswith("  -") for each in said.lines) == 7
    assert "not counted; the schedule update-automation-analytics does that" in said.out
    assert "RUNS" not in said.out


async def test_the_document(line: CommandLine, office: Office) -> None:
    await add_run(office, sent=("sms",))
    document = (await line.run("stats", "--days", "2", "--json")).document
    figures: dict[str, Any] = {
        "executions": 1,
        "completed": 1,
        **dict.fromkeys(("failed", "skipped", "cancelled", "open"), 0),
        "emails_sent": 0,
        "sms_sent": 1,
        "messages_not_sent": 0,
        "success_rate": 1.0,
        "average_duration_ms": 2000.0,
    }
    assert document["total"] == figures
    today = datetime.now(UTC).date().isoformat()
    assert document["days"][1] == {"date": today, "live": True, **figures}
    assert [each["name"] for each in document["automations"]] == ["Thanks"]
    assert document["latency"] == [
        {"channel": "sms", "messages": 1, "p50_ms": 30.0, "p95_ms": 30.0}
    ]
    assert set(document) == {
        *("organization", "days", "counted_at", "automations", "total", "latency"),
        *("waiting", "stops", "paused_channels"),
    }
