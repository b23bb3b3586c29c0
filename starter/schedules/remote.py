"""Our schedules in Temporal: brought to what they should be one by one, and told from others'."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from temporalio.client import (
    Client,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleState,
    ScheduleUpdate,
)
from temporalio.service import RPCError, RPCStatusCode

from fixlify.domain.sweeps import SweepKind
from starter.schedules.actions import DIGEST, MARK, search_attributes, temporal_schedule
from starter.schedules.desired import DesiredSchedule

RPC_TIMEOUT: Final = timedelta(seconds=10)
PAUSED_WITH_AUTOMATION: Final = "Paused by Fixlify: the automation is paused."
"""The note of our own pauses; a pause with any other note is an operator's and stays."""

# The server's verdict on one schedule. Everything else is about the server, and passes.
_REFUSALS: Final = frozenset(
    {
        RPCStatusCode.INVALID_ARGUMENT,
        RPCStatusCode.FAILED_PRECONDITION,
        RPCStatusCode.OUT_OF_RANGE,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.UNIMPLEMENTED,
    }
)


class Change(StrEnum):
    """What became of one schedule; a change of more than the pause is an update."""

    CREATED = "created"
    UPDATED = "updated"
    PAUSED = "paused"
    UNPAUSED = "unpaused"
    UNCHANGED = "unchanged"


class RefusedError(Exception):
    """Temporal does not take this schedule, however often it is asked; the others it may."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of one schedule, and the state it is in."""

    change: Change
    state: ScheduleState


class RemoteSchedules:
    """The schedules of one namespace; lives as long as one sync."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def candidates(self) -> AsyncIterator[str]:
        """Yield the ids that may be ours by their names; the list may lag a moment behind."""
        async for listed in await self._client.list_schedules(rpc_timeout=RPC_TIMEOUT):
            if listed.id.partition("/")[0] in set(SweepKind):
                yield listed.id

    async def bring(self, desired: DesiredSchedule, was: ScheduleState) -> Brought:
        """Create or update one schedule, or find it as it should be.

        Args:
            desired: What it should be.
            was: The state it was known in last, for when Temporal has lost it.

        Raises:
            RefusedError: Temporal does not take it; the message says why.
            RPCError: Temporal is away.
        """
        try:
            if (description := await self._describe(desired.id)) is not None:
                return await self._update(desired, description)
            return await self._create(desired, was)
        except RPCError as error:
            if error.status not in _REFUSALS:
                raise
            raise RefusedError(str(error).partition("\n")[0]) from error

    async def delete(self, schedule_id: str) -> bool:
        """Delete one of ours; False when it was gone before, or was never ours."""
        description = await self._describe(schedule_id)
        if description is None or not await is_ours(description):
            return False
        await self._handle(schedule_id).delete(rpc_timeout=RPC_TIMEOUT)
        return True

    async def _describe(self, schedule_id: str) -> ScheduleDescription | None:
        try:
            return await self._handle(schedule_id).describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def _create(self, desired: DesiredSchedule, was: ScheduleState) -> Brought:
        # Temporal lost it, or was set up anew: what an operator decided still holds.
        state = _state(desired, was)
        try:
            await self._client.create_schedule(
                desired.id,
                temporal_schedule(desired, state),
                memo={MARK: True},
                search_attributes=search_attributes(desired),
                rpc_timeout=RPC_TIMEOUT,
            )
        except ScheduleAlreadyRunningError:
            # Made since we looked, by somebody without our lock.
            description = await self._handle(desired.id).describe(rpc_timeout=RPC_TIMEOUT)
            return await self._update(desired, description)
        return Brought(Change.CREATED, state)

    async def _update(self, desired: DesiredSchedule, description: ScheduleDescription) -> Brought:
        if not await is_ours(description):
            raise RefusedError(
                "a schedule of this name that is not ours is in the way; rename or delete it"
            )
        now = description.schedule
        state = _state(desired, now.state)
        wanted = temporal_schedule(desired, state)
        same = (
            await self._digest(now.action) == desired.digest
            # What was edited in the Web UI keeps its digest, but not its content.
            and now.spec == wanted.spec
            and now.policy == wanted.policy
        )
        if same and state == now.state:
            return Brought(Change.UNCHANGED, state)
        await self._handle(desired.id).update(
            # The SDK describes it once more: an operator may have paused it meanwhile.
            lambda latest: ScheduleUpdate(
                replace(wanted, state=_state(desired, latest.description.schedule.state)),
                search_attributes(desired),
            ),
            rpc_timeout=RPC_TIMEOUT,
        )
        if not same:
            return Brought(Change.UPDATED, state)
        return Brought(Change.PAUSED if state.paused else Change.UNPAUSED, state)

    async def _digest(self, action: object) -> str | None:
        memo = action.memo if isinstance(action, ScheduleActionStartWorkflow) else None
        if not memo or DIGEST not in memo:
            return None
        (digest,) = await self._client.data_converter.decode([memo[DIGEST]])
        return str(digest)

    def _handle(self, schedule_id: str) -> ScheduleHandle:
        return self._client.get_schedule_handle(schedule_id)


async def is_ours(schedule: ScheduleDescription) -> bool:
    """Whether we made it; a name alone proves nothing."""
    return bool(await schedule.memo_value(MARK, False))


def _state(desired: DesiredSchedule, was: ScheduleState) -> ScheduleState:
    """Return the state that *desired* asks for; an operator's pause outlives everything."""
    if desired.paused and not was.paused:
        return replace(was, paused=True, note=PAUSED_WITH_AUTOMATION)
    if not desired.paused and was.paused and was.note == PAUSED_WITH_AUTOMATION:
        return replace(was, paused=False, note=None)
    return was
