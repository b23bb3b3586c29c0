"""A backtest counts what an automation would have done with what was recorded, and does nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.cells import cell_len

from fixlify.domain.ids import new_id
from fixlify.storage.database import Database
from starter.definitions import validate_definition
from starter.simulation import Backtest, Rehearsed, Tally
from tests.command_line import CommandLine, Said
from tests.office import Office

NOON = datetime.now(UTC).replace(hour=17, minute=0, second=0, microsecond=0) - timedelta(days=5)
THANKS = """
name: Thanks
trigger: {type: job_completed}
steps: [{id: text, type: send_sms, text: "Thank you, {{ client.first_name }}"}]
"""
CONDITION = "conditions: {field: job.total, operator: greater_than, value: 500}\n"


@pytest.fixture
def command_line(office: Office) -> CommandLine:
    return CommandLine(FIXLIFY_DATABASE_URL=office.url, COLUMNS="72")


async def backtest(
    command_line: CommandLine, tmp_path: Path, automation: str, *arguments: str
) -> Said:
    file = tmp_path / "draft.yaml"
    file.write_text(automation)
    said = await command_line.run("automations", "backtest", str(file), *arguments)
    assert said.code == 0, said.err
    return said


async def counted(
    command_line: CommandLine, tmp_path: Path, automation: str, *arguments: str
) -> dict[str, Any]:
    said = await backtest(command_line, tmp_path, automation, *arguments, "--json")
    found: dict[str, Any] = said.document
    return found


async def happen(
    office: Office,
    job: str,
    at: datetime,
    before: str = "scheduled",
    after: str = "completed",
    **columns: Any,
) -> None:
    """Record a change of status that happened then."""
    await office.insert(
        "automation_events",
        organization_id=office.organization_id,
        event_type="job_status_changed",
        subject_type="job",
        subject_id=job,
        data=json.dumps({"before": before, "after": after}),
        occurred_at=at,
        processed_at=at,
        **columns,
    )


@pytest.fixture
async def two_jobs(office: Office) -> None:
    """Two jobs, one big and one small, each completed at another time; and a start of work."""
    await office.add_job("J-1", total=900)
    await office.add_job("J-2", total=100)
    await office.query("DELETE FROM automation_events")
    await happen(office, "J-1", NOON)
    await happen(office, "J-2", NOON + timedelta(hours=1))
    await happen(office, "J-2", NOON + timedelta(hours=2), "completed", "invoiced")


@pytest.mark.usefixtures("two_jobs")
async def test_events_are_counted_by_what_becomes_of_them(
    command_line: CommandLine, tmp_path: Path
) -> None:
    found = await counted(command_line, tmp_path, THANKS + CONDITION, "--price", "0.0079")
    assert found["events"] == 3
    assert found["not_listened_for"] == 1
    assert found["kept_back"] == {"conditions not met: job.total greater_than 500": 1}
    assert found["runs"] == 1
    assert found["sent"] == {"sms": 1}
    assert found["segments"] == 1
    assert found["cost"] == "0.0079"


@pytest.mark.usefixtures("two_jobs")
async def test_messages_are_told_by_the_companys_day(
    command_line: CommandLine, tmp_path: Path
) -> None:
    found = await counted(command_line, tmp_path, THANKS)
    day = NOON.astimezone(ZoneInfo("America/New_York")).date().isoformat()
    assert found["messages_by_day"] == {day: 2}


@pytest.mark.usefixtures("two_jobs")
async def test_what_is_drawn_fits_a_narrow_terminal_and_names_its_limits(
    command_line: CommandLine, tmp_path: Path
) -> None:
    drawn = await backtest(command_line, tmp_path, THANKS + CONDITION, "--days", "14")
    assert max(cell_len(line) for line in drawn.lines) <= 72
    assert "Facts, addresses and consent are today's, not those of then." in drawn.out
    assert "Messages by day" in drawn.out
    assert "█" in drawn.out
    weekly = await backtest(command_line, tmp_path, THANKS)
    assert "Messages by week, from Monday" in weekly.out


async def test_what_happened_before_the_first_day_is_left_out(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job("J-1")
    await office.query("DELETE FROM automation_events")
    for days in (40, 30, 20, 10, 3):
        await happen(office, "J-1", NOON - timedelta(days=days))
    assert (await counted(command_line, tmp_path, THANKS, "--days", "16"))["events"] == 2
    assert (await counted(command_line, tmp_path, THANKS, "--days", "90"))["events"] == 5


async def test_the_same_within_half_a_minute_counts_once(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job("J-1")
    await office.query("DELETE FROM automation_events")
    for seconds in (0, 20, 60):
        await happen(office, "J-1", NOON + timedelta(seconds=seconds))
    found = await counted(command_line, tmp_path, THANKS)
    assert found["runs"] == 2
    assert found["kept_back"] == {"duplicate": 1}


async def tally_by_pages(office: Office, database: Database, page: int) -> Tally:
    pinned = validate_definition(
        "draft",
        {
            "name": "Thanks",
            "trigger": {"type": "job_completed"},
            "steps": [{"id": "text", "type": "send_sms", "text": "Hi"}],
        },
    )
    backtest = Backtest(database, Rehearsed.draft(pinned), office.organization_id, ZoneInfo("UTC"))
    return await backtest.run(NOON - timedelta(days=1), lambda *_: None, page)


async def test_the_size_of_a_page_changes_nothing(
    office: Office, engine_database: Database
) -> None:
    """A duplicate and a cap reach over the edge of a page."""
    await office.query(
        "INSERT INTO automation_rules (organization_id, rules) VALUES (%s, %s)",
        office.organization_id,
        json.dumps({"caps": [{"at_most": 1, "per": "1h"}]}),
    )
    await office.add_job("J-1")
    await office.query("DELETE FROM automation_events")
    for seconds in (0, 10, 40, 3000, 3010, 9000):
        await happen(office, "J-1", NOON + timedelta(seconds=seconds))
    by_one = await tally_by_pages(office, engine_database, 1)
    assert by_one == await tally_by_pages(office, engine_database, 500)
    assert by_one.kept_back == {"duplicate": 2}
    assert by_one.sent == {"sms": 4}
    assert sum(each.count for each in by_one.held.values()) > 0


async def test_what_an_automation_did_itself_sets_it_off_no_more(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job("J-1")
    await office.query("DELETE FROM automation_events")
    await happen(office, "J-1", NOON, chain=[new_id() for _ in range(5)])
    (reason,) = (await counted(command_line, tmp_path, THANKS))["kept_back"]
    assert reason.startswith("chain too long")


async def test_rules_hold_and_say_for_how_long(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.query(
        "INSERT INTO automation_rules (organization_id, rules) VALUES (%s, %s)",
        office.organization_id,
        json.dumps({"quiet_hours": {"from": "21:00", "to": "08:00"}}),
    )
    await office.add_job("J-1")
    await office.query("DELETE FROM automation_events")
    night = NOON.astimezone(ZoneInfo("America/New_York")).replace(hour=22)
    await happen(office, "J-1", night)
    found = await counted(command_line, tmp_path, THANKS)
    ((reason, held),) = found["held"].items()
    assert "quiet hours" in reason
    assert held["count"] == 1
    assert held["longest_seconds"] == timedelta(hours=10).total_seconds()
    morning = (night + timedelta(days=1)).date().isoformat()
    assert found["messages_by_day"] == {morning: 1}


async def test_who_does_not_want_it_or_has_no_address_is_counted_apart(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job("J-1", client_id=await office.add_client(sms_opted_out=True, phone="+1"))
    await office.add_job("J-2", client_id=await office.add_client(phone=None))
    await office.query("DELETE FROM automation_events")
    await happen(office, "J-1", NOON)
    await happen(office, "J-2", NOON)
    found = await counted(command_line, tmp_path, THANKS)
    assert found["skipped"] == {"the client opted out of sms": 1}
    assert sum(found["failed"].values()) == 1
    assert found["sent"] == {}


async def test_a_suppressed_address_is_counted_as_skipped(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.insert(
        "suppressions",
        organization_id=office.organization_id,
        channel="sms",
        address="+12125550123",
        reason="blocked",
        source="twilio",
    )
    await office.add_job("J-1")
    await office.query("DELETE FROM automation_events")
    await happen(office, "J-1", NOON)
    found = await counted(command_line, tmp_path, THANKS)
    assert found["skipped"] == {"the address is suppressed: blocked": 1}
    assert found["sent"] == {}


async def test_a_subject_that_is_gone_is_counted_apart(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await happen(office, "J-404", NOON)
    assert (await counted(command_line, tmp_path, THANKS))["kept_back"] == {
        "the job no longer exists": 1
    }


@pytest.mark.usefixtures("office")
async def test_a_draft_of_a_sweep_says_that_nothing_is_recorded_for_it(
    command_line: CommandLine, tmp_path: Path
) -> None:
    stale = (
        "name: Stale\ntrigger: {type: stale_job, status: on hold, days: 3}\n"
        "steps: [{type: send_sms, text: Hi}]"
    )
    found = await counted(command_line, tmp_path, stale)
    assert any("for a draft nothing is recorded yet" in limit for limit in found["limits"])


async def test_another_companys_events_are_not_looked_at(
    command_line: CommandLine, tmp_path: Path, office: Office, database_url: str
) -> None:
    """P8"""
    await office.query("DELETE FROM automation_events")
    async with await Office.open(database_url, "Contoso") as other:
        await other.add_job("J-1")
        await happen(other, "J-1", NOON)
    found = await counted(command_line, tmp_path, THANKS, "--organization", "Northwind Heating")
    assert found["events"] == 0


EVERYTHING = """
    SELECT (SELECT count(*) FROM automation_events), (SELECT count(*) FROM messages),
           (SELECT count(*) FROM automation_execution_logs),
           (SELECT count(*) FROM automation_decisions), (SELECT count(*) FROM automation_actions),
           (SELECT count(*) FROM automation_workflows), (SELECT count(*) FROM tasks),
           (SELECT string_agg(status, ',') FROM jobs), (SELECT max(xmin::text::bigint) FROM jobs)
"""


@pytest.mark.usefixtures("two_jobs")
async def test_a_backtest_leaves_no_trace(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    """Story 47: dry is dry."""
    before = await office.query(EVERYTHING)
    acting = (
        "name: Acting\ntrigger: {type: job_completed}\nsteps:\n"
        "  - {id: mark, type: update_record, set: {status: closed}}\n"
        "  - {id: todo, type: create_task, title: Call}\n"
        "  - {id: call, type: call_webhook, url: 'https://example.com/hook'}\n"
        "  - {id: text, type: send_sms, text: Hi}\n"
    )
    found = await counted(command_line, tmp_path, acting)
    assert found["acted"] == {"update_record": 2, "create_task": 2, "call_webhook": 2}
    assert await office.query(EVERYTHING) == before


@pytest.mark.parametrize("price", ["cheap", "-1", "NaN"])
@pytest.mark.usefixtures("office")
async def test_what_is_no_price_is_refused(
    command_line: CommandLine, tmp_path: Path, price: str
) -> None:
    file = tmp_path / "draft.yaml"
    file.write_text(THANKS)
    said = await command_line.run("automations", "backtest", str(file), f"--price={price}")
    assert said.code == 2
    assert "is no price; write 0.0079" in said.err
