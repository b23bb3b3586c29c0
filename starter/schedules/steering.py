"""What an operator does with one schedule: look, pause, resume, run it now, run it for the past."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleBackfill,
    ScheduleDescription,
    ScheduleOverlapPolicy,
    WorkflowHandle,
)
from temporalio.service import RPCError, RPCStatusCode

from fixlify.domain import queues
from fixlify.domain.errors import NotFoundError
from fixlify.domain.sweeps import SweepFindings
from fixlify.domain.timetable import Timetable, occurrences
from fixlify.storage.database import Database
from fixlify.storage.schedule_runs import set_next_run
from fixlify.storage.schedules import StoredSchedule, database_now, store_pause
from starter.schedules.lock import schedules_lock
from starter.schedules.remote import RPC_TIMEOUT
from workflows.sweep import SweepWorkflow

MOST_BACKFILLED: Final = 500
"""How many runs one backfill may ask for; the server keeps a thousand waiting, and drops more."""

# A worker that lives asks at least once a minute; the server remembers those that died longer.
_RECENT: Final = timedelta(minutes=2)
_LOOK_AGAIN: Final = timedelta(milliseconds=100)
_CONCURRENT_LOOKS: Final = 8


@dataclass(frozen=True, slots=True)
class LiveSchedule:
    """How a schedule is in Temporal now; ``next_runs`` is empty while it is paused.

    ``too_late`` and ``overlapping`` count the times it was due since it was made and did not
    run: later than its catch-up, or while another of its runs was under way.
    """

    next_runs: tuple[datetime, ...]
    paused: bool
    note: str | None
    too_late: int = 0
    overlapping: int = 0


async def look_at(client: Client, ids: Iterable[str]) -> dict[str, LiveSchedule]:
    """Return how these schedules are in Temporal now; those it does not have are missing."""
    slots = asyncio.Semaphore(_CONCURRENT_LOOKS)

    async def look(schedule_id: str) -> tuple[str, LiveSchedule] | None:
        async with slots:
            try:
                description = await _describe(client, schedule_id)
            except NotFoundError:
                return None
        state, info = description.schedule.state, description.info
        upcoming = () if state.paused else tuple(info.next_action_times)
        return schedule_id, LiveSchedule(
            upcoming,
            state.paused,
            state.note,
            too_late=info.num_actions_missed_catchup_window,
            overlapping=info.num_actions_skipped_overlap,
        )

    return dict(filter(None, await asyncio.gather(*map(look, ids))))


async def pause(client: Client, database: Database, schedule_id: str, reason: str) -> None:
    """Pause a schedule until somebody resumes it; no sync lifts it.

    Raises:
        NotFoundError: Temporal does not have it.
    """
    # Not while a sync is about to write the state that it read before.
    async with schedules_lock(database):
        await _describe(client, schedule_id)
        handle = client.get_schedule_handle(schedule_id)
        await handle.pause(note=reason, rpc_timeout=RPC_TIMEOUT)
        async with database.transaction() as connection:
            await store_pause(connection, schedule_id, active=False, reason=reason)


async def resume(client: Client, database: Database, schedule_id: str) -> None:
    """Let a schedule run again, whoever paused it.

    Raises:
        NotFoundError: Temporal does not have it.
    """
    async with schedules_lock(database):
        await _describe(client, schedule_id)
        handle = client.get_schedule_handle(schedule_id)
        await handle.unpause(note="Resumed by an operator.", rpc_timeout=RPC_TIMEOUT)
        async with database.transaction() as connection:
            await store_pause(connection, schedule_id, active=True, reason=None)
            await set_next_run(connection, schedule_id, await database_now(connection))


async def trigger(client: Client, schedule_id: str) -> WorkflowHandle[SweepWorkflow, SweepFindings]:
    """Run a schedule now, behind the run under way if there is one; return the run it began.

    It does what is due by now. What an earlier run did already is not done again.

    Raises:
        NotFoundError: Temporal does not have it.
    """
    before = set(_runs(await _describe(client, schedule_id)))
    handle = client.get_schedule_handle(schedule_id)
    await handle.trigger(overlap=ScheduleOverlapPolicy.BUFFER_ALL, rpc_timeout=RPC_TIMEOUT)
    while True:
        # The newest: should the clock have struck meanwhile, that run was begun before ours.
        new = [run for run in _runs(await _describe(client, schedule_id)) if run not in before]
        if new:
            workflow_id, run_id = new[-1]
            return client.get_workflow_handle_for(SweepWorkflow.run, workflow_id, run_id=run_id)
        await asyncio.sleep(_LOOK_AGAIN.total_seconds())


def due_between(schedule: StoredSchedule, since: datetime, until: datetime) -> list[datetime]:
    """Return when a schedule was due, both ends included; ``MOST_BACKFILLED + 1`` at most."""
    timetable = Timetable.model_validate(schedule.specification["timetable"])
    after = since - timedelta(microseconds=1)
    following = (each.at for each in occurrences(timetable, schedule.time_zone, after))
    return list(islice(takewhile(lambda at: at <= until, following), MOST_BACKFILLED + 1))


async def backfill(client: Client, schedule_id: str, since: datetime, until: datetime) -> None:
    """Run a schedule once for each time it was due, both ends included, one after the other.

    Raises:
        NotFoundError: Temporal does not have it.
    """
    await _describe(client, schedule_id)
    await client.get_schedule_handle(schedule_id).backfill(
        ScheduleBackfill(
            # Documented as left out, which not every server does; nothing is due in between.
            start_at=since - timedelta(seconds=1),
            end_at=until,
            overlap=ScheduleOverlapPolicy.BUFFER_ALL,
        ),
        rpc_timeout=RPC_TIMEOUT,
    )


async def is_worked_on(client: Client) -> bool:
    """Whether workers ask for sweeps, and lately did."""
    since = datetime.now(UTC) - _RECENT
    for queue, kind in (
        (queues.AUTOMATIONS, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW),
        (queues.SWEEPS, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
    ):
        description = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
            ),
            timeout=RPC_TIMEOUT,
        )
        polled = [each.last_access_time.ToDatetime(UTC) for each in description.pollers]
        if not any(at >= since for at in polled):
            return False
    return True


async def _describe(client: Client, schedule_id: str) -> ScheduleDescription:
    try:
        return await client.get_schedule_handle(schedule_id).describe(rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise NotFoundError(
            f"Temporal has no schedule '{schedule_id}'; `fixlify schedules sync` makes it"
        ) from error


def _runs(description: ScheduleDescription) -> list[tuple[str, str]]:
    """Return workflow and run ids of the newest runs, oldest first."""
    return [
        (result.action.workflow_id, result.action.first_execution_run_id)
        for result in description.info.recent_actions
        if isinstance(result.action, ScheduleActionExecutionStartWorkflow)
    ]
