"""What steps do to the business's records, and the account of it: once per step."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, cast, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from fixlify.domain.events import SubjectType
from fixlify.domain.runs import ActionReceipt, StepKind, StepRequest, StepStatus
from fixlify.storage.tables import ClientRow, EstimateRow, InvoiceRow, JobRow, Table, TaskRow

# A company's own constraints, types, views and triggers: what they refuse now, they refuse again.
# 42804 and 55000 are a column of another type and a view nobody can write; P0 is what a function
# raises. https://www.postgresql.org/docs/current/errcodes-appendix.html
_REFUSALS: Final = ("0A", "21", "22", "23", "27", "42804", "44", "54", "55000", "P0")
_RAISED: Final = "P0"


@dataclass(frozen=True, slots=True)
class Deed:
    """What a step did, or why it did nothing; ``detail`` names records and fields, no values."""

    status: StepStatus
    reason: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to enter."""

    id: UUID
    organization_id: UUID
    title: str
    description: str | None
    client_id: UUID | None
    job_id: str | None
    assignee_id: UUID | None
    due_at: datetime | None


_TABLES: Final[Mapping[SubjectType, type[Table]]] = MappingProxyType(
    {
        SubjectType.JOB: JobRow,
        SubjectType.CLIENT: ClientRow,
        SubjectType.ESTIMATE: EstimateRow,
        SubjectType.INVOICE: InvoiceRow,
        SubjectType.TASK: TaskRow,
    }
)

_FIND: Final = text("""
    SELECT status, reason FROM automation_actions
    WHERE execution_id = :execution_id AND step_id = :step_id
""")

# Of two attempts at one step the second waits here for the first's commit, and then finds it
# done. A run that was waiting is running again from here on.
_TAKE: Final = text("""
    WITH resumed AS (
        UPDATE automation_execution_logs SET status = 'running', waiting_for = NULL
        WHERE id = :execution_id AND status = 'waiting'
    )
    INSERT INTO automation_actions (execution_id, step_id, organization_id, kind, status, attempts)
    VALUES (:execution_id, :step_id, :organization_id, :kind, 'running', 1)
    ON CONFLICT (execution_id, step_id) DO NOTHING
    RETURNING step_id
""")

_SETTLE: Final = text("""
    UPDATE automation_actions
    SET status = :status, reason = :reason, detail = CAST(:detail AS jsonb),
        finished_at = clock_timestamp()
    WHERE execution_id = :execution_id AND step_id = :step_id
""")

_ENTER_TASK: Final = text("""
    INSERT INTO tasks (id, organization_id, client_id, job_id, assignee_id, title, description,
                       status, due_at)
    VALUES (:id, :organization_id, :client_id, :job_id, :assignee_id, :title, :description,
            'open', :due_at)
""")

_CHECK_NOW: Final = text("SET CONSTRAINTS ALL IMMEDIATE")


async def find_receipt(connection: AsyncConnection, request: StepRequest) -> ActionReceipt | None:
    """Return what an earlier attempt at this step recorded, or None where there was none."""
    result = await connection.execute(
        _FIND, {"execution_id": request.execution_id, "step_id": request.step_id}
    )
    row = result.one_or_none()
    if row is None:
        return None
    return ActionReceipt(status=StepStatus(row.status), reason=row.reason)


async def take_action(connection: AsyncConnection, request: StepRequest, kind: StepKind) -> bool:
    """Take the step for this transaction; False where another attempt was first.

    Its account must be settled in the same transaction.
    """
    result = await connection.execute(
        _TAKE,
        {
            "execution_id": request.execution_id,
            "organization_id": request.organization_id,
            "step_id": request.step_id,
            "kind": kind.value,
        },
    )
    return result.one_or_none() is not None


async def settle_action(
    connection: AsyncConnection, request: StepRequest, deed: Deed
) -> ActionReceipt:
    """Write the account of a step that was taken, and return its receipt."""
    await connection.execute(
        _SETTLE,
        {
            "execution_id": request.execution_id,
            "step_id": request.step_id,
            "status": deed.status.value,
            "reason": deed.reason,
            "detail": json.dumps(deed.detail),
        },
    )
    return ActionReceipt(status=deed.status, reason=deed.reason)


async def read_record(
    connection: AsyncConnection,
    organization_id: UUID,
    record: SubjectType,
    record_id: str,
    fields: Sequence[str],
) -> Mapping[str, Any] | None:
    """Return *fields* of a record, locked until the transaction ends; None where it is gone."""
    columns = _TABLES[record].__table__.columns
    result = await connection.execute(
        select(*(columns[name] for name in fields))
        .where(_is(record, organization_id, record_id))
        .with_for_update()
    )
    row = result.mappings().one_or_none()
    return None if row is None else dict(row)


async def write_record(
    connection: AsyncConnection,
    organization_id: UUID,
    record: SubjectType,
    record_id: str,
    values: Mapping[str, Any],
) -> None:
    """Write these columns of a record and no others, so that no trigger on another fires."""
    written = {
        name: cast(value, ARRAY(Text)) if name == "tags" else value
        for name, value in values.items()
    }
    await connection.execute(
        update(_TABLES[record]).where(_is(record, organization_id, record_id)).values(written)
    )


async def check_constraints(connection: AsyncConnection) -> None:
    """Let constraints and triggers that wait for the commit refuse the writes now, if at all."""
    await connection.execute(_CHECK_NOW)


async def enter_task(connection: AsyncConnection, task: NewTask) -> None:
    """Insert *task*, open."""
    await connection.execute(_ENTER_TASK, {name: getattr(task, name) for name in NewTask.__slots__})


def refusal(error: DBAPIError) -> Deed | None:
    """Return what it means that the company's own database refused a write.

    None for everything else: a connection, a time-out, missing rights. What a trigger says may
    quote the row, so the receipt only names the function; the account has its words.
    """
    state = getattr(error.orig, "sqlstate", None) or ""
    said = getattr(error.orig, "diag", None)
    if not state.startswith(_REFUSALS) or said is None:
        return None
    words = said.message_primary or type(error.orig).__name__
    raised = state.startswith(_RAISED)
    where = (said.context or "one of its functions").partition("\n")[0] if raised else words
    return Deed(
        StepStatus.FAILED,
        f"the database refused it: {where}",
        {"refused": words, "code": state},
    )


def _is(record: SubjectType, organization_id: UUID, record_id: str) -> Any:
    columns = _TABLES[record].__table__.columns
    return and_(
        columns["organization_id"] == organization_id,
        columns["id"] == (record_id if record is SubjectType.JOB else UUID(record_id)),
    )
