"""An execution is begun by one run, and ends once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.runs import (
    ExecutionStatus,
    RunOutcome,
    RunProgress,
    StepKind,
    StepOutcome,
    StepStatus,
)
from fixlify.storage.database import Database
from fixlify.storage.executions import (
    BegunExecution,
    NotBegun,
    begin_execution,
    finish_execution,
    record_progress,
)
from fixlify.storage.messages import Channel, enter_messages
from tests.clones import delete_everything, new_database
from tests.conftest import TEMPLATE
from tests.office import Office
from tests.runs import add_execution, new_message

TEXT_SENT = StepOutcome(position=1, step_id="text", kind=StepKind.SMS, status=StepStatus.COMPLETED)
MAIL_FAILED = StepOutcome(
    position=2, step_id="mail", kind=StepKind.EMAIL, status=StepStatus.FAILED, reason="mailbox full"
)
FINAL = [
    ExecutionStatus.COMPLETED,
    ExecutionStatus.FAILED,
    ExecutionStatus.SKIPPED,
    ExecutionStatus.CANCELLED,
]


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


async def begin(
    database: Database, execution: UUID, organization: UUID, run_id: str = "run-1"
) -> BegunExecution | NotBegun:
    async with database.statement() as connection:
        return await begin_execution(
            connection,
            execution,
            organization,
            # The runs of one workflow are one; these are runs of different ones.
            workflow_id=f"automation/{run_id.removeprefix('run-')}",
            run_id=run_id,
        )


async def finish(
    database: Database,
    execution: UUID,
    organization: UUID,
    status: ExecutionStatus = ExecutionStatus.FAILED,
    *outcomes: StepOutcome,
) -> None:
    async with database.statement() as connection:
        await finish_execution(
            connection,
            RunOutcome(
                execution_id=execution,
                organization_id=organization,
                status=status,
                reason="because",
                outcomes=outcomes,
            ),
        )


async def progress(
    database: Database, execution: UUID, organization: UUID, *outcomes: StepOutcome
) -> None:
    async with database.statement() as connection:
        await record_progress(
            connection,
            RunProgress(
                execution_id=execution,
                organization_id=organization,
                outcomes=outcomes,
                waiting_for="cool-down until 2026-12-01",
            ),
        )


async def steps(office: Office) -> list[tuple[Any, ...]]:
    rows = await office.query("SELECT * FROM automation_step_logs ORDER BY position")
    return [(row["position"], row["step_id"], row["status"], row["reason"]) for row in rows]


async def everything(office: Office) -> list[Any]:
    """Return all that is recorded of the office's executions."""
    logged = await office.query("SELECT * FROM automation_step_logs ORDER BY 1, 2")
    return [await office.executions(), logged, await office.messages()]


class TestBeginning:
    """The first run takes the execution; every other is told so."""

    async def test_the_first_run_gets_what_was_pinned(
        self, engine_database: Database, office: Office
    ) -> None:
        execution = await add_execution(office, "pending")
        begun = await begin(engine_database, execution, office.organization_id)
        assert isinstance(begun, BegunExecution)
        assert begun.subject_id == "J-2019"
        assert [step.id for step in begun.pinned.definition.steps] == ["text", "mail"]
        (row,) = await office.executions()
        assert (row["status"], row["workflow_id"], row["run_id"]) == (
            *("running", "automation/1"),
            "run-1",
        )
        assert row["started_at"] is not None

    async def test_the_same_run_may_ask_again(
        self, engine_database: Database, office: Office
    ) -> None:
        execution = await add_execution(office, "pending")
        first = await begin(engine_database, execution, office.organization_id)
        before = await everything(office)
        assert await begin(engine_database, execution, office.organization_id) == first
        assert await everything(office) == before

    async def test_of_ten_runs_at_once_one_gets_it(
        self, engine_database: Database, office: Office
    ) -> None:
        execution = await add_execution(office, "pending")
        results = await asyncio.gather(
            *(
                begin(engine_database, execution, office.organization_id, f"run-{n}")
                for n in range(10)
            )
        )
        begun = [result for result in results if isinstance(result, BegunExecution)]
        assert len(begun) == 1
        assert results.count(NotBegun("the execution is already running")) == 9

    @pytest.mark.parametrize("status", FINAL)
    async def test_what_has_ended_cannot_begin(
        self, engine_database: Database, office: Office, status: ExecutionStatus
    ) -> None:
        execution = await add_execution(office, status.value, run_id="run-0")
        before = await everything(office)
        told = await begin(engine_database, execution, office.organization_id)
        assert told == NotBegun(f"the execution is already {status}", has_ended=True)
        assert await everything(office) == before

    @pytest.mark.parametrize("status", FINAL)
    async def test_the_run_that_ended_it_learns_how(
        self, engine_database: Database, office: Office, status: ExecutionStatus
    ) -> None:
        """It asks again where Temporal did not hear of the task in which it did."""
        execution = await add_execution(office, status.value, run_id="run-1", reason="so")
        told = await begin(engine_database, execution, office.organization_id)
        assert isinstance(told, NotBegun)
        assert (told.has_ended, told.status, told.told) == (True, status, "so")

    async def test_what_is_not_there(self, engine_database: Database, office: Office) -> None:
        told = await begin(engine_database, uuid4(), office.organization_id)
        assert told == NotBegun("there is no such execution")

    async def test_what_is_anothers(self, engine_database: Database, office: Office) -> None:
        execution = await add_execution(office, "pending")
        told = await begin(engine_database, execution, uuid4())
        assert told == NotBegun("there is no such execution")
        assert [row["status"] for row in await office.executions()] == ["pending"]

    async def test_an_edit_does_not_reach_what_was_matched_before(
        self, engine_database: Database, office: Office
    ) -> None:
        execution = await add_execution(office, "pending")
        await office.apply("""
            name: Thanks
            trigger: {type: job_completed}
            steps: [{id: other, type: send_sms, text: Something else.}]
        """)
        begun = await begin(engine_database, execution, office.organization_id)
        assert isinstance(begun, BegunExecution)
        assert begun.version == 1
        assert [step.id for step in begun.pinned.definition.steps] == ["text", "mail"]


