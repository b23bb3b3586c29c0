"""A rehearsal tells what a run would do with the real facts, and does nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fixlify.domain.events import SubjectType
from fixlify.domain.facts import Subject
from fixlify.storage.database import Database
from fixlify.storage.rehearsal import read_only
from starter.definitions import validate_definition
from starter.simulation import Rehearsed, rehearse
from tests.command_line import CommandLine, Said
from tests.office import Office

AT = "2026-11-18T09:30"
VISIT = datetime(2026, 11, 20, 15, tzinfo=UTC)

DESIGN = """
name: Visit reminder and review
trigger: {type: job_status_changed, to: [scheduled]}
conditions: {all: [{field: job.job_type, operator: in, value: [repair, installation]}]}
exit_when: {any: [{field: job.status, operator: equals, value: cancelled}]}
steps:
  - {id: day-before, type: wait_until, at: {field: job.schedule_start, offset: -24h}}
  - {id: remind, type: send_sms, to: client, text: "See you tomorrow, {{ client.first_name }}"}
  - id: after
    type: wait_for_event
    event: {type: job_status_changed, to: [completed]}
    timeout: 7d
    on_timeout: exit
  - {id: cool-down, type: wait, for: 2d}
  - {id: review, type: send_email, subject: "How was it?", text: "Dear {{ client.first_name }}"}
