"""An automation listens from the moment it becomes active, however that is done."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import psycopg
import pytest

from tests.office import Office

SILENT = (
    "name: Quiet\nstatus: draft\ntrigger: {type: job_created}\nsteps: [{type: send_sms, text: x}]"
)


async def activated(office: Office, automation: UUID) -> datetime | None:
    (row,) = await office.query(
        "SELECT activated_at FROM automation_workflows WHERE id = %s", automation
    )
    moment: datetime | None = row["activated_at"]
    return moment


async def write_status(office: Office, automation: UUID, status: str) -> None:
    await office.query(
        "UPDATE automation_workflows SET status = %s WHERE id = %s", status, automation
    )


async def test_an_automation_that_is_activated_by_hand(office: Office) -> None:
    automation = (await office.apply(SILENT)).automation.id
    assert await activated(office, automation) is None
    (before,) = await office.query("SELECT clock_timestamp() AS now")
    await write_status(office, automation, "active")
    first = await activated(office, automation)
    assert first is not None
    assert first >= before["now"]


async def test_an_automation_that_stays_active_keeps_its_moment(office: Office) -> None:
    automation = (await office.apply(SILENT.replace("draft", "active"))).automation.id
    first = await activated(office, automation)
    assert first is not None
    await write_status(office, automation, "active")
    await office.query("UPDATE automation_workflows SET description = 'x', version = 2")
    assert await activated(office, automation) == first


async def test_an_automation_that_was_paused_listens_anew(office: Office) -> None:
    automation = (await office.apply(SILENT.replace("draft", "active"))).automation.id
    first = await activated(office, automation)
    await write_status(office, automation, "paused")
    assert await activated(office, automation) == first
    await write_status(office, automation, "active")
    again = await activated(office, automation)
    assert first is not None
    assert again is not None
    assert again > first


async def test_an_automation_that_is_entered_as_active(office: Office) -> None:
    row = await office.insert(
        "automation_workflows",
        id=UUID(int=7),
        organization_id=office.organization_id,
        name="By hand",
        status="active",
        trigger_type="job_created",
        trigger_config="{}",
        steps="[{}]",
        version=1,
    )
    assert row["activated_at"] is not None


async def test_an_automation_cannot_be_made_active_without_steps(office: Office) -> None:
    """Not by plain SQL either: a run with nothing to do would call itself completed."""
    applied = await office.apply("name: Empty\ntrigger: {type: job_created}")
    with pytest.raises(psycopg.errors.CheckViolation):
        await write_status(office, applied.automation.id, "active")
