"""Automations are applied, seen and switched on and off over the command line."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import yaml

from fixlify.settings import variables
from tests.broken_automations import BROKEN, Broken
from tests.command_line import NOWHERE, CommandLine, Said
from tests.engine import eventually
from tests.office import Office

THANKS = """
name: Thanks
trigger: {type: job_completed}
steps:
  - {id: text, type: send_sms, text: "Thank you, {{ client.first_name }}"}
"""
LATER = THANKS.replace("Thank you", "Many thanks")
REMINDER = """
name: Reminder
description: Two lines
trigger: {type: job_status_changed, from: new, to: [scheduled, In-Progress]}
conditions:
  all:
    - {field: job.total, operator: greater_than, value: 100}
    - not: {field: job.schedule_start, operator: less_than, value: 2027-01-01}
steps:
  - {id: cool-down, type: wait, for: 1d12h}
  - id: mail
    type: send_email
    to: technician
    subject: "{{ job.title }}"
    text: |
      Dear {{ technician.first_name }},

      12:30: "yes" — or no?
"""


@pytest.fixture
def command_line(office: Office) -> CommandLine:
    return CommandLine(FIXLIFY_DATABASE_URL=office.url)


async def stored(office: Office) -> list[dict[str, Any]]:
    return await office.query(
        "SELECT name, status, version, updated_at FROM automation_workflows ORDER BY name"
    )


async def applied(command_line: CommandLine, yaml_text: str, *options: str) -> Any:
    """Apply *yaml_text* from standard input and return the one result."""
    said = await command_line.run("automations", "apply", "-", "--json", *options, stdin=yaml_text)
    assert said.code == 0, said.err
    (result,) = said.document["applied"]
    return result


def without_colours(said: Said) -> list[str]:
    """Return what a terminal shows, line by line."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in said.out.splitlines()]


async def test_a_new_automation_is_active_and_says_so(
    office: Office, command_line: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "thanks.yaml"
    file.write_text(THANKS)

    said = await command_line.run("automations", "apply", str(file))

    assert said.code == 0
    assert said.lines[1].split() == ["created", "Thanks", "1", "active"]
    assert "What is new is active" in said.out
    (row,) = await stored(office)
    assert (row["name"], row["status"], row["version"]) == ("Thanks", "active", 1)


async def test_a_draft_stays_one_until_it_is_enabled(
    office: Office, command_line: CommandLine
) -> None:
    result = await applied(command_line, f"status: draft\n{THANKS}")
    assert (result["change"], result["status"]) == ("created", "draft")

    said = await command_line.run("automations", "enable", "Thanks")

    assert (said.code, said.out) == (0, "Thanks is active.\n")
    assert [row["status"] for row in await stored(office)] == ["active"]


async def test_applying_twice_changes_nothing(office: Office, command_line: CommandLine) -> None:
    await applied(command_line, THANKS)
    before = await stored(office)
    again = await applied(command_line, THANKS)
    assert (again["change"], again["version"]) == ("unchanged", 1)
    assert await stored(office) == before


async def test_an_edit_makes_a_version_and_keeps_the_status(
    office: Office, command_line: CommandLine
) -> None:
    await applied(command_line, THANKS)
    await command_line.run("automations", "disable", "Thanks")

    edited = await applied(command_line, LATER)

    assert (edited["change"], edited["version"], edited["status"]) == ("updated", 2, "paused")
    pinned = await office.query(
        "SELECT version, pinned->'definition'->'steps'->0->>'text' AS text"
        " FROM automation_workflow_versions ORDER BY version"
    )
    assert [row["version"] for row in pinned] == [1, 2]
    assert [row["text"].split(",")[0] for row in pinned] == ["Thank you", "Many thanks"]


async def test_a_status_in_the_file_is_applied_without_a_new_version(
    office: Office, command_line: CommandLine
) -> None:
    await applied(command_line, THANKS)
    result = await applied(command_line, f"status: paused\n{THANKS}")
    assert (result["change"], result["version"], result["status"]) == ("updated", 1, "paused")


async def test_an_active_automation_cannot_lose_its_last_step(
    office: Office, command_line: CommandLine
) -> None:
    await applied(command_line, THANKS)
    before = await stored(office)
    bare = "name: Thanks\ntrigger: {type: job_completed}\nsteps: []\n"

    said = await command_line.run("automations", "apply", "-", stdin=bare)

    assert said.code == 2
    assert "Thanks: steps: the automation is active and cannot be left without steps" in said.err
    assert await stored(office) == before


async def test_an_automation_without_steps_cannot_be_enabled(
    office: Office, command_line: CommandLine
) -> None:
    bare = "name: Thanks\ntrigger: {type: job_completed}\nsteps: []\n"
    assert (await applied(command_line, bare))["status"] == "draft"

    said = await command_line.run("automations", "enable", "Thanks")

    assert said.code == 2
    assert "cannot be active without steps" in said.err
    assert [row["status"] for row in await stored(office)] == ["draft"]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.what)