"""


@pytest.fixture
def command_line(office: Office) -> CommandLine:
    return CommandLine(FIXLIFY_DATABASE_URL=office.url, COLUMNS="72")


async def simulate(
    command_line: CommandLine, tmp_path: Path, automation: str, *arguments: str
) -> Said:
    file = tmp_path / "draft.yaml"
    file.write_text(automation)
    asked = () if "--at" in arguments else ("--at", AT)
    said = await command_line.run("automations", "simulate", str(file), *asked, *arguments)
    assert said.code == 0, said.err
    return said


async def rehearsed(
    command_line: CommandLine, tmp_path: Path, automation: str, *arguments: str
) -> dict[str, Any]:
    said = await simulate(command_line, tmp_path, automation, *arguments, "--json")
    found: dict[str, Any] = said.document
    return found


def fates(steps: list[dict[str, Any]]) -> dict[str, str]:
    return {step["step_id"]: step["fate"] for step in steps}


def steps_of(*steps: str, **parts: str) -> str:
    said = "\n".join(f"{name}: {value}" for name, value in parts.items())
    listed = "\n".join(f"  - {step}" for step in steps)
    return f"name: Draft\ntrigger: {{type: job_completed}}\n{said}\nsteps:\n{listed}\n"


TEXT = "{id: text, type: send_sms, text: 'Hello {{ client.first_name }}'}"


async def test_a_visit_is_walked_through_by_a_clock_of_its_own(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job(schedule_start=VISIT)
    found = await rehearsed(command_line, tmp_path, DESIGN, "--job", "J-2019")
    day_before, remind, after, cool_down, review = found["steps"]
    assert datetime.fromisoformat(day_before["until"]) == VISIT - timedelta(days=1)
    assert datetime.fromisoformat(remind["at"]) == VISIT - timedelta(days=1)
    assert remind["message"]["text"] == "See you tomorrow, Ada"
    assert remind["message"]["recipient"] == "+12125550123"
    assert remind["message"]["segments"] == 1
    assert "job_status_changed (to completed); if it has not come by" in after["told"]
    assert cool_down["fate"] == "waited"
    assert datetime.fromisoformat(review["at"]) == VISIT + timedelta(days=1)
    assert review["message"]["subject"] == "How was it?"


async def test_both_ways_of_an_awaited_event_are_told(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job(schedule_start=VISIT)
    found = await rehearsed(command_line, tmp_path, DESIGN, "--job", "J-2019")
    assert fates(found["steps"])["review"] == "sent"
    assert fates(found["on_timeout"]) == {
        "day-before": "waited",
        "remind": "sent",
        "after": "waited",
    }
    drawn = await simulate(command_line, tmp_path, DESIGN, "--job", "J-2019")
    assert "If what it waits for does not happen" in drawn.out
    assert drawn.out.count("it did not happen within 7d") == 1
    assert "the run ends, until" not in drawn.out


async def test_what_is_drawn_fits_a_narrow_terminal_and_says_it_was_nothing(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job(schedule_start=VISIT)
    drawn = await simulate(command_line, tmp_path, DESIGN, "--job", "J-2019")
    assert max(cell_len(line) for line in drawn.lines) <= 72
    assert drawn.lines[-1] == "Nothing was sent and nothing was written."
    assert "10:00" in drawn.out  # New York's clock


async def test_an_event_that_matches_says_so(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job(schedule_start=VISIT)
    event = json.dumps({"type": "job_status_changed", "before": "new", "after": "Scheduled"})
    found = await rehearsed(command_line, tmp_path, DESIGN, "--event", event, "--job", "J-2019")
    assert found["would_run"] is True


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (
            {"type": "job_status_changed", "before": "new", "after": "completed"},
            "it listens for status scheduled; this went from new to completed",
        ),
        (
            {"type": "job_status_changed", "before": "scheduled", "after": "Scheduled"},
            "the same status would be written again: nothing changes",
        ),
        ({"type": "job_created"}, "it is set off by job_status_changed; this is a job_created"),
        (
            {"type": "job_status_changed", "before": "new", "after": "scheduled"},
            "conditions not met: job.job_type in ['repair', 'installation'] (it is 'survey')",
        ),
    ],
)
async def test_an_event_that_does_not_match_says_why(
    command_line: CommandLine,
    office: Office,
    tmp_path: Path,
    event: dict[str, str],
    reason: str,
) -> None:
    await office.add_job(schedule_start=VISIT, job_type="survey")
    written = json.dumps({**event, "job": "J-2019"})
    found = await rehearsed(command_line, tmp_path, DESIGN, "--event", written)
    assert found["would_run"] is False
    assert found["not_set_off"] == reason


async def test_what_hangs_on_a_moment_that_is_over_is_skipped_up_to_the_next_wait(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job(schedule_start=VISIT)
    found = await rehearsed(
        command_line, tmp_path, DESIGN, "--job", "J-2019", "--at", "2026-11-20T08:00"
    )
    assert fates(found["steps"]) == {
        "day-before": "skipped",
        "remind": "skipped",
        "after": "waited",
        "cool-down": "waited",
        "review": "sent",
    }
    assert found["steps"][1]["reason"] == "skipped with day-before"


async def test_a_branch_goes_one_way_and_says_with_which_values(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job(total=240)
    draft = steps_of(
        "{id: big, type: branch, if: {field: job.total, operator: greater_than, value: 500},"
        f" then: [{TEXT}], else: [{{id: stop, type: exit}}]}}",
    )
    found = await rehearsed(command_line, tmp_path, draft, "--job", "J-2019")
    big, stop = found["steps"]
    assert big["told"] == "else: job.total greater_than 500 (it is '240.00')"
    assert (stop["fate"], stop["depth"]) == ("ended", 1)


async def test_an_exit_that_holds_ends_the_run_with_the_value(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job(status="Cancelled")
    found = await rehearsed(command_line, tmp_path, DESIGN, "--job", "J-2019")
    (ended,) = found["steps"]
    assert ended["fate"] == "ended"
    assert ended["reason"].startswith("exit_when: job.status equals 'cancelled'")


async def test_a_step_that_is_not_enabled_is_passed_over(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job()
    off = "{id: off, type: send_sms, enabled: false, text: Hello}"
    found = await rehearsed(command_line, tmp_path, steps_of(off, TEXT), "--job", "J-2019")
    assert fates(found["steps"]) == {"off": "skipped", "text": "sent"}
    assert found["steps"][0]["reason"] == "it is not enabled"


async def test_a_missing_address_is_a_failure_and_stops_where_the_step_says_so(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job(client_id=await office.add_client(phone=None))
    stopping = TEXT.replace("type:", "on_error: stop, type:")
    mail = "{id: mail, type: send_email, subject: Hi, text: Hi}"
    later = "{id: later, type: wait, for: 1h}"
    found = await rehearsed(
        command_line, tmp_path, steps_of(stopping, later, mail), "--job", "J-2019"
    )
    assert fates(found["steps"]) == {"text": "failed"}
    found = await rehearsed(command_line, tmp_path, steps_of(TEXT, later, mail), "--job", "J-2019")
    assert fates(found["steps"]) == {"text": "failed", "later": "waited", "mail": "sent"}


@pytest.mark.parametrize("how", ["column", "opt_out", "suppression"])
async def test_whoever_does_not_want_it_gets_nothing_in_a_rehearsal_either(
    command_line: CommandLine, office: Office, tmp_path: Path, how: str
) -> None:
    client = await office.add_client(sms_opted_out=how == "column")
    await office.add_job(client_id=client)
    its = {"organization_id": office.organization_id, "channel": "sms", "source": "STOP"}
    if how == "opt_out":
        await office.insert("client_opt_outs", client_id=client, **its)
    if how == "suppression":
        await office.insert("suppressions", address="+12125550123", reason="blocked", **its)
    (step,) = (await rehearsed(command_line, tmp_path, steps_of(TEXT), "--job", "J-2019"))["steps"]
    assert step["fate"] == "skipped"
    assert "opted out" in step["reason"] or "suppressed" in step["reason"]


async def rules(office: Office, **said: Any) -> None:
    await office.query(
        "INSERT INTO automation_rules (organization_id, rules) VALUES (%s, %s)",
        office.organization_id,
        json.dumps(said),
    )


async def test_quiet_hours_hold_it_until_the_morning_of_the_client(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await rules(office, quiet_hours={"from": "21:00", "to": "08:00"})
    await office.add_job(client_id=await office.add_client(time_zone="America/Los_Angeles"))
    found = await rehearsed(
        command_line, tmp_path, steps_of(TEXT), "--job", "J-2019", "--at", "2026-11-18T09:30"
    )
    (step,) = found["steps"]
    assert step["fate"] == "sent"
    assert datetime.fromisoformat(step["until"]) == datetime(2026, 11, 18, 16, tzinfo=UTC)
    assert "quiet hours" in step["held"][0]["reason"]


async def test_a_cap_counts_what_was_sent_and_what_would_be(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await rules(office, caps=[{"at_most": 1, "per": "1d", "channel": "sms"}])
    await office.add_job()
    draft = steps_of(TEXT, "{id: pause, type: wait, for: 1h}", TEXT.replace("id: text", "id: two"))
    found = await rehearsed(command_line, tmp_path, draft, "--job", "J-2019")
    first, _, second = found["steps"]
    assert first["held"] == []
    assert datetime.fromisoformat(second["until"]) == datetime.fromisoformat(
        first["at"]
    ) + timedelta(days=1)
    assert "cap: 1 sms per" in second["held"][0]["reason"]


async def test_what_would_be_held_for_too_long_is_skipped(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await rules(office, quiet_hours={"from": "21:00", "to": "08:00"})
    await office.add_job()
    short = TEXT.replace("type:", "good_for: 1h, type:")
    found = await rehearsed(
        command_line, tmp_path, steps_of(short), "--job", "J-2019", "--at", "2026-11-18T22:00"
    )
    (step,) = found["steps"]
    assert step["fate"] == "skipped"
    assert step["reason"].startswith("too late: held by quiet hours")


async def test_steps_that_act_say_what_they_would_do(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    await office.add_job()
    draft = steps_of(
        "{id: call, type: call_webhook, url: 'https://example.com/hook', fields: [job.id]}",
        "{id: mark, type: update_record, set: {status: closed}, add_tags: [vip]}",
        "{id: todo, type: create_task, title: 'Call {{ client.first_name }}', due_in: 1d}",
    )
    found = await rehearsed(command_line, tmp_path, draft, "--job", "J-2019")
    assert [step["told"] for step in found["steps"]] == [
        "call https://example.com/hook, with job.id",
        "write the job: status = closed, add tag vip",
        "enter a task, due in 1d: Call Ada",
    ]


async def test_a_stored_automation_is_rehearsed_by_its_name(
    command_line: CommandLine, office: Office
) -> None:
    await office.apply(steps_of(TEXT))
    await office.add_job()
    said = await command_line.run("automations", "simulate", "Draft", "--job", "J-2019", "--json")
    assert fates(said.document["steps"]) == {"text": "sent"}
    assert said.document["stored"] is True


EVERYTHING_WRITTEN = """
    SELECT (SELECT count(*) FROM automation_events), (SELECT count(*) FROM messages),
           (SELECT count(*) FROM automation_execution_logs),
           (SELECT count(*) FROM automation_decisions), (SELECT count(*) FROM automation_actions),
           (SELECT count(*) FROM automation_workflows), (SELECT count(*) FROM tasks),
           (SELECT status FROM jobs LIMIT 1)
