"""A step that acts asks first whether it still may."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from fixlify.domain.events import SubjectType
from fixlify.domain.runs import (
    ActionReceipt,
    Ending,
    ExecutionStatus,
    StepRequest,
    StepStatus,
)
from fixlify.storage.database import Database
from fixlify.storage.permission import may_act
from tests.office import Office
from tests.runs import add_execution

LEAVES = """
    name: Leaves
    trigger: {type: job_completed}
    exit_when:
      any:
        - {field: job.status, operator: equals, value: cancelled}
        - {field: event.reason, operator: equals, value: sold}
    steps:
      - {id: text, type: send_sms, text: Thank you.}
      - {id: mail, type: send_email, subject: Thanks, text: Thank you.}
"""


async def _asked(office: Office, database: Database, **columns: Any) -> ActionReceipt | None:
    """Ask for a step of a run whose execution has these *columns*."""
    return await _ask(office, database, await _begun(office, **columns))


async def _begun(office: Office, **columns: Any) -> UUID:
    automation = (await office.apply(LEAVES)).automation
    return await add_execution(
        office, automation_id=automation.id, automation_version=automation.version, **columns
    )


async def _ask(office: Office, database: Database, execution: UUID) -> ActionReceipt | None:
    request = StepRequest(
        execution_id=execution,
        organization_id=office.organization_id,
        automation_id=uuid4(),
        version=1,
        subject_type=SubjectType.JOB,
        subject_id="J-2019",
        step_id="text",
        now=datetime.now(UTC),
    )
    async with database.transaction() as connection:
        return await may_act(connection, request)


async def test_nothing_forbids_it(office: Office, engine_database: Database) -> None:
    assert await _asked(office, engine_database) is None


@pytest.mark.parametrize(
    ("change", "receipt"),
    [
        (
            "UPDATE automation_workflows SET status = 'paused'",
            ActionReceipt(status=StepStatus.HELD, reason="the automation is paused"),
        ),
        ("UPDATE automation_workflows SET status = 'paused', paused_runs = 'finish'", None),
        (
            "INSERT INTO automation_stops (reason) VALUES ('prices are wrong')",
            ActionReceipt(
                status=StepStatus.HELD, reason="automations are stopped: prices are wrong"
            ),
        ),
        (
            "UPDATE automation_execution_logs SET status = 'cancelled'",
            ActionReceipt(status=StepStatus.CANCELLED, reason="the execution is cancelled"),
        ),
        (
            "DELETE FROM jobs",
            ActionReceipt(status=StepStatus.SKIPPED, reason="the job no longer exists"),
        ),
    ],
)
async def test_what_forbids_it(
    office: Office, engine_database: Database, change: str, receipt: ActionReceipt | None
) -> None:
    execution = await _begun(office)
    await office.query(change)
    assert await _ask(office, engine_database, execution) == receipt
    held = await office.query("SELECT kind, detail FROM automation_decisions")
    if receipt is not None and receipt.status is StepStatus.HELD:
        assert held == [{"kind": "held", "detail": receipt.reason}]
    else:
        assert held == []


@pytest.mark.parametrize(
    ("columns", "state"),
    [("status = 'archived'", "archived"), ("status = 'paused', paused_runs = 'cancel'", "paused")],
)
async def test_an_automation_that_goes_no_further_ends_the_run(
    office: Office, engine_database: Database, columns: str, state: str
) -> None:
    execution = await _begun(office)
    await office.query(f"UPDATE automation_workflows SET {columns}")
    receipt = await _ask(office, engine_database, execution)
    assert receipt is not None
    assert receipt.ending == Ending(
        status=ExecutionStatus.CANCELLED, reason=f"the automation is {state}"
    )


async def test_the_exit_condition_ends_the_run(office: Office, engine_database: Database) -> None:
    await office.add_job(status="Cancelled")
    receipt = await _asked(office, engine_database)
    reason = "exit_when: job.status equals 'cancelled' (it is 'Cancelled')"
    assert receipt == ActionReceipt(
        status=StepStatus.SKIPPED,
        reason=reason,
        ending=Ending(status=ExecutionStatus.COMPLETED, reason=reason),
    )
    journal = await office.query("SELECT step_id, kind, detail FROM automation_decisions")
    assert journal == [{"step_id": "text", "kind": "exited", "detail": reason}]


async def test_the_exit_condition_knows_what_set_it_off(
    office: Office, engine_database: Database
) -> None:
    """What an event brought may be a person's, and is not repeated in a history."""
    receipt = await _asked(office, engine_database, trigger_data='{"reason": "sold"}')
    assert receipt is not None
    assert receipt.reason == "exit_when: event.reason equals 'sold'"
