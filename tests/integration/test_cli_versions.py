"""Versions are listed, compared and restored, and runs paused, over the command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from devstack.temporal_server import EmbeddedTemporal
from fixlify.domain.endings import PAUSED
from fixlify.domain.ids import workflow_id
from tests.command_line import NOWHERE, CommandLine, Said
from tests.office import Office
from tests.runs import TWO_MESSAGES, add_execution

FIRST = """
name: Thanks
trigger: {type: job_completed}
steps:
  - {id: text, type: send_sms, text: "Thank you, {{ client.first_name }}"}
"""
SECOND = FIRST.replace("Thank you", "Many thanks")
TEMPLATED = FIRST.replace('text: "Thank you, {{ client.first_name }}"', "template: job-completed")


@pytest.fixture
def command_line(office: Office) -> CommandLine:
    # Nobody answers there; what needs Temporal says so.
    return CommandLine(FIXLIFY_DATABASE_URL=office.url, TEMPORAL_ADDRESS="127.0.0.1:1")


async def apply(command_line: CommandLine, *texts: str) -> None:
    for text in texts:
        said = await command_line.run("automations", "apply", "-", stdin=text)
        assert said.code == 0, said.err


async def said_by(command_line: CommandLine, *arguments: str) -> Said:
    said = await command_line.run("automations", *arguments)
    assert said.code == 0, said.err
    return said


async def test_versions_are_listed_with_what_each_changed(
    office: Office, command_line: CommandLine
) -> None:
    await apply(
        command_line,
        FIRST,
        SECOND,
        f"exit_when: {{field: job.status, operator: equals, value: cancelled}}{SECOND}",
    )

    said = await said_by(command_line, "show", "Thanks", "--versions")

    assert said.lines[0].split() == ["VERSION", "STORED", "OPEN", "RUNS", "WHAT", "CHANGED"]
    assert [line.split()[0] for line in said.lines[1:]] == ["3", "2", "1"]
    assert [line.split()[-1] for line in said.lines[1:]] == ["exit_when", "steps", "new"]
    assert "current" in said.lines[1]
    assert "current" not in said.lines[2]
    document = (await said_by(command_line, "show", "Thanks", "--versions", "--json")).document
    assert [(each["version"], each["current"], each["changed"]) for each in document] == [
        (3, True, ["exit_when"]),
        (2, False, ["steps"]),
        (1, False, ["new"]),
    ]


async def test_an_older_version_is_shown_and_can_be_applied(command_line: CommandLine) -> None:
    await apply(command_line, FIRST, SECOND)

    shown = await said_by(command_line, "show", "Thanks", "--version", "1")

    assert shown.lines[0].startswith("# version 1, not the current one, 2; stored ")
    assert "Thank you, {{ client.first_name }}" in shown.out
    await apply(command_line, shown.out)
    assert "Thank you" in (await said_by(command_line, "show", "Thanks")).out


async def test_the_texts_of_its_templates_belong_to_a_version(command_line: CommandLine) -> None:
    await apply(command_line, TEMPLATED)
    said = await said_by(command_line, "show", "Thanks", "--version", "1", "--json")
    assert said.document["templates"]["job-completed"]["sms"]
    assert (
        "with the texts of then: job-completed"
        in (await said_by(command_line, "show", "Thanks", "--version", "1")).out
    )


async def test_a_diff_is_of_the_last_two_unless_told_otherwise(command_line: CommandLine) -> None:
    await apply(command_line, FIRST, SECOND, TEMPLATED)

    last = await said_by(command_line, "diff", "Thanks")
    assert last.lines[0].startswith("--- version 2, ")
    assert last.lines[1].startswith("+++ version 3, ")
    assert "-    text: Many thanks, {{ client.first_name }}" in last.lines
    assert "+    template: job-completed" in last.lines
    assert "+  job-completed:" in last.lines, "the template's texts are compared as well"

    both = await said_by(command_line, "diff", "Thanks", "1", "2", "--json")
    assert (both.document["old"], both.document["new"]) == (1, 2)
    assert both.document["changed"] == ["steps"]
    assert "+    text: Many thanks, {{ client.first_name }}" in both.document["diff"]

    same = await said_by(command_line, "diff", "Thanks", "2", "2")
    assert same.out == "Versions 2 and 2 say the same.\n"


async def test_on_a_terminal_a_diff_is_coloured_and_says_the_same(
    office: Office, command_line: CommandLine
) -> None:
    await apply(command_line, FIRST, SECOND)
    environment = {
        "FIXLIFY_DATABASE_URL": office.url,
        "FIXLIFY_HOME": NOWHERE,
        "FORCE_COLOR": "1",
        "TERM": "xterm-256color",
    }

    plain = await said_by(command_line, "diff", "Thanks")
    shown = subprocess.run(  # noqa: ASYNC221 - nothing on this loop is needed meanwhile
        [sys.executable, "-m", "cli", "automations", "diff", "Thanks"],
        env=os.environ | environment,
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    ).stdout

    assert "\x1b[32m+    text" in shown
    assert "\x1b[31m-    text" in shown
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == plain.out


async def test_a_rollback_says_what_it_did(command_line: CommandLine) -> None:
    await apply(command_line, FIRST, SECOND)

    said = await said_by(command_line, "rollback", "Thanks")

    assert said.lines[0] == "Thanks: what version 1 said stands again, as version 3."
    assert "Its file" in said.lines[-1]
    back = await said_by(command_line, "rollback", "Thanks", "--to", "2", "--json")
    assert (back.document["restored"], back.document["version"]) == (2, 4)


async def test_a_rollback_leaves_the_runs_under_way_alone(
    office: Office, command_line: CommandLine
) -> None:
    await add_execution(office, "waiting")
    await office.apply(TWO_MESSAGES.replace("Thank you.", "Thanks."))
    said = await said_by(command_line, "rollback", "Thanks")
    assert said.lines[1] == "1 run under way keeps the version it began with."
    rows = await office.query("SELECT automation_version FROM automation_execution_logs")
    assert rows == [{"automation_version": 1}]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("rollback", "Thanks", "--to", "2"), 2, "what version 2 says is what stands already"),
        (("rollback", "Thanks", "--to", "9"), 1, "'Thanks' has no version 9; there are: 1, 2"),
        (("diff", "Thanks", "9"), 1, "has no version 9"),
        (("show", "Thanks", "--version", "9"), 1, "has no version 9"),
        (("show", "Thanks", "--version", "0"), 2, "not in the range"),
        (("show", "Thanks", "--version", "1", "--versions"), 2, "give one of them"),
        (("diff", "Thansk"), 1, "did you mean 'Thanks'?"),
        (("rollback", "Thansk"), 1, "did you mean 'Thanks'?"),
        (("archive", "Thansk"), 1, "did you mean 'Thanks'?"),
        (("disable", "Thanks", "--runs", "stop"), 2, "'finish', 'hold', 'cancel'"),
    ],
)
async def test_what_cannot_be_is_refused_with_what_there_is(
    command_line: CommandLine, arguments: tuple[str, ...], code: int, says: str
) -> None:
    await apply(command_line, FIRST, SECOND)
    said = await command_line.run("automations", *arguments)
    assert (said.code, said.out) == (code, "")
    assert says in said.err


async def test_with_one_version_there_is_nothing_before(command_line: CommandLine) -> None:
    await apply(command_line, FIRST)
    for command in ("diff", "rollback"):
        said = await command_line.run("automations", command, "Thanks")
        assert (said.code, "no version before 1" in said.err) == (1, True)


async def paused_runs(office: Office) -> tuple[str, str]:
    (row,) = await office.query("SELECT status, paused_runs FROM automation_workflows")
    return row["status"], row["paused_runs"]


@pytest.mark.parametrize(
    ("options", "stored", "says"),
    [
        ((), "hold", "2 runs under way are held before the next thing they do, until it is"),
        (("--runs", "hold"), "hold", "2 runs under way are held"),
        (("--runs", "finish"), "finish", "2 runs under way go on."),
        (("--runs", "cancel"), "cancel", "2 runs under way end as cancelled."),
    ],
)
async def test_a_pause_says_what_becomes_of_the_runs(
    office: Office, command_line: CommandLine, options: tuple[str, ...], stored: str, says: str
) -> None:
    for status in ("pending", "waiting", "completed"):
        await add_execution(office, status)
    said = await said_by(command_line, "disable", "Thanks", *options)
    assert said.lines[0] == "Thanks is paused."
    assert said.lines[1].startswith(says)
    assert await paused_runs(office) == ("paused", stored)


async def test_a_pause_is_shown_with_what_becomes_of_the_runs(command_line: CommandLine) -> None:
    await apply(command_line, FIRST)
    said = await said_by(command_line, "disable", "Thanks", "--runs", "finish", "--json")
    assert (said.document["status"], said.document["paused_runs"]) == ("paused", "finish")
    assert said.document["runs"] == {"pending": 0, "begun": 0, "told": 0}
    shown = await said_by(command_line, "show", "Thanks")
    assert shown.lines[0].startswith("# paused (runs: finish), version 1, ")
    active = await said_by(command_line, "enable", "Thanks", "--json")
    assert active.document["paused_runs"] is None


async def test_without_temporal_the_runs_notice_by_themselves(
    office: Office, command_line: CommandLine
) -> None:
    await add_execution(office, "waiting")
    said = await said_by(command_line, "archive", "Thanks")
    assert said.lines == [
        "Thanks is archived.",
        "1 run under way ends as cancelled.",
        "Temporal does not answer at 127.0.0.1:1: one run notices when it looks next.",
    ]
    assert (await paused_runs(office))[0] == "archived"


async def add_held_run(office: Office, temporal_client: Client) -> UUID:
    """Enter a run that the pause holds, with a workflow that nobody works on."""
    execution = await add_execution(office, "waiting", waiting_for=f"text: held: {PAUSED}")
    await temporal_client.start_workflow(
        "automation", id=workflow_id(execution), task_queue=f"nobody-{execution}"
    )
    return execution


async def signals(temporal_client: Client, execution: UUID) -> list[str]:
    """Return the names of the signals that a run got."""
    handle = temporal_client.get_workflow_handle(workflow_id(execution))
    history = await handle.fetch_history()
    return [
        event.workflow_execution_signaled_event_attributes.signal_name
        for event in history.events
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("enable", "Thanks"), True),
        (("disable", "Thanks", "--runs", "finish"), True),
        (("disable", "Thanks", "--runs", "cancel"), True),
        (("archive", "Thanks"), True),
        (("disable", "Thanks"), False),
    ],
)
async def test_runs_are_told_at_once_where_there_is_something_to_hear(
    office: Office,
    temporal_server: EmbeddedTemporal,
    temporal_client: Client,
    command: tuple[str, ...],
    told: bool,
) -> None:
    command_line = CommandLine(
        FIXLIFY_DATABASE_URL=office.url, TEMPORAL_ADDRESS=temporal_server.address
    )
    execution = await add_held_run(office, temporal_client)
    try:
        said = await said_by(command_line, *command, "--json")
        assert said.document["runs"] == {"pending": 0, "begun": 1, "told": int(told)}
        assert await signals(temporal_client, execution) == ["release"] * told
        (row,) = await office.query("SELECT waiting_for FROM automation_execution_logs")
        goes_on = command[0] == "enable" or "finish" in command
        assert row["waiting_for"] == (None if goes_on else f"text: held: {PAUSED}")
    finally:
        await terminate(temporal_client, execution)


async def terminate(temporal_client: Client, execution: UUID) -> None:
    try:
        await temporal_client.get_workflow_handle(workflow_id(execution)).terminate()
    except RPCError:
        return


async def test_what_is_shown_of_branches_and_waits_is_applied_unchanged(
    command_line: CommandLine,
) -> None:
    written = """
