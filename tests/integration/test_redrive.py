"""A run that ended badly goes on where it stopped: what was done is never done twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import Client

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.domain.ids import workflow_id
from fixlify.domain.runs import ExecutionStatus, MessageStatus, RunOutcome
from fixlify.storage.database import Database
from fixlify.storage.executions import (
    BegunExecution,
    NotBegun,
    begin_execution,
    finish_execution,
)
from fixlify.storage.messages import enter_messages
from fixlify.storage.redrive import find_candidates
from fixlify.storage.stops import resume_automations, stop_automations
from starter.reconcile import Reconciler
from starter.redrive import redrive_executions
from tests.engine import Engine, eventually, running_engine
from tests.office import Office
from tests.runs import add_execution, new_message

FOLLOW_UP = """
name: Follow up
trigger: {type: job_completed}
steps:
  - {id: text, type: send_sms, text: "Thank you, {{ client.first_name }}."}
  - {id: mail, type: send_email, subject: Done, text: "Thank you, {{ client.first_name }}."}
  - {id: gold, type: update_record, add_tags: [thanked]}
  - {id: tell, type: create_task, title: "Ask {{ client.company }}"}
"""
SLOW = FOLLOW_UP.replace("steps:", "steps:\n  - {id: rest, type: wait, for: 2d}")
REFUSED = "fail-550@example.com"
UNKNOWN = "drop-after-data@example.com"
NOT_A_NUMBER = "+15005550001"


@pytest.fixture
async def engine(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> AsyncIterator[Engine]:
    async with running_engine(office, temporal_client, mail, phone) as engine:
        yield engine


async def redrive(database: Database, office: Office, *ids: UUID, reason: str = "") -> list[UUID]:
    return await redrive_executions(database, office.organization_id, ids, reason or None)


async def relaunched(office: Office, engine: Engine) -> list[dict[str, Any]]:
    """Let the relay's sweep find what was redriven, and return how everything ended."""
    assert await engine.relay.launch_waiting()
    return await engine.settled()


async def steps(office: Office) -> dict[str, str]:
    rows = await office.query("SELECT step_id, status FROM automation_step_logs ORDER BY position")
    return {row["step_id"]: row["status"] for row in rows}


async def fail(office: Office, engine: Engine, **client: Any) -> dict[str, Any]:
    """Complete a job whose client can be reached in one way only; return how it ended."""
    await office.apply(FOLLOW_UP)
    job = await office.add_job(client_id=await office.add_client(**client))
    await office.write_status(job, "completed")
    (execution,) = await engine.settled()
    assert execution["status"] == "failed"
    return execution


