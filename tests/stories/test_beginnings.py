"""A run that comes too late to its execution ends quietly; one too many does not."""

from __future__ import annotations

from uuid import UUID

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from fixlify.domain import queues
from fixlify.domain.ids import workflow_id
from fixlify.domain.runs import AutomationRun, ExecutionStatus, RunOutcome
from tests.engine import Engine
from tests.office import Office
from tests.runs import add_execution
from workflows.automation import AutomationWorkflow


async def start(
    office: Office, engine: Engine, execution_id: UUID
) -> WorkflowHandle[AutomationWorkflow, RunOutcome]:
    return await engine.client.start_workflow(
        AutomationWorkflow.run,
        AutomationRun(execution_id=execution_id, organization_id=office.organization_id),
        id=workflow_id(execution_id),
        task_queue=queues.AUTOMATIONS,
    )


async def test_an_execution_that_expired_before_its_run_began_ends_it_quietly(
    office: Office, engine: Engine
) -> None:
    execution_id = await add_execution(office, "skipped", reason="too late")
    outcome = await (await start(office, engine, execution_id)).result()

    assert outcome.status is ExecutionStatus.SKIPPED
    assert outcome.reason == "the execution is already skipped"
    (execution,) = await office.executions()
    assert (execution["status"], execution["reason"]) == ("skipped", "too late")


@pytest.mark.parametrize("status", ["running", "completed"])
async def test_an_execution_that_another_workflow_has_fails_the_second_one(
    office: Office, engine: Engine, status: str
) -> None:
    execution_id = await add_execution(office, status, workflow_id="automation/another")
    with pytest.raises(WorkflowFailureError) as failure:
        await (await start(office, engine, execution_id)).result()

    cause = failure.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "ExecutionTaken"