async def test_nothing_is_stored_when_anything_is_wrong(
    broken: Broken, office: Office, command_line: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "good.yaml").write_text(THANKS.replace("Thanks", "Good"))
    (tmp_path / "wrong.yaml").write_text(broken.yaml)

    said = await command_line.run("automations", "apply", str(tmp_path), "--json")

    assert said.code == 2
    assert said.document["applied"] == []
    (problem,) = said.document["problems"]
    assert broken.says in problem["message"]
    assert said.err.splitlines()[-1] == "Nothing was stored: one problem."
    assert await stored(office) == []
    assert await office.query("SELECT 1 FROM automation_workflow_versions") == []


async def test_what_is_shown_can_be_applied_and_is_unchanged(command_line: CommandLine) -> None:
    await applied(command_line, REMINDER)

    shown = await command_line.run("automations", "show", "Reminder")

    assert shown.code == 0
    assert shown.lines[0].startswith("# active, version 1, updated ")
    assert "    text: |\n      Dear {{ technician.first_name }},\n" in shown.out
    assert (await applied(command_line, shown.out))["change"] == "unchanged"


async def test_on_a_terminal_the_same_words_are_shown(
    office: Office, command_line: CommandLine
) -> None:
    await applied(command_line, REMINDER)
    terminal = CommandLine(FIXLIFY_DATABASE_URL=office.url, FORCE_COLOR="1")

    plain = await command_line.run("automations", "show", "Reminder")
    shown = await terminal.run("automations", "show", "Reminder")

    assert without_colours(shown) == plain.lines


async def test_on_a_terminal_a_list_fits_its_columns(office: Office) -> None:
    terminal = CommandLine(FIXLIFY_DATABASE_URL=office.url, FORCE_COLOR="1")
    await applied(terminal, THANKS.replace("Thanks", "Thanks " * 25))
    said = await terminal.run("automations", "list")
    assert max(map(len, without_colours(said))) <= 80
    assert "…" in said.lines[1]


async def test_an_automation_is_shown_by_its_id_as_well(command_line: CommandLine) -> None:
    result = await applied(command_line, THANKS)
    said = await command_line.run("automations", "show", result["id"], "--json")
    assert said.document["name"] == "Thanks"
    assert said.document["updated_at"].endswith("+00:00")
    assert said.document["definition"] == yaml.safe_load(THANKS) | {
        "steps": [
            {
                "type": "send_sms",
                "id": "text",
                "to": "client",
                "text": "Thank you, {{ client.first_name }}",
            }
        ]
    }


@pytest.mark.parametrize("command", ["show", "enable", "disable"])
async def test_an_unknown_name_is_answered_with_the_nearest(
    command: str, command_line: CommandLine
) -> None:
    await applied(command_line, THANKS)
    said = await command_line.run("automations", command, "Thansk")
    assert (said.code, said.out) == (1, "")
    assert said.err == "fixlify: no automation 'Thansk'; did you mean 'Thanks'?\n"


async def test_a_shipped_automation_is_applied_by_its_name(
    office: Office, command_line: CommandLine
) -> None:
    said = await command_line.run("automations", "apply", "--shipped", "job-completed")
    assert said.code == 0
    assert len(await stored(office)) == 1

    unknown = await command_line.run("automations", "apply", "--shipped", "job-complete")
    assert unknown.code == 1
    assert "did you mean 'job-completed'?" in unknown.err


async def test_a_list_names_each_automation_with_its_trigger_and_steps(
    command_line: CommandLine,
) -> None:
    for text in (THANKS, REMINDER):
        await applied(command_line, text)

    said = await command_line.run("automations", "list")

    assert said.lines[0].split() == ["AUTOMATION", "STATUS", "VERSION", "UPDATED"]
    assert said.lines[1].startswith("Reminder    active        1  ")
    assert said.lines[2] == (
        "    job_status_changed (from new; to scheduled, In-Progress): wait, send_email"
    )
    assert said.lines[3].startswith("Thanks      active        1  ")
    assert said.lines[4] == "    job_completed: send_sms"


async def test_an_empty_list_says_where_to_begin(command_line: CommandLine) -> None:
    said = await command_line.run("automations", "list")
    assert said.code == 0
    assert "has no automations yet" in said.out
    assert "automations list --shipped" in said.out
    assert (await command_line.run("automations", "list", "--json")).document == []


