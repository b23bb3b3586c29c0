"""An execution never stays open after its workflow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import WorkflowExecution as CommonExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify import temporal
from fixlify.domain import queues
from fixlify.domain.runs import AutomationRun
from fixlify.storage.database import Database
from starter.reconcile import Reconciler
from tests.engine import Engine, eventually, running_engine
from tests.office import Office
from workflows.automation import AutomationWorkflow

WAITS = """
name: Waits
trigger: {type: job_completed}
steps:
  - {id: wait, type: wait, for: 2d}
  - {id: text, type: send_sms, text: "Done."}
"""


@pytest.fixture
async def engine(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> AsyncIterator[Engine]:
    async with running_engine(office, temporal_client, mail, phone) as engine:
        yield engine


async def test_a_workflow_terminated_by_hand_closes_its_execution(
    office: Office, engine: Engine, engine_database: Database
) -> None:
    """Runs once stayed `running` for ever when nobody was left to end them."""
    await office.apply(WAITS)
    await office.write_status(await office.add_job(), "completed")
    await engine.relay_everything()

    async def waits() -> bool:
        return [e["status"] for e in await office.executions()] == ["waiting"]

    await eventually(waits)
    (execution,) = await office.executions()
    handle = engine.handle(execution["id"])
    await handle.terminate("by hand")
    with pytest.raises(WorkflowFailureError):
        await handle.result()

    reconciler = Reconciler(engine.client, engine_database)

    async def is_reconciled() -> bool:
        await reconciler.reconcile()
        return [e["status"] for e in await office.executions()] == ["cancelled"]

    # Temporal lists a closed workflow a moment after it closed.
    await eventually(is_reconciled)
    (execution,) = await office.executions()
    assert execution["reason"] == "the workflow was terminated in Temporal"
    assert execution["completed_at"] is not None
    assert await reconciler.reconcile() == 0


async def test_a_reset_run_is_not_an_ended_one(
    office: Office, engine: Engine, engine_database: Database
) -> None:
    await office.apply(WAITS)
    await office.write_status(await office.add_job(), "completed")
    await engine.relay_everything()

    async def waits() -> bool:
        return [e["status"] for e in await office.executions()] == ["waiting"]

    await eventually(waits)
    (execution,) = await office.executions()
    handle = engine.handle(execution["id"])

    async def finished_tasks() -> list[int]:
        return [
            event.event_id
            for event in (await handle.fetch_history()).events
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        ]

    # The row says "waiting" a moment before the task that wrote it is over.
    task_done = (await eventually(finished_tasks))[0]
    await engine.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=CommonExecution(workflow_id=handle.id),
            reason="once more",
            workflow_task_finish_event_id=task_done,
            request_id=str(uuid4()),
        )
    )

    async def lists_the_old_run() -> bool:
        query = f"WorkflowId = '{handle.id}' AND ExecutionStatus = 'Terminated'"
        return bool([workflow async for workflow in engine.client.list_workflows(query)])

    await eventually(lists_the_old_run)
    assert await Reconciler(engine.client, engine_database).reconcile() == 0
    assert [e["status"] for e in await office.executions()] == ["waiting"]

    await handle.terminate()

    async def is_reconciled() -> bool:
        await Reconciler(engine.client, engine_database).reconcile()
        return [e["status"] for e in await office.executions()] == ["cancelled"]

    # Two ended runs of one workflow are listed now; the newer one counts.
    await eventually(is_reconciled)


@pytest.mark.parametrize("workflow_id", ["by-hand", "automation/by-hand"])
async def test_a_workflow_started_by_hand_is_nobodys_execution(
    workflow_id: str, office: Office, engine: Engine, engine_database: Database
) -> None:
    """It once stopped every worker, again and again, for a day."""
    handle = await engine.client.start_workflow(
        AutomationWorkflow.run,
        AutomationRun(execution_id=uuid4(), organization_id=office.organization_id),
        id=f"{workflow_id}-{uuid4()}",
        task_queue=queues.AUTOMATIONS,
        search_attributes=TypedSearchAttributes(
            [SearchAttributePair(temporal.ORGANIZATION, str(office.organization_id))]
        ),
    )
    with pytest.raises(WorkflowFailureError):
        await handle.result()

    async def is_listed() -> bool:
        query = f"WorkflowId = '{handle.id}' AND ExecutionStatus = 'Failed'"
        return bool([workflow async for workflow in engine.client.list_workflows(query)])

    await eventually(is_listed)
    assert await Reconciler(engine.client, engine_database).reconcile() == 0