"""


async def test_a_rehearsal_leaves_no_trace(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    """Story 47: test mode sent real messages, and flipped a real job's status and back."""
    await office.add_job(schedule_start=VISIT)
    before = await office.query(EVERYTHING_WRITTEN)
    await simulate(command_line, tmp_path, DESIGN, "--job", "J-2019")
    acting = steps_of(
        "{id: mark, type: update_record, set: {status: closed}}",
        "{id: todo, type: create_task, title: Call}",
        "{id: call, type: call_webhook, url: 'https://example.com/hook'}",
    )
    await simulate(command_line, tmp_path, acting, "--job", "J-2019")
    assert await office.query(EVERYTHING_WRITTEN) == before


async def test_a_rehearsal_cannot_write_even_if_it_tried(
    office: Office, engine_database: Database
) -> None:
    """Postgres itself refuses, so that no step somebody adds can ever act in a rehearsal."""
    await office.add_job()
    pinned = validate_definition(
        "draft", {"name": "Draft", "trigger": {"type": "job_created"}, "steps": []}
    )
    subject = Subject(office.organization_id, SubjectType.JOB, "J-2019")
    async with engine_database.transaction() as connection:
        await rehearse(connection, Rehearsed.draft(pinned), subject, datetime.now(UTC), None)
        with pytest.raises(DBAPIError, match="read-only transaction"):
            await connection.execute(text("UPDATE automation_events SET outcome = 'x'"))


