"""What automations did is told over the command line, as it stands in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from rich.cells import cell_len
from temporalio.client import Client

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.domain.ids import new_id, workflow_id
from fixlify.domain.runs import (
    ExecutionStatus,
    MessageStatus,
    RunOutcome,
    RunProgress,
    StepKind,
    StepOutcome,
    StepStatus,
)
from fixlify.storage.database import Database
from fixlify.storage.executions import (
    NewExecution,
    begin_execution,
    finish_execution,
    insert_executions,
    record_progress,
)
from fixlify.storage.messages import Channel, Ledger, NewMessage, Report, enter_messages
from tests.command_line import CommandLine
from tests.engine import running_engine
from tests.office import Office

THANKS = """
name: Thanks
trigger: {type: job_completed}
steps:
  - {id: text, type: send_sms, text: "Thank you, {{ client.first_name }}"}
  - {id: cool-down, type: wait, for: 2d}
  - {id: mail, type: send_email, subject: Thank you, text: "Dear {{ client.first_name }}"}
"""
# What a client might be called who wants more than a greeting.
EVIL = "Ada\x1b[2J[bold]"


class Past:
    """Writes executions as the engine does, with whatever outcome a test needs."""

    def __init__(self, database: Database, office: Office, automation_id: UUID) -> None:
        self._database = database
        self._office = office
        self.automation_id = automation_id

    async def match(self, job: str = "J-2019", skipped: str | None = None) -> UUID:
        """Record that the automation matched a change of *job*."""
        ((now,),) = [row.values() for row in await self._office.query("SELECT clock_timestamp()")]
        execution = NewExecution(
            id=new_id(),
            organization_id=self._office.organization_id,
            automation_id=self.automation_id,
            automation_version=1,
            occurrence_key=f"event/{new_id()}",
            subject_type="job",
            subject_id=job,
            trigger_type="job_completed",
            trigger_value="completed",
            trigger_data={
                "event_type": "job_status_changed",
                "before": "scheduled",
                "after": "completed",
            },
            occurred_at=now - timedelta(milliseconds=5),
            status=ExecutionStatus.SKIPPED if skipped else ExecutionStatus.PENDING,
            reason=skipped,
        )
        async with self._database.transaction() as connection:
            await insert_executions(connection, [execution], per_organization=1, room=0)
        return execution.id

    async def begin(self, execution_id: UUID) -> None:
        """Begin the run."""
        async with self._database.transaction() as connection:
            await begin_execution(
                connection,
                execution_id,
                self._office.organization_id,
                workflow_id=workflow_id(execution_id),
                run_id="0199",
            )

    async def enter(self, execution_id: UUID, step_id: str, channel: Channel, **parts: Any) -> UUID:
        """Enter a message for *step_id* into the ledger."""
        message = NewMessage(
            id=new_id(),
            organization_id=self._office.organization_id,
            execution_id=execution_id,
            step_id=step_id,
            channel=channel,
            recipient_kind="client",
            recipient_id=self._office.newest_client_id,
            **{"status": MessageStatus.QUEUED, **parts},
        )
        async with self._database.transaction() as connection:
            await enter_messages(connection, execution_id, [message])
        return message.id

    async def finish(
        self, execution_id: UUID, status: ExecutionStatus, *outcomes: StepOutcome, reason: str = ""
    ) -> None:
        """End the run."""
        outcome = RunOutcome(
            execution_id=execution_id,
            organization_id=self._office.organization_id,
            status=status,
            reason=reason or None,
            outcomes=outcomes,
        )
        async with self._database.transaction() as connection:
            await finish_execution(connection, outcome)


@pytest.fixture
def command_line(office: Office) -> CommandLine:
    return CommandLine(FIXLIFY_DATABASE_URL=office.url)


@pytest.fixture
async def past(engine_database: Database, office: Office) -> Past:
    applied = await office.apply(THANKS)
    return Past(engine_database, office, applied.automation.id)


@pytest.fixture
async def broken_run(past: Past, engine_database: Database, office: Office) -> UUID:
    """A run whose text message went out, and whose email was refused."""
    await office.add_job()
    execution_id = await past.match()
    await past.begin(execution_id)
    mail = await past.enter(
        execution_id,
        "mail",
        Channel.EMAIL,
        recipient="ada@example.com",
        subject="Thank you",
        body_text=f"Dear {EVIL},\n\n" + "we thank you " * 20,
        body_html="<p>Dear Ada</p>",
    )
    text = await past.enter(
        execution_id, "text", Channel.SMS, recipient="+12125550123", body_text=f"Thank you, {EVIL}"
    )
    async with engine_database.statement() as connection:
        ledger = Ledger(connection, text, office.organization_id)
        await ledger.claim(datetime.now(UTC))
        await ledger.accepted(
            Report("twilio", MessageStatus.SENT, provider_id="SM0123", segments=2)
        )
        ledger = Ledger(connection, mail, office.organization_id)
        await ledger.claim(datetime.now(UTC))
        await ledger.refused("the mailbox does not exist", "550 5.1.1")
    await past.finish(
        execution_id,
        ExecutionStatus.FAILED,
        StepOutcome(position=1, step_id="text", kind=StepKind.SMS, status=StepStatus.COMPLETED),
        StepOutcome(
            position=2,
            step_id="mail",
            kind=StepKind.EMAIL,
            status=StepStatus.FAILED,
            reason="the mailbox does not exist",
        ),
        reason="mail: the mailbox does not exist",
    )
    return execution_id


async def ids(command_line: CommandLine, *filters: str) -> list[str]:
    """Return the ids that `executions list` finds."""
    said = await command_line.run("executions", "list", "--json", *filters)
    assert said.code == 0, said.err
    return [each["id"] for each in said.document]


async def test_the_list_has_a_line_for_each_execution_and_its_reason_below(
    past: Past, broken_run: UUID, command_line: CommandLine
) -> None:
    skipped = await past.match(skipped="duplicate")

    said = await command_line.run("executions", "list")

    assert said.code == 0
    assert said.lines[0].split() == ["TIME", "EXECUTION", "AUTOMATION", "ABOUT", "STATUS", "TOOK"]
    assert said.lines[1].split()[1:] == [str(skipped)[:18], "Thanks", "J-2019", "skipped"]
    assert said.lines[2] == "    duplicate"
    assert said.lines[3].split()[1:5] == [str(broken_run)[:18], "Thanks", "J-2019", "failed"]
    assert said.lines[4] == "    mail: the mailbox does not exist"


async def test_the_list_can_be_narrowed(
    past: Past, office: Office, command_line: CommandLine
) -> None:
    other = await office.apply(THANKS.replace("name: Thanks", "name: Other"))
    pending = str(await past.match("J-1"))
    skipped = str(await past.match("J-2", skipped="duplicate"))
    past.automation_id = other.automation.id
    elsewhere = str(await past.match("J-1"))

    assert await ids(command_line) == [elsewhere, skipped, pending]
    assert await ids(command_line, "--status", "skipped") == [skipped]
    assert await ids(command_line, "--automation", "Thanks") == [skipped, pending]
    assert await ids(command_line, "--automation", str(other.automation.id)) == [elsewhere]
    assert await ids(command_line, "--job", "J-1") == [elsewhere, pending]
    assert await ids(command_line, "--job", "J-1", "--automation", "Thanks") == [pending]
    assert await ids(command_line, "--limit", "2") == [elsewhere, skipped]


async def test_since_reaches_back_from_now(
    past: Past, office: Office, command_line: CommandLine
) -> None:
    old, new = await past.match(), await past.match()
    await office.query(
        "UPDATE automation_execution_logs SET created_at = created_at - interval '3 h' "
        "WHERE id = %s",
        old,
    )
    assert await ids(command_line, "--since", "2h") == [str(new)]
    assert await ids(command_line, "--since", "4h") == [str(new), str(old)]


async def test_a_cut_list_says_that_there_is_more(past: Past, command_line: CommandLine) -> None:
    for _ in range(3):
        await past.match()
    said = await command_line.run("executions", "list", "--limit", "2")
    assert "The newest 2; --limit 10 shows more." in said.out
    said = await command_line.run("executions", "list", "--limit", "3")
    assert "--limit" not in said.out


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        (("--status", "done"), "'done' is not one of"),
        (("--since", "2"), "write a number with a unit"),
        (("--limit", "0"), "0 is not in the range"),
    ],
)
async def test_an_impossible_filter_is_wrong_usage(
    filters: tuple[str, ...], says: str, command_line: CommandLine
) -> None:
    said = await command_line.run("executions", "list", *filters)
    assert said.code == 2
    assert says in said.err


async def test_an_unknown_automation_is_answered_with_the_nearest(
    past: Past, command_line: CommandLine
) -> None:
    said = await command_line.run("executions", "list", "--automation", "Thank")
    assert (said.code, said.err) == (1, "fixlify: no automation 'Thank'; did you mean 'Thanks'?\n")


async def test_an_empty_list_says_what_to_do_next(
    office: Office, command_line: CommandLine
) -> None:
    empty = await command_line.run("executions", "list")
    assert empty.code == 0
    assert "automations list --shipped" in empty.out

    await office.apply(f"status: draft\n{THANKS}")
    assert "automations enable NAME" in (await command_line.run("executions", "list")).out

    await office.apply(f"status: active\n{THANKS}")
    assert "fixlify doctor" in (await command_line.run("executions", "list")).out

    filtered = await command_line.run("executions", "list", "--job", "J-1")
    assert "try fewer filters" in filtered.out
    assert await ids(command_line) == []


async def test_the_story_has_the_change_the_steps_and_the_messages(
    broken_run: UUID, command_line: CommandLine
) -> None:
    said = await command_line.run("executions", "show", str(broken_run))

    assert said.code == 0
    assert said.lines[0] == "✗ failed  Thanks, version 1, for job J-2019"
    assert said.lines[1] == "mail: the mailbox does not exist"
    assert "job J-2019 changed its status: scheduled → completed" in said.out
    assert said.lines.index("Steps") < said.lines.index("Messages") < said.lines.index("Elsewhere")
    steps = said.lines[said.lines.index("Steps") + 1 :]
    assert steps[0].split() == ["✓", "text", "send_sms", "completed"]
    assert steps[1].split() == ["·", "cool-down", "wait", "not", "reached"]
    assert steps[2].split()[:4] == ["✗", "mail", "send_email", "failed"]
    assert "sms to +12125550123 (client): sent" in said.out
    assert "after the change" in said.out
    assert "1 attempt · accepted" in said.out
    assert "2 segments" in said.out
    assert "email to ada@example.com (client): failed" in said.out
    assert "with HTML · code 550 5.1.1" in said.out
    assert "  twilio (text)  SM0123" in said.lines
    assert f"  workflow       automation/{broken_run}" in said.lines


async def test_the_story_fits_80_columns_and_cannot_steer_the_terminal(
    broken_run: UUID, command_line: CommandLine
) -> None:
    said = await command_line.run("executions", "show", str(broken_run))
    assert max(map(cell_len, said.lines)) <= 80
    assert "\x1b" not in said.out
    assert "Thank you, Ada\ufffd[2J[bold]" in said.out


async def test_markup_in_data_is_only_text(past: Past, command_line: CommandLine) -> None:
    execution_id = await past.match(job="J-[/b]")
    await past.begin(execution_id)
    await past.finish(
        execution_id,
        ExecutionStatus.FAILED,
        StepOutcome(
            position=1,
            step_id="text",
            kind=StepKind.SMS,
            status=StepStatus.FAILED,
            reason="no [/i] here",
        ),
        reason="text: no [/i] here",
    )
    shown = await command_line.run("executions", "show", str(execution_id))
    assert "job J-[/b] changed its status" in shown.out
    assert shown.out.count("no [/i] here") == 2
    listed = await command_line.run("executions", "list")
    assert "J-[/b]" in listed.out


async def test_json_has_the_whole_story(broken_run: UUID, command_line: CommandLine) -> None:
    said = await command_line.run("executions", "show", str(broken_run), "--json")

    story = said.document
    assert (story["id"], story["status"], story["web_ui"]) == (str(broken_run), "failed", None)
    assert story["duration_ms"] >= 0
    assert story["workflow_id"] == f"automation/{broken_run}"
    assert [(step["id"], step["status"]) for step in story["steps"]] == [
        ("text", "completed"),
        ("cool-down", None),
        ("mail", "failed"),
    ]
    text, mail = story["messages"]
    assert (text["step_id"], text["status"], text["provider_id"]) == ("text", "sent", "SM0123")
    assert text["latency_ms"] >= 5
    assert (mail["status"], mail["error_code"], mail["attempts"]) == ("failed", "550 5.1.1", 1)
    assert mail["latency_ms"] is None
    assert EVIL in mail["body_text"]


async def test_a_run_that_waits_says_for_what(
    past: Past, engine_database: Database, office: Office, command_line: CommandLine
) -> None:
    execution_id = await past.match()
    await past.begin(execution_id)
    async with engine_database.transaction() as connection:
        await record_progress(
            connection,
            RunProgress(
                execution_id=execution_id,
                organization_id=office.organization_id,
                waiting_for="cool-down",
            ),
        )
    listed = await command_line.run("executions", "list", "--status", "waiting")
    assert listed.lines[2] == "    at step cool-down"
    shown = await command_line.run("executions", "show", str(execution_id))
    assert "it waits at step cool-down" in shown.out


async def test_the_beginning_of_an_id_is_enough_while_it_is_unique(
    past: Past, command_line: CommandLine
) -> None:
    first, second = await past.match(), await past.match()
    for written in (str(first), str(first)[:23], str(first).upper(), first.hex[:20]):
        said = await command_line.run("executions", "show", written, "--json")
        assert said.document["id"] == str(first)

    ambiguous = await command_line.run("executions", "show", str(first)[:6])
    assert (ambiguous.code, ambiguous.out) == (1, "")
    assert str(first) in ambiguous.err
    assert str(second) in ambiguous.err

    unknown = await command_line.run("executions", "show", "ffffff")
    assert unknown.code == 1
    assert "no execution of Northwind Heating begins with 'ffffff'" in unknown.err


@pytest.mark.parametrize("written", ["01a1f", "xyzxyz", "", "J-2019", "0" * 33])
async def test_what_is_no_id_is_wrong_usage(written: str, command_line: CommandLine) -> None:
    said = await command_line.run("executions", "show", written)
    assert said.code == 2
    assert "is not an id, nor the first 6 digits of one" in said.err


async def test_nobody_reads_another_organizations_executions(
    office: Office, broken_run: UUID, command_line: CommandLine
) -> None:
    async with await Office.open(office.url, "Southwind Plumbing") as other:
        theirs = ("--organization", str(other.organization_id))
        assert await ids(command_line, *theirs) == []
        said = await command_line.run("executions", "show", str(broken_run), *theirs)
        assert (said.code, said.out) == (1, "")
        assert len(await ids(command_line, "--organization", str(office.organization_id))) == 1


@pytest.fixture
async def real_run(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> AsyncIterator[dict[str, Any]]:
    """A run by the engine itself, of an automation without waits."""
    await office.apply(THANKS.replace("  - {id: cool-down, type: wait, for: 2d}\n", ""))
    job = await office.add_job()
    async with running_engine(office, temporal_client, mail, phone) as engine:
        await office.write_status(job, "completed")
        (execution,) = await engine.settled()
        yield execution


async def test_the_engines_own_run_is_told(
    real_run: dict[str, Any], command_line: CommandLine
) -> None:
    said = await command_line.run("executions", "show", str(real_run["id"])[:18])

    assert said.lines[0] == "✓ completed  Thanks, version 1, for job J-2019"
    assert "Thank you, Ada" in said.out
    assert "Dear Ada" in said.out
    assert real_run["workflow_id"] in said.out
    story = (await command_line.run("executions", "show", real_run["id"].hex, "--json")).document
    assert [step["status"] for step in story["steps"]] == ["completed", "completed"]
    assert [message["status"] for message in story["messages"]] == ["sent", "sent"]
    assert all(message["latency_ms"] > 0 for message in story["messages"])
