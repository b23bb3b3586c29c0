"""The doctor tells what is stopped, what nobody let go, and which schedules fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from cli.checks.findings import Finding
from cli.checks.standstill import check_standstill
from fixlify.domain.ids import new_id
from tests.command_line import CommandLine
from tests.office import Office
from tests.runs import add_execution


@pytest.fixture
async def connection(office: Office) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """What the doctor looks through: the engine's eyes."""
    async with await psycopg.AsyncConnection.connect(office.url, autocommit=True) as connection:
        await connection.execute("SET ROLE fixlify_engine")
        yield connection


async def look(connection: psycopg.AsyncConnection[Any]) -> dict[str, Finding]:
    return {
        finding.check.removeprefix("database."): finding
        async for finding in check_standstill(connection)
    }


async def add_held(office: Office, until: datetime | None = None) -> None:
    await office.insert(
        "messages",
        id=new_id(),
        organization_id=office.organization_id,
        execution_id=await add_execution(office, "waiting"),
        step_id="text",
        channel="sms",
        recipient_kind="client",
        status="held",
        held_until=until,
    )


async def add_schedule(office: Office, name: str, result: str, problem: str | None = None) -> None:
    await office.insert(
        "automation_schedules",
        id=name,
        organization_id=office.organization_id,
        name=name,
        schedule="0 9 * * *",
        time_zone="UTC",
        catch_up="one hour",
        specification="{}",
        content_hash="",
        problem=problem,
    )
    await office.insert(
        "automation_schedule_runs",
        id=f"{name}/1",
        schedule_id=name,
        organization_id=office.organization_id,
        scheduled_at=datetime.now(UTC),
        status=result,
    )


async def test_nothing_stands_still(
    office: Office, connection: psycopg.AsyncConnection[Any]
) -> None:
    await add_schedule(office, "overdue", "completed")
    found = await look(connection)
    assert {check: finding.status for check, finding in found.items()} == dict.fromkeys(
        ("stops", "channels", "held", "schedules"), "ok"
    )


async def test_a_stop_is_told_with_its_reason(
    office: Office, connection: psycopg.AsyncConnection[Any]
) -> None:
    await office.insert(
        "automation_stops", organization_id=office.organization_id, reason="wrong prices"
    )
    finding = (await look(connection))["stops"]
    assert finding.status == "warning"
    assert finding.detail.startswith("stopped: Northwind Heating for ")
    assert finding.detail.endswith(" (wrong prices)")
    assert "--all" not in (finding.remedy or "")

    await office.insert("automation_stops", organization_id=None)
    finding = (await look(connection))["stops"]
    assert finding.detail.startswith("stopped: every organization for ")
    assert "`fixlify resume --all` and `fixlify resume` let" in (finding.remedy or "")


async def test_a_paused_channel_is_told_and_what_it_holds_is_not_forgotten(
    office: Office, connection: psycopg.AsyncConnection[Any]
) -> None:
    await add_held(office)
    await office.insert(
        "channel_settings",
        channel="sms",
        paused_at=datetime.now(UTC) - timedelta(hours=2),
        paused_reason="wrong number",
    )
    await office.insert("channel_settings", channel="email", per_second=20)

    found = await look(connection)

    finding = found["channels"]
    assert finding.status == "warning"
    assert finding.detail == "paused for every organization: sms for 2 h (wrong number)"
    assert "`fixlify channels resume sms` lets it" in (finding.remedy or "")
    assert found["held"].status == "ok"


async def test_messages_that_wait_for_the_morning_are_not_forgotten(
    office: Office, connection: psycopg.AsyncConnection[Any]
) -> None:
    now = datetime.now(UTC)
    await add_held(office, until=now + timedelta(hours=8))
    assert (await look(connection))["held"].status == "ok"
    await add_held(office, until=now - timedelta(hours=2))
    assert (await look(connection))["held"].detail.startswith("1 message held though nothing")


async def test_messages_of_a_paused_automation_are_not_forgotten(
    office: Office, connection: psycopg.AsyncConnection[Any]
) -> None:
    await add_held(office)
    await office.query("UPDATE automation_workflows SET status = 'paused'")
    assert (await look(connection))["held"].status == "ok"


async def test_messages_held_without_a_stop_are_told(
    office: Office, connection: psycopg.AsyncConnection[Any]
) -> None:
    await add_held(office)
    finding = (await look(connection))["held"]
    assert finding.status == "warning"
    assert finding.detail.startswith("1 message held though nothing is stopped")

    await office.insert("automation_stops", organization_id=office.organization_id)
    assert (await look(connection))["held"].status == "ok"


async def test_schedules_that_fail_are_told(
    office: Office, connection: psycopg.AsyncConnection[Any]
) -> None:
    await add_schedule(office, "overdue", "failed")
    await add_schedule(office, "never", "completed", "no such time zone")
    for number in range(3):
        await add_schedule(office, f"other-{number}", "failed")
    finding = (await look(connection))["schedules"]
    assert finding.status == "warning"
    assert finding.detail == (
        "never: no such time zone, other-0: its last run failed, other-1: its last run failed,"
        " and 2 more"
    )


async def test_executions_of_whoever_is_stopped_are_not_late(office: Office) -> None:
    """Somebody wants them to wait."""
    line = CommandLine(FIXLIFY_DATABASE_URL=office.url, TEMPORAL_ADDRESS="127.0.0.1:1")
    await add_execution(office, "pending", created_at=datetime(2026, 1, 1, tzinfo=UTC))

    async def pending() -> str:
        findings = {each["check"]: each for each in (await line.run("doctor", "--json")).document}
        status: str = findings["database.executions"]["status"]
        return status

    assert await pending() == "failed"
    await office.insert("automation_stops", organization_id=office.organization_id)
    assert await pending() == "ok"


async def test_organizations_that_no_schedule_can_serve_are_told(
    office: Office, connection: psycopg.AsyncConnection[Any]
) -> None:
    await office.query("UPDATE organizations SET time_zone = 'america/new_york'")
    finding = (await look(connection))["schedules"]
    assert finding.status == "warning"
    assert finding.detail == (
        "nothing falls due for 1 organization: unknown time zone 'america/new_york'; "
        "did you mean 'America/New_York'?"
    )