class TestProgress:
    """A run that waits says what for, and what it has done."""

    async def test_steps_so_far(self, engine_database: Database, office: Office) -> None:
        execution = await add_execution(office)
        for _ in range(2):
            await progress(engine_database, execution, office.organization_id, TEXT_SENT)
        (row,) = await office.executions()
        assert (row["status"], row["waiting_for"]) == ("waiting", "cool-down until 2026-12-01")
        assert await steps(office) == [(1, "text", "completed", None)]

    @pytest.mark.parametrize("status", FINAL)
    async def test_what_has_ended_does_not_wait(
        self, engine_database: Database, office: Office, status: ExecutionStatus
    ) -> None:
        execution = await add_execution(office, status.value)
        before = await everything(office)
        await progress(engine_database, execution, office.organization_id, TEXT_SENT)
        assert await everything(office) == before


class TestFinishing:
    """How it ended is written once, with its steps, and closes what was still open."""

    async def test_the_outcome_and_its_steps(
        self, engine_database: Database, office: Office
    ) -> None:
        execution = await add_execution(office)
        outcome = (ExecutionStatus.FAILED, TEXT_SENT, MAIL_FAILED)
        await finish(engine_database, execution, office.organization_id, *outcome)
        (row,) = await office.executions()
        assert (row["status"], row["reason"], row["error_message"]) == ("failed", None, "because")
        assert row["completed_at"] is not None
        assert await steps(office) == [
            (1, "text", "completed", None),
            (2, "mail", "failed", "mailbox full"),
        ]

    async def test_a_reason_that_is_no_error(
        self, engine_database: Database, office: Office
    ) -> None:
        execution = await add_execution(office)
        await finish(engine_database, execution, office.organization_id, ExecutionStatus.CANCELLED)
        (row,) = await office.executions()
        assert (row["reason"], row["error_message"]) == ("because", None)

    @pytest.mark.parametrize("first", FINAL)
    @pytest.mark.parametrize("second", FINAL)
    async def test_the_first_outcome_stands(
        self,
        engine_database: Database,
        office: Office,
        first: ExecutionStatus,
        second: ExecutionStatus,
    ) -> None:
        """A run that was given up must not come back as a success, nor change its steps."""
        execution = await add_execution(office)
        await finish(engine_database, execution, office.organization_id, first, TEXT_SENT)
        before = await everything(office)
        changed = TEXT_SENT.model_copy(update={"status": StepStatus.FAILED})
        outcome = (second, changed, MAIL_FAILED)
        await finish(engine_database, execution, office.organization_id, *outcome)
        assert await everything(office) == before

    @pytest.mark.parametrize(
        ("status", "closed"),
        [
            (ExecutionStatus.FAILED, {"queued": "failed", "sending": "unknown"}),
            (ExecutionStatus.CANCELLED, {"queued": "cancelled", "sending": "unknown"}),
            (ExecutionStatus.COMPLETED, {"queued": "cancelled", "sending": "unknown"}),
        ],
    )
    async def test_open_messages_are_closed_and_others_left_alone(
        self,
        engine_database: Database,
        office: Office,
        status: ExecutionStatus,
        closed: dict[str, str],
    ) -> None:
        execution = await add_execution(office)
        standing = ["queued", "sending", "sent", "failed", "unknown", "suppressed", "cancelled"]
        async with engine_database.statement() as connection:
            await enter_messages(
                connection,
                execution,
                [new_message(office, execution, step_id=each) for each in standing],
            )
        await office.query("UPDATE messages SET status = 'sending' WHERE step_id = 'unknown'")
        await office.query("UPDATE messages SET status = step_id")
        await finish(engine_database, execution, office.organization_id, status)
        assert {row["step_id"]: row["status"] for row in await office.messages()} == {
            each: closed.get(each, each) for each in standing
        }

    async def test_messages_of_other_executions_are_left_alone(
        self, engine_database: Database, office: Office
    ) -> None:
        execution, other = await add_execution(office), await add_execution(office)
        async with engine_database.statement() as connection:
            await enter_messages(
                connection, other, [new_message(office, other, channel=Channel.SMS)]
            )
        await finish(engine_database, execution, office.organization_id)
        assert [row["status"] for row in await office.messages()] == ["queued"]

    async def test_another_organization_cannot_end_it(
        self, engine_database: Database, office: Office
    ) -> None:
        execution = await add_execution(office)
        async with engine_database.statement() as connection:
            await enter_messages(connection, execution, [new_message(office, execution)])
        before = await everything(office)
        outcome = (ExecutionStatus.CANCELLED, TEXT_SENT)
        await finish(engine_database, execution, uuid4(), *outcome)
        await progress(engine_database, execution, uuid4(), TEXT_SENT)
        assert await everything(office) == before
