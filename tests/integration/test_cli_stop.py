"""An operator stops everything with one line, sees what is held, and lets it go on with another."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client

from devstack.mail import MailCatcher
from devstack.postgres import EmbeddedPostgres
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from fixlify.storage.database import Database
from fixlify.storage.messages import enter_messages
from tests.clones import delete_everything, new_database
from tests.command_line import CommandLine
from tests.conftest import TEMPLATE
from tests.engine import eventually, running_engine
from tests.office import Office
from tests.runs import add_execution, new_message

NOWHERE = "127.0.0.1:1"


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
def line(office: Office, temporal_server: EmbeddedTemporal) -> CommandLine:
    """The command line of the office."""
    return CommandLine(FIXLIFY_DATABASE_URL=office.url, TEMPORAL_ADDRESS=temporal_server.address)


@pytest.fixture
async def other(office: Office) -> AsyncIterator[Office]:
    """A second company, so that one must be chosen."""
    async with await Office.open(office.url, "Acme Drains") as company:
        yield company


async def add_held(office: Office, database: Database, age: timedelta = timedelta(hours=1)) -> None:
    """Enter a pending execution, and a run that holds a message; both of this *age*."""
    created = datetime.now(UTC) - age
    await add_execution(office, "pending", created_at=created)
    run = await add_execution(office, "waiting", created_at=created, started_at=created)
    message = new_message(office, run)
    async with database.transaction() as connection:
        await enter_messages(connection, run, [message])
    await office.query(
        "UPDATE messages SET status = 'held', created_at = %s WHERE id = %s", created, message.id
    )


async def test_a_stop_says_what_it_holds(
    line: CommandLine, office: Office, engine_database: Database
) -> None:
    await add_held(office, engine_database)
    sending = await add_execution(office, "running")
    async with engine_database.transaction() as connection:
        await enter_messages(connection, sending, [new_message(office, sending)])
    await office.query("UPDATE messages SET status = 'sending' WHERE status = 'queued'")

    said = await line.run("stop", "--reason", "wrong\x1b[2J prices")

    assert said.code == 0
    assert said.lines == [
        "Northwind Heating is stopped: wrong\ufffd[2J prices",
        "No message goes out and no run begins until `fixlify resume`. Held:",
        "        2  events not matched yet; they are, and then wait as executions",
        "        1  executions pending; they are not launched",
        "        2  runs under way; they hold at their next message",
        "        1  messages written and not sent",
        "1 message in a provider's hands: nobody can call it back.",
    ]


async def test_stopping_twice_says_since_when(line: CommandLine, office: Office) -> None:
    first = (await line.run("stop", "--reason", "wrong prices", "--json")).document
    assert first["new"] is True
    second = await line.run("stop", "--reason", "something else")
    assert second.code == 0
    assert second.lines[0].startswith("Northwind Heating is stopped already, since ")
    assert second.lines[0].endswith(": wrong prices")
    third = (await line.run("stop", "--json")).document
    assert third == {**first, "new": False}


async def test_a_resume_tells_of_a_channel_that_stays_paused(
    line: CommandLine, office: Office
) -> None:
    await office.insert("channel_settings", channel="sms", paused_at=datetime.now(UTC))
    await office.insert("channel_settings", channel="email", per_second=20)
    await line.run("stop")
    assert (await line.run("resume")).lines[-1] == (
        "The sms channel stays paused; `fixlify channels resume sms` lifts that."
    )


async def test_the_document_of_a_stop(line: CommandLine, office: Office) -> None:
    document = (await line.run("stop", "--json")).document
    (row,) = await office.query("SELECT * FROM automation_stops")
    own = {
        "organization_id": str(office.organization_id),
        "reason": None,
        "stopped_at": row["stopped_at"].astimezone(UTC).isoformat(),
    }
    assert document == {
        "organization": {"id": str(office.organization_id), "name": "Northwind Heating"},
        "new": True,
        **own,
        "work": {
            **dict.fromkeys(("events", "pending", "open"), 0),
            **dict.fromkeys(("queued", "held", "sending", "unknown"), 0),
        },
        "stops": [own],
    }


async def test_of_several_companies_one_must_be_chosen(
    line: CommandLine, office: Office, other: Office
) -> None:
    """The emergency stop once had no organization filter."""
    said = await line.run("stop")
    assert said.code == 1
    assert "choose one with --organization" in said.err
    assert await office.query("SELECT 1 FROM automation_stops") == []

    assert (await line.run("stop", "--organization", "acme drains")).code == 0
    (stop,) = await office.query("SELECT organization_id FROM automation_stops")
    assert stop["organization_id"] == other.organization_id


@pytest.mark.parametrize("command", ["stop", "resume"])
async def test_one_and_all_exclude_each_other(line: CommandLine, command: str) -> None:
    said = await line.run(command, "--all", "--organization", "Acme Drains")
    assert said.code == 2
    assert "give one of them" in said.err


async def test_all_are_stopped_and_resumed_together(
    line: CommandLine, office: Office, other: Office
) -> None:
    document = (await line.run("stop", "--all", "--json")).document
    assert (document["organization"], document["organization_id"]) == (None, None)
    said = await line.run("stop", "--organization", "Acme Drains")
    assert said.lines[0] == "Acme Drains is stopped."
    assert said.lines[1].startswith("Every organization is stopped too, since ")

    alone = await line.run("resume", "--organization", "Acme Drains")
    assert alone.code == 0
    assert "`fixlify resume --all` lifts that." in alone.out
    assert "Going on" not in alone.out

    await line.run("stop", "--organization", "Acme Drains", "--reason", "bankrupt")
    together = await line.run("resume", "--all")
    assert together.lines[0].startswith("Every organization goes on, stopped since ")
    assert f"  {other.organization_id}  bankrupt" in together.lines
    (stop,) = await office.query("SELECT organization_id FROM automation_stops")
    assert stop["organization_id"] == other.organization_id


@pytest.mark.parametrize(("answer", "stops"), [(b"y\n", 1), (b"n\n", 0)])
async def test_somebody_at_a_terminal_is_asked_before_all_stop(
    line: CommandLine, office: Office, answer: bytes, stops: int
) -> None:
    terminal, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", "stop", "--all"),
            stdin=theirs,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "FIXLIFY_DATABASE_URL": office.url},
        )
        os.write(terminal, answer)
        _, said = await asyncio.wait_for(process.communicate(), 60)
    finally:
        os.close(terminal)
        os.close(theirs)
    assert b"Stop the automations of every organization?" in said
    assert process.returncode == (0 if stops else 1)
    assert len(await office.query("SELECT 1 FROM automation_stops")) == stops


async def test_a_resume_wakes_held_runs(
    line: CommandLine,
    office: Office,
    temporal_client: Client,
    mail: MailCatcher,
    phone: SmsCatcher,
) -> None:
    async with running_engine(office, temporal_client, mail, phone) as engine:
        await office.apply(
            "name: Thanks\ntrigger: {type: job_completed}\nsteps:\n"
            "  - {id: cool-down, type: wait, for: 2s}\n"
            "  - {id: text, type: send_sms, text: Thank you}\n"
        )
        await office.write_status(await office.add_job(), "completed")
        await engine.relay_everything()
        await line.run("stop")

        async def holds() -> bool:
            return "held" in ((await office.executions())[0]["waiting_for"] or "")

        await eventually(holds)
        (execution,) = await office.executions()
        story = await line.run("executions", "show", str(execution["id"]))
        assert "it waits at step text: held, automations are stopped" in story.out
        assert ["·", "text", "send_sms", "waiting"] in [each.split() for each in story.lines]

        said = await line.run("resume")
        assert said.code == 0
        assert said.lines[-1] == "Going on: 0 executions to launch, 1 message to send."
        assert said.err == ""
        await engine.settled()
    assert len(phone.messages) == 1


async def test_without_temporal_held_runs_go_on_by_themselves(
    office: Office, engine_database: Database
) -> None:
    line = CommandLine(FIXLIFY_DATABASE_URL=office.url, TEMPORAL_ADDRESS=NOWHERE)
    await line.run("stop")
    await add_held(office, engine_database)
    said = await line.run("resume")
    assert said.code == 0
    assert said.lines[-1] == (
        f"Temporal does not answer at {NOWHERE}: 1 held run looks again within 1h."
    )
    again = await line.run("resume")
    assert again.lines[0] == "Northwind Heating was not stopped."
    assert "1 held run looks again" in again.lines[-1]


async def test_a_run_that_comes_to_hold_while_the_stop_is_being_lifted_is_woken_too(
    office: Office, engine_database: Database
) -> None:
    """Its worker saw the stop still stand; the resume had looked for held messages before."""
    line = CommandLine(FIXLIFY_DATABASE_URL=office.url, TEMPORAL_ADDRESS=NOWHERE)
    await add_held(office, engine_database)
    await office.query("UPDATE messages SET status = 'queued'")
    await line.run("stop")
    await office.query(
        """
        CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        $$ BEGIN UPDATE messages SET status = 'held'; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER at_commit AFTER DELETE ON automation_stops
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold();
        """
    )
    try:
        document = json.loads((await line.run("resume", "--json")).out)
    finally:
        await office.query("DROP FUNCTION hold() CASCADE")
    assert document["resumed"]
    assert document["runs"] == 1


async def test_a_resume_asks_what_is_to_become_of_old_work(
    line: CommandLine, office: Office, engine_database: Database
) -> None:
    await add_held(office, engine_database, timedelta(hours=25))
    await add_held(office, engine_database)
    await line.run("stop")

    said = await line.run("resume")
    assert said.code == 1
    assert "1 executions and 1 messages are older than 24 hours" in said.err
    assert "--cancel-older-than" in said.err
    assert "--send-everything" in said.err
    assert await office.query("SELECT 1 FROM automation_stops")

    document = (await line.run("resume", "--cancel-older-than", "2h", "--json")).document
    lifted = document.pop("lifted")
    assert lifted["organization_id"] == str(office.organization_id)
    assert document == {
        "organization": {"id": str(office.organization_id), "name": "Northwind Heating"},
        "resumed": True,
        "executions": 1,
        "messages": 1,
        "cancelled": {"executions": 1, "messages": 1},
        "runs": 2,
        "woken": 0,
        "still_stopped": [],
    }
    assert await office.query("SELECT 1 FROM automation_stops") == []


async def test_everything_is_sent_when_somebody_says_so(
    line: CommandLine, office: Office, engine_database: Database
) -> None:
    await add_held(office, engine_database, timedelta(days=3))
    await line.run("stop")
    said = await line.run("resume", "--send-everything")
    assert said.code == 0
    assert "Going on: 1 execution to launch, 1 message to send." in said.lines


async def test_the_two_decisions_exclude_each_other(line: CommandLine) -> None:
    said = await line.run("resume", "--send-everything", "--cancel-older-than", "2h")
    assert said.code == 2


async def test_a_reason_is_a_sentence(line: CommandLine, office: Office) -> None:
    assert (await line.run("stop", "--reason", "x" * 201)).code == 2
    assert await office.query("SELECT 1 FROM automation_stops") == []
    await line.run("stop", "--reason", "  ")
    assert (await line.run("stop", "--json")).document["reason"] is None


async def test_a_company_that_is_not_there(line: CommandLine) -> None:
    said = await line.run("stop", "--organization", str(uuid4()))
    assert said.code == 1
    assert "no organization" in said.err