async def test_a_row_edited_by_hand_hides_no_other_and_is_repaired_by_its_file(
    office: Office, command_line: CommandLine
) -> None:
    for text in (THANKS, REMINDER):
        await applied(command_line, text)
    await office.query(
        """UPDATE automation_workflows SET steps = '[{"type": "send_fax"}]' WHERE name = %s""",
        "Thanks",
    )

    listed = await command_line.run("automations", "list")
    assert listed.code == 0
    assert listed.lines[3].startswith("Thanks      unreadable")
    assert "steps[0].type: unknown type 'send_fax'" in listed.out
    document = (await command_line.run("automations", "list", "--json")).document
    assert [(each["name"], bool(each["problems"])) for each in document] == [
        ("Reminder", False),
        ("Thanks", True),
    ]
    shown = await command_line.run("automations", "show", "Thanks")
    assert (shown.code, shown.out) == (2, "")

    repaired = await applied(command_line, THANKS)
    assert (repaired["change"], repaired["version"]) == ("updated", 2)
    assert (await command_line.run("automations", "show", "Thanks")).code == 0


async def test_a_row_written_by_hand_gets_a_version_that_can_run(
    office: Office, command_line: CommandLine
) -> None:
    await office.insert(
        "automation_workflows",
        id=uuid4(),
        organization_id=office.organization_id,
        name="Thanks",
        status="paused",
        trigger_type="job_completed",
        trigger_config="{}",
        steps=json.dumps(
            [
                {
                    "type": "send_sms",
                    "id": "text",
                    "to": "client",
                    "text": "Thank you, {{ client.first_name }}",
                }
            ]
        ),
        version=1,
    )
    result = await applied(command_line, THANKS)
    assert (result["change"], result["version"], result["status"]) == ("updated", 2, "paused")
    assert await office.query("SELECT version FROM automation_workflow_versions") == [
        {"version": 2}
    ]


async def test_a_pause_that_comes_between_is_kept(
    office: Office, command_line: CommandLine
) -> None:
    await applied(command_line, THANKS)

    async def someone_waits_for_the_row() -> bool:
        return bool(
            await office.query(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'fixlify app' AND wait_event_type = 'Lock'"
            )
        )

    async with await psycopg.AsyncConnection.connect(office.url) as someone:
        await someone.execute("UPDATE automation_workflows SET status = 'paused'")
        editing = asyncio.create_task(applied(command_line, LATER))
        await eventually(someone_waits_for_the_row)
        await someone.commit()

    edited = await editing
    assert (edited["change"], edited["status"]) == ("updated", "paused")
    assert [row["status"] for row in await stored(office)] == ["paused"]


async def test_among_several_organizations_one_must_be_chosen(
    office: Office, command_line: CommandLine
) -> None:
    async with await Office.open(office.url, "Southwind Plumbing") as other:
        undecided = await command_line.run("automations", "list")
        assert undecided.code == 1
        assert str(office.organization_id) in undecided.err
        assert "choose one with --organization NAME|ID" in undecided.err

        await applied(command_line, THANKS, "--organization", "southwind plumbing")

        ours = await command_line.run(
            "automations", "list", "--json", "--organization", str(office.organization_id)
        )
        theirs = await command_line.run(
            "automations", "list", "--json", "--organization", str(other.organization_id)
        )
        assert ours.document == []
        assert [each["name"] for each in theirs.document] == ["Thanks"]
        for command in ("show", "enable", "disable"):
            said = await command_line.run(
                "automations",
                command,
                theirs.document[0]["id"],
                "--organization",
                "Northwind Heating",
            )
            assert said.code == 1


async def test_a_dead_database_is_a_sentence(command_line: CommandLine) -> None:
    dead = CommandLine(FIXLIFY_DATABASE_URL="postgresql://fixlify:sesame@127.0.0.1:1/fixlify")
    said = await dead.run("automations", "list", "--json")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("fixlify: the database cannot be reached: ")
    assert "Check FIXLIFY_DATABASE_URL" in said.err
    assert "sesame" not in said.err


async def test_a_database_that_was_not_migrated_is_a_sentence(
    office: Office, command_line: CommandLine
) -> None:
    await office.query("ALTER TABLE automation_workflows RENAME COLUMN steps TO step_list")
    said = await command_line.run("automations", "list")
    assert said.code == 1
    assert "run `fixlify migrate`" in said.err


async def test_it_works_as_a_process(office: Office, tmp_path: Path) -> None:
    file = tmp_path / "thanks.yaml"
    file.write_text(THANKS)
    environment = dict.fromkeys(variables(), "") | {
        "FIXLIFY_DATABASE_URL": office.url,
        "FIXLIFY_HOME": NOWHERE,
    }
    said = subprocess.run(  # noqa: ASYNC221 - nothing on this loop is needed meanwhile
        [sys.executable, "-m", "cli", "automations", "apply", str(file)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert said.stderr == ""
    assert said.stdout.splitlines()[1].split() == ["created", "Thanks", "1", "active"]