class TestGoingOn:
    """The real engine, from one run into the next."""

    async def test_what_was_sent_is_not_sent_again_and_what_failed_is(
        self,
        office: Office,
        engine: Engine,
        engine_database: Database,
        mail: MailCatcher,
        phone: SmsCatcher,
    ) -> None:
        first = await fail(office, engine, email=REFUSED)
        assert await steps(office) == {
            "text": "completed",
            "mail": "failed",
            "gold": "completed",
            "tell": "failed",
        }
        await office.query(
            "UPDATE clients SET first_name = 'Augusta', company = 'Analytical', email = %s",
            "augusta@example.com",
        )
        # Nothing of it happens again, so nobody sees it gone.
        await office.query("UPDATE jobs SET tags = '{}'")

        assert await redrive(engine_database, office, first["id"]) == [first["id"]]
        (pending,) = await office.executions()
        cleared = ("reason", "error_message", "workflow_id", "run_id", "launched_at")
        assert (pending["status"], pending["redrives"]) == ("pending", 1)
        assert [pending[name] for name in (*cleared, "completed_at", "good_until")] == [None] * 7
        assert await steps(office) == {"text": "completed", "gold": "completed"}

        (second,) = await relaunched(office, engine)

        assert (second["status"], second["error_message"]) == ("completed", None)
        assert second["workflow_id"] == workflow_id(first["id"], 1)
        assert [text.body for text in phone.messages] == ["Thank you, Ada."]
        (email,) = mail.messages
        assert (email.recipients, email.text.strip()) == (
            ("augusta@example.com",),
            "Thank you, Augusta.",
        )
        assert [row["status"] for row in await office.messages()] == ["sent", "sent"]
        assert set((await steps(office)).values()) == {"completed"}
        assert await office.query("SELECT title FROM tasks") == [{"title": "Ask Analytical"}]
        assert await office.query("SELECT tags FROM jobs") == [{"tags": []}]

    async def test_a_message_that_may_have_gone_out_never_goes_again(
        self,
        office: Office,
        engine: Engine,
        engine_database: Database,
        phone: SmsCatcher,
        mail: MailCatcher,
    ) -> None:
        first = await fail(office, engine, phone=NOT_A_NUMBER, email=UNKNOWN, company="Engines")
        (candidate,) = await candidates(engine_database, office, first["id"])
        assert (candidate.sent, candidate.again, candidate.unknown) == (0, 1, 1)
        in_doubt = len(mail.messages)
        await office.query("UPDATE clients SET phone = '+12125550123', email = 'ada@example.com'")

        for redriven in (1, 2):
            await redrive(engine_database, office, first["id"])
            (execution,) = await relaunched(office, engine)
            assert (execution["status"], execution["redrives"]) == ("failed", redriven)

        assert len(phone.messages) == 1
        assert len(mail.messages) == in_doubt
        assert {row["step_id"]: row["status"] for row in await office.messages()} == {
            "text": "sent",
            "mail": "unknown",
        }
        assert "mail" in execution["error_message"]

    async def test_consent_is_asked_again(
        self, office: Office, engine: Engine, engine_database: Database, mail: MailCatcher
    ) -> None:
        first = await fail(office, engine, email=REFUSED, company="Engines")
        await office.query("UPDATE clients SET email = 'ada@example.com', email_opted_out = true")
        await redrive(engine_database, office, first["id"])
        await relaunched(office, engine)
        assert not mail.messages
        assert (await steps(office))["mail"] == "skipped"

    async def test_under_a_stop_it_is_not_launched(
        self, office: Office, engine: Engine, engine_database: Database
    ) -> None:
        first = await fail(office, engine, email=REFUSED)
        async with engine_database.transaction() as connection:
            await stop_automations(connection, office.organization_id, None)
        await redrive(engine_database, office, first["id"])
        assert await engine.relay.launch_waiting() == 0
        async with engine_database.transaction() as connection:
            await resume_automations(connection, office.organization_id)
        assert await engine.relay.launch_waiting() == 1

    async def test_the_end_of_the_run_before_is_not_its_own(
        self, office: Office, engine: Engine, engine_database: Database
    ) -> None:
        """Temporal lists it as terminated for a day."""
        await office.apply(SLOW)
        await office.write_status(await office.add_job(), "completed")
        await engine.relay_everything()

        async def waits() -> bool:
            return [each["status"] for each in await office.executions()] == ["waiting"]

        await eventually(waits)
        (execution,) = await office.executions()
        await engine.handle(execution["id"]).terminate()
        reconciler = Reconciler(engine.client, engine_database)

        async def is_closed() -> bool:
            return await reconciler.reconcile() == 1

        await eventually(is_closed)
        await redrive(engine_database, office, execution["id"])
        assert await reconciler.reconcile() == 0
        await engine.relay.launch_waiting()
        await eventually(waits)
        assert await reconciler.reconcile() == 0
        await engine.handle(execution["id"], 1).terminate()
        await eventually(is_closed)
        assert [each["status"] for each in await office.executions()] == ["cancelled"]


async def candidates(database: Database, office: Office, *ids: UUID) -> list[Any]:
    async with database.statement() as connection:
        return await find_candidates(connection, office.organization_id, ids)


