"""What a person ends is over: at once where it has not begun, and by its own run where it has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.domain.ids import workflow_id
from fixlify.domain.runs import ExecutionStatus
from fixlify.storage.cancellation import Standing, find_open, look_at
from fixlify.storage.database import Database
from fixlify.storage.executions import NotBegun, begin_execution
from fixlify.storage.messages import enter_messages
from starter.cancel import Cancellation, cancel_runs, cancel_waiting
from starter.redrive import redrive_executions
from tests.engine import Engine, eventually, running_engine
from tests.office import Office
from tests.runs import add_execution, new_message

SLOW = """
name: Slow
trigger: {type: job_completed}
steps:
  - {id: mail, type: send_email, subject: Done, text: "Thank you."}
  - {id: rest, type: wait, for: 2d}
  - {id: text, type: send_sms, text: "How was it?"}
"""
AT_ONCE = timedelta()


@pytest.fixture
async def engine(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> AsyncIterator[Engine]:
    async with running_engine(office, temporal_client, mail, phone) as engine:
        yield engine


async def standing(database: Database, office: Office, *ids: UUID) -> list[Standing]:
    async with database.statement() as connection:
        return await look_at(connection, office.organization_id, ids)


def ids_of(runs: Sequence[Standing]) -> list[UUID]:
    return [run.id for run in runs]


async def waiting_run(office: Office, engine: Engine) -> dict[str, Any]:
    await office.apply(SLOW)
    await office.write_status(await office.add_job(), "completed")
    await engine.relay_everything()

    async def waits() -> bool:
        return [each["status"] for each in await office.executions()] == ["waiting"]

    await eventually(waits)
    (execution,) = await office.executions()
    return execution


async def journal(office: Office) -> list[str]:
    rows = await office.query("SELECT kind, detail FROM automation_decisions ORDER BY id")
    return [each["detail"] for each in rows if each["kind"] == "cancelled"]


class TestUnderWay:
    """Runs are ended by their workflow, which knows what it has done."""

    async def test_a_run_that_waits(
        self,
        office: Office,
        engine: Engine,
        engine_database: Database,
        mail: MailCatcher,
        phone: SmsCatcher,
    ) -> None:
        execution = await waiting_run(office, engine)
        runs = await standing(engine_database, office, execution["id"])

        done = await cancel_runs(engine.client, engine_database, office.organization_id, runs)

        assert ids_of(done.cancelled) == [execution["id"]]
        assert (done.asked, done.over, done.unreached) == ((), (), ())
        (after,) = await office.executions()
        assert (after["status"], after["completed_at"] is not None) == ("cancelled", True)
        assert await journal(office) == ["cancelled by hand"]
        assert (len(mail.messages), len(phone.messages)) == (1, 0)
        with pytest.raises(WorkflowFailureError):
            await engine.handle(execution["id"]).result()

    async def test_a_redriven_run(
        self, office: Office, engine: Engine, engine_database: Database
    ) -> None:
        """Its workflow has another id than that of the run before."""
        execution = await waiting_run(office, engine)
        for redrives in range(2):
            runs = await standing(engine_database, office, execution["id"])
            assert runs[0].workflow_id == workflow_id(execution["id"], redrives)
            done = await cancel_runs(engine.client, engine_database, office.organization_id, runs)
            assert len(done.cancelled) == 1
            if redrives == 0:
                await redrive_executions(engine_database, office.organization_id, [execution["id"]])
                await engine.relay.launch_waiting()

                async def waits() -> bool:
                    return [e["status"] for e in await office.executions()] == ["waiting"]

                await eventually(waits)

    async def test_without_a_worker_it_is_told_and_ends_later(
        self,
        office: Office,
        temporal_client: Client,
        mail: MailCatcher,
        phone: SmsCatcher,
        engine_database: Database,
    ) -> None:
        async with running_engine(office, temporal_client, mail, phone) as engine:
            execution = await waiting_run(office, engine)
        runs = await standing(engine_database, office, execution["id"])

        done = await cancel_runs(
            temporal_client, engine_database, office.organization_id, runs, AT_ONCE
        )

        assert ids_of(done.asked) == [execution["id"]]
        assert done.cancelled == ()
        async with running_engine(office, temporal_client, mail, phone):

            async def is_over() -> bool:
                return [e["status"] for e in await office.executions()] == ["cancelled"]

            await eventually(is_over)

    async def test_a_run_that_temporal_has_forgotten(
        self, office: Office, temporal_client: Client, engine_database: Database
    ) -> None:
        """Set up anew, or past its retention: nobody else will ever close it."""
        execution_id = await add_execution(office, "waiting", waiting_for="a day")
        message = new_message(office, execution_id)
        async with engine_database.transaction() as connection:
            await enter_messages(connection, execution_id, [message])
        runs = await standing(engine_database, office, execution_id)

        done = await cancel_runs(temporal_client, engine_database, office.organization_id, runs)

        assert len(done.cancelled) == 1
        (execution,) = await office.executions()
        assert (execution["status"], execution["reason"]) == ("cancelled", "cancelled by hand")
        assert [each["status"] for each in await office.messages()] == ["cancelled"]

    async def test_a_namespace_that_is_not_there_closes_nothing(
        self, office: Office, temporal_server: EmbeddedTemporal, engine_database: Database
    ) -> None:
        """Its server says of every run that there is none."""
        execution_id = await add_execution(office, "waiting")
        runs = await standing(engine_database, office, execution_id)
        nowhere = await temporal.connect(temporal_server.address, "nowhere")
        with pytest.raises(RPCError):
            await cancel_runs(nowhere, engine_database, office.organization_id, runs)
        assert [each["status"] for each in await office.executions()] == ["waiting"]
        assert await journal(office) == []

    async def test_one_that_ended_meanwhile_stays_what_it_is(
        self, office: Office, engine: Engine, engine_database: Database
    ) -> None:
        await office.apply(SLOW.partition("  - {id: rest")[0])
        await office.write_status(await office.add_job(), "completed")
        (execution,) = await engine.settled()
        (run,) = await standing(engine_database, office, execution["id"])

        done = await cancel_runs(engine.client, engine_database, office.organization_id, [run])

        assert done == Cancellation((), (), (run,), ())
        assert run.status is ExecutionStatus.COMPLETED


class TestNotBegun:
    """What has not begun is ended in the database, and never begins."""

    async def test_it_never_begins(self, office: Office, engine_database: Database) -> None:
        execution_id = await add_execution(office, "pending")
        async with engine_database.transaction() as connection:
            await enter_messages(connection, execution_id, [new_message(office, execution_id)])
        await office.query("UPDATE messages SET status = 'held', reason = 'redriven'")

        cancelled, rest = await cancel_waiting(
            engine_database, office.organization_id, [execution_id]
        )

        assert (cancelled, rest) == ([execution_id], [])
        (execution,) = await office.executions()
        assert (execution["status"], execution["reason"]) == ("cancelled", "cancelled by hand")
        assert [each["status"] for each in await office.messages()] == ["cancelled"]
        assert await journal(office) == ["cancelled by hand"]
        async with engine_database.statement() as connection:
            begun = await begin_execution(
                connection,
                execution_id,
                office.organization_id,
                workflow_id=workflow_id(execution_id),
                run_id="1",
            )
        assert begun == NotBegun("the execution is already cancelled", has_ended=True)

    @pytest.mark.parametrize(
        "status", [each for each in ExecutionStatus if each is not ExecutionStatus.PENDING]
    )
    async def test_all_others_are_left_to_their_run(
        self, office: Office, engine_database: Database, status: ExecutionStatus
    ) -> None:
        execution_id = await add_execution(office, status.value)
        cancelled, (rest,) = await cancel_waiting(
            engine_database, office.organization_id, [execution_id]
        )
        assert (cancelled, rest.id, rest.status) == ([], execution_id, status)
        assert await journal(office) == []

    async def test_another_companys_is_left_alone(
        self, office: Office, engine_database: Database
    ) -> None:
        async with await Office.open(office.url, "Southwind") as other:
            theirs = await add_execution(other, "pending")
            assert await cancel_waiting(engine_database, office.organization_id, [theirs]) == (
                [],
                [],
            )


async def test_open_executions_are_found_by_automation_and_by_subject(
    office: Office, engine_database: Database
) -> None:
    opened = [await add_execution(office, status) for status in ("pending", "running", "waiting")]
    await add_execution(office, "completed")
    await office.query(
        "UPDATE automation_execution_logs SET subject_id = 'J-7' WHERE id = %s", opened[2]
    )
    (automation,) = await office.query("SELECT id FROM automation_workflows")
    async with engine_database.statement() as connection:
        mine = office.organization_id
        assert await find_open(connection, mine, None, None) == opened
        assert await find_open(connection, mine, automation["id"], None) == opened
        assert await find_open(connection, mine, automation["id"], "J-7") == opened[2:]
        assert await find_open(connection, mine, mine, None) == []
