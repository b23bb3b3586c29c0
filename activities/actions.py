"""What steps do to the business's own records: update one, enter a task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.failures import usable_data
from activities.versions import PinnedVersions
from fixlify.domain.errors import RenderError
from fixlify.domain.facts import Facts, Subject
from fixlify.domain.ids import new_id
from fixlify.domain.runs import ActionReceipt, StepKind, StepRequest, StepStatus
from fixlify.domain.steps import CreateTask, Step, UpdateRecord
from fixlify.domain.steps.records import changed_tags, record_problems
from fixlify.rendering import render_task
from fixlify.storage.actions import (
    Deed,
    NewTask,
    check_constraints,
    enter_task,
    find_receipt,
    read_record,
    refusal,
    settle_action,
    take_action,
    write_record,
)
from fixlify.storage.chains import carry_chain
from fixlify.storage.database import Database
from fixlify.storage.facts import load_facts, load_trigger_data
from fixlify.storage.owners import find_owner
from fixlify.storage.permission import may_act

_Act = Callable[[AsyncConnection, StepRequest, Any, Facts], Awaitable[Deed]]


class ActionActivities:
    """Writes records; lives as long as the worker."""

    def __init__(self, database: Database, versions: PinnedVersions) -> None:
        self._database = database
        self._versions = versions

    @activity.defn(name="update_record")
    async def update_record(self, request: StepRequest) -> ActionReceipt:
        """Write fields of the record the run is about, or of one it belongs to.

        A second call returns what the first recorded and writes nothing.
        """
        return await self._once(request, StepKind.UPDATE, _update)

    @activity.defn(name="create_task")
    async def create_task(self, request: StepRequest) -> ActionReceipt:
        """Enter a task about the client and the job of the run.

        A second call returns what the first recorded and enters nothing.
        """
        return await self._once(request, StepKind.TASK, _enter)

    async def _once(self, request: StepRequest, kind: StepKind, act: _Act) -> ActionReceipt:
        """Do it and write its account in one transaction, unless that was done before."""
        async with usable_data(), self._database.transaction() as connection:
            # Asked before everything else: what was done stays done, whatever is true by now.
            if (done := await find_receipt(connection, request)) is not None:
                return done
            if (forbidden := await may_act(connection, request)) is not None:
                return forbidden
            await carry_chain(connection, request.execution_id)
            if not await take_action(connection, request, kind):
                done = await find_receipt(connection, request)
                assert done is not None, "whoever took it settled it"  # noqa: S101
                return done
            step = await self._step(connection, request)
            return await settle_action(
                connection, request, await _deed(connection, request, step, act)
            )

    async def _step(self, connection: AsyncConnection, request: StepRequest) -> Step:
        pinned = await self._versions.get(connection, request.automation_id, request.version)
        return pinned.definition.step(request.step_id)


async def _deed(connection: AsyncConnection, request: StepRequest, step: Step, act: _Act) -> Deed:
    subject = Subject(request.organization_id, request.subject_type, request.subject_id)
    facts = (await load_facts(connection, [subject], request.now)).get(subject)
    if facts is None:
        return Deed(StepStatus.SKIPPED, f"the {request.subject_type} no longer exists")
    try:
        # What is refused is undone to here; the account of it is not.
        async with connection.begin_nested():
            deed = await act(connection, request, step, facts)
            await check_constraints(connection)
            return deed
    except DBAPIError as error:
        if (refused := refusal(error)) is None:
            raise
        return refused


async def _update(
    connection: AsyncConnection, request: StepRequest, step: UpdateRecord, facts: Facts
) -> Deed:
    for _, problem in record_problems(step.record, request.subject_type, step.fields):
        # An event of a custom trigger may be about anything.
        return Deed(StepStatus.FAILED, problem)
    record = step.record or request.subject_type
    whose = getattr(facts, record.value)
    if whose is None:
        return Deed(StepStatus.SKIPPED, f"the {request.subject_type} belongs to no {record}")
    key = (request.organization_id, record, str(whose.id))
    stored = await read_record(connection, *key, step.fields)
    if stored is None:
        return Deed(StepStatus.SKIPPED, f"the {record} no longer exists")
    wanted: dict[str, Any] = dict(step.set)
    if step.add_tags or step.remove_tags:
        wanted["tags"] = changed_tags(stored["tags"] or [], step.add_tags, step.remove_tags)
    changed = {name: value for name, value in wanted.items() if value != stored[name]}
    if changed:
        await write_record(connection, *key, changed)
    return Deed(
        StepStatus.COMPLETED,
        detail={"record": record.value, "id": str(whose.id), "changed": sorted(changed)},
    )


async def _enter(
    connection: AsyncConnection, request: StepRequest, step: CreateTask, facts: Facts
) -> Deed:
    data = await load_trigger_data(connection, request.execution_id, request.organization_id)
    try:
        text = render_task(step.title, step.description, facts.with_event(data))
    except RenderError as error:
        return Deed(StepStatus.FAILED, str(error))
    assignee: Any = None
    if step.assign_to == "technician":
        assignee = facts.technician
    elif step.assign_to == "owner":
        assignee = await find_owner(connection, request.organization_id)
    task = NewTask(
        id=new_id(),
        organization_id=request.organization_id,
        title=text.title,
        description=text.description,
        client_id=facts.client.id if facts.client else None,
        job_id=facts.job.id if facts.job else None,
        assignee_id=assignee.id if assignee else None,
        due_at=request.now + step.due_in if step.due_in else None,
    )
    await enter_task(connection, task)
    unassigned = None
    if step.assign_to is not None and assignee is None:
        nobody = _NOBODY[step.assign_to].format(subject=request.subject_type)
        unassigned = f"{nobody}; the task is assigned to nobody"
    return Deed(StepStatus.COMPLETED, unassigned, {"record": "task", "id": str(task.id)})


_NOBODY: Final = {
    "technician": "the {subject} has no technician",
    "owner": "no profile has the role 'owner'",
}