class TestWhatCanBe:
    """Only what has ended, and not well."""

    @pytest.mark.parametrize(
        ("status", "columns", "refusal"),
        [
            ("failed", {}, None),
            ("cancelled", {}, None),
            ("skipped", {"started_at": "2026-11-26T12:00:00Z"}, None),
            ("skipped", {"reason": "duplicate"}, "it was skipped before it began: duplicate"),
            ("completed", {}, "it is completed; nothing is left to do"),
            ("pending", {}, "it is pending, and begins by itself"),
            ("running", {}, "it is running; to begin it anew, end it first with `fixlify exec"),
            ("waiting", {}, "it is waiting; to begin it anew, end it first with"),
        ],
    )
    async def test_by_status(
        self,
        office: Office,
        engine_database: Database,
        status: str,
        columns: dict[str, Any],
        refusal: str | None,
    ) -> None:
        execution_id = await add_execution(office, status, **columns)
        (candidate,) = await candidates(engine_database, office, execution_id)
        redriven = await redrive(engine_database, office, execution_id)
        (row,) = await office.executions()
        if refusal is None:
            assert candidate.refusal is None
            assert (redriven, row["status"], row["redrives"]) == ([execution_id], "pending", 1)
        else:
            assert str(candidate.refusal).startswith(refusal)
            assert (redriven, row["status"], row["redrives"]) == ([], status, 0)

    @pytest.mark.parametrize(
        ("status", "paused_runs", "refusal"),
        [
            ("archived", "hold", "the automation is archived, and ends its runs; enable it first"),
            ("paused", "cancel", "the automation is paused, and ends its runs; enable it first"),
            ("paused", "hold", None),
            ("paused", "finish", None),
        ],
    )
    async def test_by_where_the_automation_stands(
        self,
        office: Office,
        engine_database: Database,
        status: str,
        paused_runs: str,
        refusal: str | None,
    ) -> None:
        execution_id = await add_execution(office, "failed")
        await office.query(
            "UPDATE automation_workflows SET status = %s, paused_runs = %s", status, paused_runs
        )
        (candidate,) = await candidates(engine_database, office, execution_id)
        assert candidate.refusal == refusal

    async def test_of_two_people_at_once_one_does_it(
        self, office: Office, engine_database: Database
    ) -> None:
        ids = [await add_execution(office, "failed") for _ in range(20)]
        parts = await asyncio.gather(
            redrive(engine_database, office, *ids), redrive(engine_database, office, *ids[::-1])
        )
        assert sorted(parts[0] + parts[1]) == ids
        assert {each["redrives"] for each in await office.executions()} == {1}

    async def test_another_companys_run_is_left_alone(
        self, office: Office, engine_database: Database
    ) -> None:
        async with await Office.open(office.url, "Southwind") as other:
            theirs = await add_execution(other, "failed")
            assert await candidates(engine_database, office, theirs) == []
            assert await redrive(engine_database, office, theirs) == []

    async def test_many_are_done_in_parts(self, office: Office, engine_database: Database) -> None:
        first = await add_execution(office, "failed")
        await office.query(
            "INSERT INTO automation_execution_logs SELECT (e).* FROM (SELECT"
            " jsonb_populate_record(e, jsonb_build_object('id', gen_random_uuid(),"
            " 'occurrence_key', n)) AS e FROM automation_execution_logs e,"
            " generate_series(1, 249) n) AS copies"
        )
        ids = [each["id"] for each in await office.executions()]
        parts: list[int] = []
        redriven = await redrive_executions(
            engine_database, office.organization_id, ids, on_each=parts.append
        )
        assert first in redriven
        assert (sorted(redriven), parts) == (ids, [100, 100, 50])


