"""Runs are begun anew and ended over the command line, which says what became of each."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from temporalio.client import Client

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from fixlify.domain.ids import new_id
from fixlify.storage.database import Database
from fixlify.storage.messages import enter_messages
from fixlify.storage.stops import stop_automations
from tests.command_line import CommandLine
from tests.engine import eventually, running_engine
from tests.office import Office
from tests.runs import add_execution, new_message

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def line(office: Office) -> CommandLine:
    return CommandLine(FIXLIFY_DATABASE_URL=office.url, TEMPORAL_ADDRESS=NOWHERE)


@pytest.fixture
def connected(office: Office, temporal_server: EmbeddedTemporal) -> CommandLine:
    return CommandLine(FIXLIFY_DATABASE_URL=office.url, TEMPORAL_ADDRESS=temporal_server.address)


async def add_failed(office: Office, database: Database, *statuses: str, **columns: Any) -> UUID:
    """Enter an execution that failed, with a message of each of these statuses."""
    execution_id = await add_execution(office, **columns)
    for status in statuses:
        message = new_message(office, execution_id, id=new_id(), step_id=status)
        async with database.transaction() as connection:
            await enter_messages(connection, execution_id, [message])
        await office.query("UPDATE messages SET status = 'sending' WHERE id = %s", message.id)
        await office.query("UPDATE messages SET status = %s WHERE id = %s", status, message.id)
    await office.query(
        "UPDATE automation_execution_logs SET status = 'failed' WHERE id = %s", execution_id
    )
    return execution_id


async def statuses(office: Office) -> list[str]:
    return [each["status"] for each in await office.executions()]


class TestRedrive:
    """Nothing is sent twice, nothing happens in a dry run, and what is left alone is named."""

    async def test_a_dry_run_counts_and_changes_nothing(
        self, office: Office, engine_database: Database, line: CommandLine
    ) -> None:
        await add_failed(office, engine_database, "sent", "failed", "unknown")
        await add_failed(office, engine_database, "sent", "suppressed")
        before = (await office.executions(), await office.messages())

        said = await line.run("executions", "redrive", "--automation", "Thanks", "--dry-run")

        assert (said.code, said.err) == (0, "")
        assert said.lines == [
            "Would set going again: 2 executions.",
            "        2  messages that were sent, and are not sent again",
            "        2  messages that are written anew, if they may still go out",
            "        1  messages that may have gone out; nobody knows, so they never do again",
        ]
        assert before == (await office.executions(), await office.messages())

    async def test_one_by_the_beginning_of_its_id(
        self, office: Office, engine_database: Database, line: CommandLine
    ) -> None:
        execution_id = await add_failed(office, engine_database, "failed")
        said = await line.run("executions", "redrive", str(execution_id)[:23], "--reason", "fixed")
        assert (said.code, said.lines[0]) == (0, "Set going again: 1 execution.")
        assert await statuses(office) == ["pending"]
        (decision,) = await office.query("SELECT detail FROM automation_decisions")
        assert decision["detail"].endswith("; fixed")

    async def test_json(self, office: Office, engine_database: Database, line: CommandLine) -> None:
        failed = await add_failed(office, engine_database, "sent", "failed")
        completed = await add_execution(office, "completed")
        said = await line.run("executions", "redrive", str(failed), str(completed), "--json")
        assert said.code == 1
        assert said.document == {
            "dry_run": False,
            "executions": [str(failed)],
            "messages": {"sent": 1, "again": 1, "unknown": 0},
            "refused": [
                {
                    "id": str(completed),
                    "status": "completed",
                    "reason": "it is completed; nothing is left to do",
                }
            ],
            "more": False,
        }

    async def test_the_second_of_two_people_hears_that_it_is_pending(
        self, office: Office, engine_database: Database, line: CommandLine
    ) -> None:
        execution_id = await add_failed(office, engine_database)
        await line.run("executions", "redrive", str(execution_id))
        said = await line.run("executions", "redrive", str(execution_id))
        assert said.code == 1
        assert said.lines == [
            "Left alone: 1 execution.",
            f"  {execution_id}  it is pending, and begins by itself",
        ]

    async def test_the_filters_narrow_it(
        self, office: Office, engine_database: Database, line: CommandLine
    ) -> None:
        ids = [
            await add_failed(office, engine_database, subject_id="J-1"),
            await add_failed(office, engine_database, subject_id="J-2"),
            await add_failed(office, engine_database, subject_id="J-2"),
            await add_execution(office, "cancelled", subject_id="J-2"),
        ]
        await office.query(
            "UPDATE automation_execution_logs SET created_at = now() - interval '8 days'"
            " WHERE id = %s",
            ids[1],
        )

        async def chosen(*filters: str) -> list[UUID]:
            said = await line.run("executions", "redrive", "--dry-run", "--json", *filters)
            assert said.code == 0, said.err
            return [UUID(each) for each in said.document["executions"]]

        assert await chosen("--automation", "Thanks") == ids[:3]
        assert await chosen("--job", "J-2") == ids[1:3]
        assert await chosen("--job", "J-2", "--since", "7d") == ids[2:3]
        assert await chosen("--since", "7d", "--status", "cancelled") == ids[3:]
        nothing = await line.run("executions", "redrive", "--job", "J-3")
        assert nothing.out.startswith("No execution matches")

    async def test_a_stop_is_told(
        self, office: Office, engine_database: Database, line: CommandLine
    ) -> None:
        execution_id = await add_failed(office, engine_database)
        async with engine_database.transaction() as connection:
            await stop_automations(connection, office.organization_id, None)
        said = await line.run("executions", "redrive", str(execution_id))
        assert "Automations are stopped; the runs begin after `fixlify resume`." in said.lines

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ((), "say which: give the ids of executions, or --automation, --job or --since"),
            (("0199aa", "--job", "J-1"), "not both"),
            (("0199aa", "--status", "failed"), "--status goes with --automation"),
            (("--status", "failed"), "say which"),
            (("--job", "J-1", "--status", "completed"), "'completed' is not one of"),
            (("J-2019",), "is not an id, nor the first 6 digits of one"),
            (("--job", "J-1", "--reason", "x" * 201), "at most 200 characters"),
        ],
    )
    async def test_wrong_usage(
        self, line: CommandLine, arguments: tuple[str, ...], says: str
    ) -> None:
        said = await line.run("executions", "redrive", *arguments)
        assert said.code == 2
        assert says in said.err

    async def test_what_nobody_is_called(
        self, office: Office, engine_database: Database, line: CommandLine
    ) -> None:
        await add_failed(office, engine_database)
        for command in ("redrive", "cancel"):
            said = await line.run("executions", command, "--automation", "Thank")
            assert (said.code, said.err) == (
                1,
                "fixlify: no automation 'Thank'; did you mean 'Thanks'?\n",
            )
            said = await line.run("executions", command, "ffffff")
            assert "begins with 'ffffff'" in said.err


class TestCancel:
    """What has not begun ends at once; what is under way needs Temporal, and that is said."""

    async def test_a_dry_run_counts(self, office: Office, line: CommandLine) -> None:
        for status in ("pending", "running", "waiting", "completed"):
            await add_execution(office, status)
        said = await line.run("executions", "cancel", "--automation", "Thanks", "--dry-run")
        assert said.lines == [
            "Would end:",
            "        1  executions that have not begun",
            "        2  runs under way",
        ]
        assert await statuses(office) == ["pending", "running", "waiting", "completed"]

    async def test_a_run_under_way(
        self,
        office: Office,
        connected: CommandLine,
        temporal_client: Client,
        mail: MailCatcher,
        phone: SmsCatcher,
    ) -> None:
        async with running_engine(office, temporal_client, mail, phone) as engine:
            await office.apply(
                "name: Slow\ntrigger: {type: job_completed}\nsteps:\n"
                "  - {id: rest, type: wait, for: 2d}\n"
                "  - {id: text, type: send_sms, text: Thank you}\n"
            )
            await office.write_status(await office.add_job(), "completed")
            await engine.relay_everything()

            async def waits() -> bool:
                return await statuses(office) == ["waiting"]

            await eventually(waits)
            said = await connected.run("executions", "cancel", "--job", "J-2019")
        assert (said.code, said.lines) == (0, ["Cancelled: 1 execution."])
        assert await statuses(office) == ["cancelled"]
        again = await connected.run("executions", "cancel", "--job", "J-2019")
        assert again.out.startswith("Nothing is pending or under way there")

    async def test_without_temporal_what_has_not_begun_ends_all_the_same(
        self, office: Office, line: CommandLine
    ) -> None:
        await add_execution(office, "pending")
        running = await add_execution(office, "running")
        said = await line.run("executions", "cancel", "--job", "J-2019")
        assert said.code == 1
        assert said.lines[0] == "Cancelled: 1 execution."
        assert said.lines[1].startswith(f"Temporal does not answer at {NOWHERE}, so 1 run could")
        assert await statuses(office) == ["cancelled", "running"]
        document = (await line.run("executions", "cancel", str(running), "--json")).document
        assert document == {
            "dry_run": False,
            "cancelled": [],
            "asked": [],
            "over": [],
            "unreached": [str(running)],
            "problem": f"Temporal does not answer at {NOWHERE}",
        }

    async def test_a_namespace_that_is_not_there(
        self, office: Office, temporal_server: EmbeddedTemporal
    ) -> None:
        line = CommandLine(
            FIXLIFY_DATABASE_URL=office.url,
            TEMPORAL_ADDRESS=temporal_server.address,
            TEMPORAL_NAMESPACE="elsewhere",
        )
        running = await add_execution(office, "running")
        said = await line.run("executions", "cancel", str(running))
        assert said.code == 1
        assert "Temporal does not know the namespace at" in said.out
        assert await statuses(office) == ["running"]

    async def test_what_is_over_is_named(self, office: Office, line: CommandLine) -> None:
        over = await add_execution(office, "completed")
        said = await line.run("executions", "cancel", str(over))
        assert (said.code, said.lines) == (
            0,
            ["Over already: 1 execution.", f"  {over}  completed"],
        )

    async def test_nothing_is_cancelled_by_default(self, office: Office, line: CommandLine) -> None:
        await add_execution(office, "pending")
        said = await line.run("executions", "cancel")
        assert said.code == 2
        assert "say which: give the ids of executions, or --automation or --job" in said.err
        assert await statuses(office) == ["pending"]