async def test_read_only_holds_for_the_whole_transaction(engine_database: Database) -> None:
    async with engine_database.transaction() as connection:
        await read_only(connection)
        await connection.execute(text("SELECT 1"))
        with pytest.raises(DBAPIError, match="must be set before any query"):
            await connection.execute(text("SET TRANSACTION READ WRITE"))


@pytest.mark.usefixtures("office")
async def test_another_companys_job_is_not_rehearsed(
    command_line: CommandLine, tmp_path: Path, database_url: str
) -> None:
    """P8"""
    async with await Office.open(database_url, "Contoso") as other:
        await other.add_job("J-1")
    file = tmp_path / "draft.yaml"
    file.write_text(steps_of(TEXT))
    said = await command_line.run(
        *("automations", "simulate", str(file), "--job", "J-1"),
        *("--organization", "Northwind Heating"),
    )
    assert said.code == 1
    assert "there is no job 'J-1'" in said.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "say whom it is about"),
        (("--job", "J-1", "--client", "x@y.z"), "give one"),
        (("--job", "J-404"), "there is no job 'J-404'"),
        (("--event", "{"), "is not JSON"),
        (("--event", "[]"), "write an object"),
        (("--event", '{"type": "job_complete"}'), "there is no event of that type"),
        (("--event", '{"type": "job_created"}'), "say what it happens to"),
        (("--job", "J-2019", "--at", "soon"), "'soon' is no time"),
        (("--client", "nobody@example.com"), "has no client 'nobody@example.com'"),
    ],
)
@pytest.mark.usefixtures("office")
async def test_what_cannot_be_rehearsed_is_answered_with_the_next_step(
    command_line: CommandLine, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    file = tmp_path / "draft.yaml"
    file.write_text(steps_of(TEXT))
    said = await command_line.run("automations", "simulate", str(file), *arguments)
    assert said.code != 0
    assert sentence in " ".join(said.err.split())


@pytest.mark.usefixtures("office")
async def test_a_name_nobody_has_is_answered_with_the_nearest(command_line: CommandLine) -> None:
    said = await command_line.run("automations", "simulate", "Nothing", "--job", "J-1")
    assert said.code == 1
    assert "no automation 'Nothing'" in said.err


async def test_an_event_has_changed_the_status_it_is_about(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    """What the shipped request for a review asks before it goes."""
    await office.add_job(status="on the way")
    asked = steps_of(
        TEXT, exit_when="{field: job.status, operator: not_equals, value: completed}"
    ).replace("name: Draft", "name: Draft\nconditions: {field: job.status, operator: is_not_empty}")
    event = '{"type": "job_status_changed", "before": "on the way", "after": "Completed"}'
    found = await rehearsed(command_line, tmp_path, asked, "--job", "J-2019", "--event", event)
    assert found["would_run"]
    assert fates(found["steps"]) == {"text": "sent"}
    as_it_is = await rehearsed(command_line, tmp_path, asked, "--job", "J-2019")
    assert fates(as_it_is["steps"]) == {"text": "ended"}


async def test_an_awaited_event_has_changed_the_status_only_where_it_came(
    command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    """The shipped estimate-follow-up plans the work of what was accepted, and asks otherwise."""
    await office.add_job(status="on the way")
    asked = steps_of(
        "{id: done, type: wait_for_event, event: {type: job_completed}, timeout: 3d}",
        "{id: way, type: branch, if: {field: job.status, operator: equals, value: completed},"
        " then: [{id: thank, type: send_sms, text: Thanks}],"
        " else: [{id: sorry, type: send_sms, text: Sorry}]}",
    )
    found = await rehearsed(command_line, tmp_path, asked, "--job", "J-2019")
    assert fates(found["steps"]) == {"done": "waited", "way": "branched", "thank": "sent"}
    assert fates(found["on_timeout"]) == {"done": "waited", "way": "branched", "sorry": "sent"}
