"""An execution never stays open after its workflow."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client, WorkflowFailureError

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.storage.database import Database
from starter.reconcile import Reconciler
from tests.engine import Engine, eventually, running_engine
from tests.office import Office

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
