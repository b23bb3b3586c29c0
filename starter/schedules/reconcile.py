"""Bring Temporal's schedules to what there should be; a second time changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeVar

from temporalio.client import Client, ScheduleState

from fixlify.domain.durations import format_duration
from fixlify.domain.timetable import cron_line, occurrences
from fixlify.storage.database import Database
from fixlify.storage.schedules import (
    StoredSchedule,
    database_now,
    delete_schedules,
    scheduled_automations,
    store_problems,
    store_schedules,
    stored_schedules,
    used_zones,
)
from starter.schedules.desired import DesiredSchedule, ScheduleProblem, desired_schedules
from starter.schedules.lock import schedules_lock
from starter.schedules.remote import Change, RefusedError, RemoteSchedules

CONCURRENT_CALLS: Final = 8

_T = TypeVar("_T")


@dataclass(slots=True)
class SyncResult:
    """What a sync did, by schedule ids, and what it could not do.

    A schedule that only changed between paused and running is in ``paused`` or ``unpaused``.
    """

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    unpaused: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    problems: list[ScheduleProblem] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything was written to Temporal."""
        return bool(self.created or self.updated or self.paused or self.unpaused or self.deleted)

    def add(self, schedule_id: str, change: Change) -> None:
        """Enter what became of one schedule."""
        by_change = {
            Change.CREATED: self.created,
            Change.UPDATED: self.updated,
            Change.PAUSED: self.paused,
            Change.UNPAUSED: self.unpaused,
            Change.UNCHANGED: self.unchanged,
        }
        by_change[change].append(schedule_id)


async def sync(client: Client, database: Database, *, thorough: bool = True) -> SyncResult:
    """Create, update, pause, lift and delete until Temporal has what there should be.

    Only one process does so at a time; another waits. What Temporal refuses is noted on its row
    and the others go on. An operator's pause stays.

    Args:
        client: Connected to the namespace that is ours.
        database: Acting as the engine role.
        thorough: Look at every schedule in Temporal, and for those nobody wants. Else only at
            those whose content differs from what was told to Temporal last.

    Raises:
        RPCError: Temporal is away; what was done until then is recorded.
    """
    async with schedules_lock(database):
        return await _Sync(RemoteSchedules(client), database).run(thorough=thorough)


class _Sync:
    """One sync; the caller holds the lock."""

    def __init__(self, remote: RemoteSchedules, database: Database) -> None:
        self._remote = remote
        self._database = database
        self._result = SyncResult()
        self._rows: list[StoredSchedule] = []
        self._gone: list[str] = []

    async def run(self, *, thorough: bool) -> SyncResult:
        async with self._database.transaction() as connection:
            now = await database_now(connection)
            zones = await used_zones(connection)
            automations = await scheduled_automations(connection)
            stored = {each.id: each for each in await stored_schedules(connection)}
        # In a thread, because it computes for a while and a relay shares this loop.
        desired = await asyncio.to_thread(desired_schedules, zones, automations, now)
        self._result.problems.extend(desired.problems)
        due = []
        for each in desired.schedules:
            if thorough or _is_news(each, stored):
                due.append(each)
            else:
                self._result.add(each.id, Change.UNCHANGED)
        known = set(stored)
        if thorough:
            known |= {each async for each in self._remote.candidates()}
        obsolete = known - desired.kept - {each.id for each in desired.schedules}
        try:
            await _for_each(due, lambda each: self._bring(each, stored.get(each.id), now))
            await _for_each(obsolete, lambda each: self._delete(each, had_row=each in stored))
        finally:
            async with self._database.transaction() as connection:
                await store_schedules(connection, self._rows)
                await store_problems(
                    connection, {each.schedule_id: each.message for each in desired.problems}
                )
                await delete_schedules(connection, self._gone)
        return self._result

    async def _bring(
        self, desired: DesiredSchedule, row: StoredSchedule | None, now: datetime
    ) -> None:
        was = ScheduleState()
        if row is not None and not row.active:
            was = ScheduleState(paused=True, note=row.paused_reason)
        try:
            brought = await self._remote.bring(desired, was)
        except RefusedError as refusal:
            self._result.problems.append(ScheduleProblem(desired.id, str(refusal)))
            stands = replace(
                _row(desired, was, now),
                synced_hash=row.synced_hash if row else None,
                synced_at=row.synced_at if row else None,
                problem=str(refusal),
            )
            self._rows.append(stands)
            return
        self._result.add(desired.id, brought.change)
        self._rows.append(_row(desired, brought.state, now))

    async def _delete(self, schedule_id: str, *, had_row: bool) -> None:
        deleted = await self._remote.delete(schedule_id)
        self._gone.append(schedule_id)
        # Without a row it is only still listed, or somebody else's.
        if deleted or had_row:
            self._result.deleted.append(schedule_id)


def _is_news(desired: DesiredSchedule, stored: Mapping[str, StoredSchedule]) -> bool:
    row = stored.get(desired.id)
    return row is None or row.synced_hash != desired.content_hash


def _row(desired: DesiredSchedule, state: ScheduleState, now: datetime) -> StoredSchedule:
    """Return the row of a schedule that Temporal has as it should be."""
    upcoming = occurrences(desired.timetable, desired.time_zone, now)
    return StoredSchedule(
        id=desired.id,
        organization_id=desired.organization_id,
        automation_id=desired.sweep.automation_id,
        name=desired.name,
        schedule=cron_line(desired.timetable),
        time_zone=desired.time_zone,
        active=not state.paused,
        paused_reason=state.note if state.paused else None,
        catch_up=format_duration(desired.catch_up),
        specification=desired.specification,
        content_hash=desired.content_hash,
        synced_hash=desired.content_hash,
        synced_at=now,
        problem=None,
        next_run_at=next((each.at for each in upcoming), None),
    )


async def _for_each(items: Iterable[_T], act: Callable[[_T], Awaitable[None]]) -> None:
    """Act on all of *items*, a few at a time; raise the first error after the last act."""
    slots = asyncio.Semaphore(CONCURRENT_CALLS)

    async def one(item: _T) -> None:
        async with slots:
            await act(item)

    outcomes = await asyncio.gather(*map(one, items), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