class TestTheLedger:
    """What stands of the messages, the steps and the actions."""

    @pytest.mark.parametrize("status", list(MessageStatus))
    async def test_a_message(
        self, office: Office, engine_database: Database, status: MessageStatus
    ) -> None:
        execution_id = await add_execution(office)
        async with engine_database.transaction() as connection:
            await enter_messages(connection, execution_id, [new_message(office, execution_id)])
        if status not in (MessageStatus.QUEUED, MessageStatus.CANCELLED, MessageStatus.HELD):
            await office.query("UPDATE messages SET status = 'sending'")
        await office.query(
            "UPDATE messages SET status = %s, reason = 'why', error_code = '1',"
            " sending_at = now(), held_until = now(), good_until = now()",
            status.value,
        )
        await office.query("UPDATE automation_execution_logs SET status = 'failed'")
        (before,) = await office.messages()
        await redrive(engine_database, office, execution_id)
        (message,) = await office.messages()
        if status in (MessageStatus.FAILED, MessageStatus.CANCELLED, MessageStatus.SUPPRESSED):
            assert (message["status"], message["reason"]) == ("held", "redriven")
            emptied = ("error_code", "sending_at", "held_until", "good_until")
            assert [message[name] for name in emptied] == [None] * 4
        else:
            assert message == before

    async def test_one_that_the_new_run_does_not_come_to_is_cancelled(
        self, office: Office, engine_database: Database
    ) -> None:
        execution_id = await add_execution(office)
        async with engine_database.transaction() as connection:
            await enter_messages(connection, execution_id, [new_message(office, execution_id)])
            await finish(connection, office, execution_id, ExecutionStatus.FAILED)
        await redrive(engine_database, office, execution_id)
        async with engine_database.transaction() as connection:
            await finish(connection, office, execution_id, ExecutionStatus.COMPLETED)
        (message,) = await office.messages()
        assert (message["status"], message["reason"]) == (
            "cancelled",
            "the run ended before it was sent",
        )

    async def test_a_sent_one_cannot_be_claimed_again(
        self, office: Office, engine_database: Database
    ) -> None:
        execution_id = await add_execution(office)
        message = new_message(office, execution_id)
        async with engine_database.transaction() as connection:
            await enter_messages(connection, execution_id, [message])
        await office.query("UPDATE messages SET status = 'sent'")
        await office.query("UPDATE automation_execution_logs SET status = 'failed'")
        await redrive(engine_database, office, execution_id)
        async with engine_database.transaction() as connection:
            await begin_execution(
                connection,
                execution_id,
                office.organization_id,
                workflow_id=workflow_id(execution_id, 1),
                run_id="1",
            )
            again = new_message(office, execution_id)
            entered = await enter_messages(connection, execution_id, [again])
            assert (entered["text"].id, entered["text"].status) == (message.id, "sent")
        (row,) = await office.messages()
        assert (row["id"], row["status"]) == (message.id, "sent")

    async def test_steps_and_actions_that_were_not_done_are_forgotten(
        self, office: Office, engine_database: Database
    ) -> None:
        execution_id = await add_execution(office, "failed")
        key = {"execution_id": execution_id, "organization_id": office.organization_id}
        for place, status in enumerate(("completed", "unknown", "failed", "skipped", "cancelled")):
            await office.insert(
                "automation_step_logs",
                **key,
                step_id=status,
                position=place,
                kind="branch",
                status=status,
                result="then",
            )
            await office.insert(
                "automation_actions", **key, step_id=status, kind="update", status=status
            )
        await redrive(engine_database, office, execution_id)

        assert list(await steps(office)) == ["completed", "unknown"]
        actions = await office.query("SELECT status FROM automation_actions ORDER BY status")
        assert [each["status"] for each in actions] == ["completed", "unknown"]

        async with engine_database.statement() as connection:
            begun = await begin_execution(
                connection,
                execution_id,
                office.organization_id,
                workflow_id=workflow_id(execution_id, 1),
                run_id="1",
            )
        assert isinstance(begun, BegunExecution)
        assert [(each.step_id, each.position, each.result) for each in begun.done] == [
            ("completed", 0, "then"),
            ("unknown", 1, "then"),
        ]

    async def test_the_journal_says_why_each_time(
        self, office: Office, engine_database: Database
    ) -> None:
        execution_id = await add_execution(office, "failed", error_message="text: 21211")
        await redrive(engine_database, office, execution_id, reason="the number is right now")
        async with engine_database.transaction() as connection:
            await finish(connection, office, execution_id, ExecutionStatus.CANCELLED)
        await redrive(engine_database, office, execution_id)
        journal = await office.query("SELECT kind, detail FROM automation_decisions ORDER BY id")
        assert [(each["kind"], each["detail"]) for each in journal] == [
            ("redriven", "redrive 1: it was failed (text: 21211); the number is right now"),
            ("redriven", "redrive 2: it was cancelled (because)"),
        ]


class TestTheRunBefore:
    """A workflow of before the redrive has no say any more."""

    async def test_it_cannot_begin(self, office: Office, engine_database: Database) -> None:
        execution_id = await add_execution(office, "cancelled")
        await redrive(engine_database, office, execution_id)
        async with engine_database.statement() as connection:
            begun = await begin_execution(
                connection,
                execution_id,
                office.organization_id,
                workflow_id=workflow_id(execution_id),
                run_id="1",
            )
        assert begun == NotBegun(
            "the execution was redriven, and has another workflow now", has_ended=True
        )

    async def test_it_cannot_end_the_new_one(
        self, office: Office, engine_database: Database
    ) -> None:
        """Its record of how it ended may be tried once more when it had been written."""
        execution_id = await add_execution(office, "failed")
        await redrive(engine_database, office, execution_id)
        async with engine_database.transaction() as connection:
            assert not await finish(
                connection, office, execution_id, ExecutionStatus.FAILED, redrives=0
            )
            assert await finish(
                connection, office, execution_id, ExecutionStatus.FAILED, redrives=1
            )

    async def test_nothing_of_a_first_run_is_read(
        self, office: Office, engine_database: Database
    ) -> None:
        """A first run that begins twice has nothing done by another."""
        execution_id = await add_execution(office, "pending", trigger_data=json.dumps({}))
        for _ in range(2):
            async with engine_database.statement() as connection:
                begun = await begin_execution(
                    connection,
                    execution_id,
                    office.organization_id,
                    workflow_id=workflow_id(execution_id),
                    run_id="1",
                )
            assert isinstance(begun, BegunExecution)
            assert begun.done == ()


async def finish(
    connection: Any,
    office: Office,
    execution_id: UUID,
    status: ExecutionStatus,
    redrives: int | None = None,
) -> bool:
    outcome = RunOutcome(
        execution_id=execution_id,
        organization_id=office.organization_id,
        status=status,
        reason="because",
    )
    return await finish_execution(connection, outcome, redrives=redrives)