name: Everything
trigger: {type: estimate_sent}
exit_when: {field: estimate.status, operator: in, value: [accepted, declined]}
message_class: marketing
start_within: 1d
rules: {quiet_hours: {from: "20:00", to: "9:00"}, caps: "off"}
steps:
  - {type: wait_until, at: {field: estimate.valid_until, offset: -3d}, if_late: {within: 1d}}
  - {type: wait_until, at: "9:30", enabled: false}
  - type: branch
    if: {field: estimate.total, operator: greater_than, value: 1000}
    then:
      - {type: wait_for_event, event: {type: estimate_accepted}, timeout: 2d, on_timeout: continue}
      - {type: send_email, to: owner, subject: Large, text: "{{ estimate.title }}", on_error: stop}
    else:
      - {type: exit}
  - {type: create_task, title: Call back, due_in: 1d}
"""
    await apply(command_line, written)
    shown = await said_by(command_line, "show", "Everything")
    again = await command_line.run("automations", "apply", "-", "--json", stdin=shown.out)
    assert again.document["applied"][0]["change"] == "unchanged"
    for said in (
        "message_class: marketing",
        "start_within: 1d",
        "enabled: false",
        "on_error: stop",
    ):
        assert said in shown.out
    for unsaid in ("enabled: true", "on_error: continue", "then: []", "null"):
        assert unsaid not in shown.out
    assert "  - id: wait_until-1\n    type: wait_until\n" in shown.out


async def test_a_run_shows_the_steps_of_its_branches_too(
    office: Office, command_line: CommandLine
) -> None:
    execution = await add_execution(office, "completed")
    branched = FIRST.replace(
        "  - {id: text",
        "  - id: large\n"
        "    type: branch\n"
        "    if: {field: job.total, operator: greater_than, value: 1}\n"
        "    then: [{id: inside, type: exit}]\n"
        "  - {id: text",
    )
    applied = await office.apply(branched)
    await office.query(
        "UPDATE automation_execution_logs SET automation_version = %s", applied.automation.version
    )
    said = await command_line.run("executions", "show", str(execution), "--json")
    assert [step["id"] for step in said.document["steps"]] == ["large", "inside", "text"]
