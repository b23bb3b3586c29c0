"""What a run does while a step of it may not act: it waits, looks, and tries again in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow

from fixlify.domain.durations import format_duration
from fixlify.domain.runs import ActionReceipt, AutomationRun, PlannedStep, SendReceipt, StepStatus
from workflows.run import Run, at, is_ahead

# A held message asks again by itself, in case the signal that should wake it was never sent:
# often at first, then rarely, so that the history of a week stays small.
HELD_CHECK = timedelta(minutes=15)
HELD_OFTEN_FOR = timedelta(hours=6)
HELD_CHECK_LATER = timedelta(hours=1)
# Nobody wants last week's reminder.
HELD_LIMIT = timedelta(days=7)

Receipt = TypeVar("Receipt", SendReceipt, ActionReceipt)


class HoldingRun(Run):
    """A run whose steps may be held: by hours, a cap, a stop, a pause."""

    def __init__(self, run: AutomationRun) -> None:
        super().__init__(run)
        # By step: why it is held.
        self._held: dict[str, str] = {}
        self._telling = asyncio.Lock()

    async def _unless_held(
        self,
        step: PlannedStep,
        attempt: Callable[[], Awaitable[Receipt]],
        give_up: Callable[[str, StepStatus], Awaitable[Receipt]],
    ) -> Receipt:
        """Try until the step is not held; every attempt looks at the truth again."""
        self._under_way += 1
        try:
            receipt = await self._try_on(step, attempt, give_up)
        finally:
            self._under_way -= 1
        self._held.pop(step.id, None)
        return receipt

    async def _try_on(
        self,
        step: PlannedStep,
        attempt: Callable[[], Awaitable[Receipt]],
        give_up: Callable[[str, StepStatus], Awaitable[Receipt]],
    ) -> Receipt:
        while True:
            # A release that comes during the attempt must not be slept through.
            nudges, releases = self._memory.nudges, self._memory.releases
            receipt = await attempt()
            self._end(receipt.ending)
            if receipt.status.value != StepStatus.HELD.value:
                return receipt
            since = self._memory.held_since.setdefault(step.id, workflow.now())
            if workflow.now() - since >= HELD_LIMIT:
                limit = f"held for {format_duration(HELD_LIMIT)}: {receipt.reason}"
                return await give_up(limit, StepStatus.CANCELLED)
            await self._show_held(step, receipt.reason or "it may not act now")
            late = await self._await_permission(step, receipt.until, (nudges, releases))
            if late is not None or self._is_over:
                over = late or (self._ending.reason if self._ending else "")
                return await give_up(over, StepStatus.SKIPPED)

    async def _await_permission(
        self, step: PlannedStep, until: datetime | None, known: tuple[int, int]
    ) -> str | None:
        """Wait until a held step may be tried again; return why it has become too late.

        Args:
            step: What is held.
            until: When to try again; None where only somebody's word ends it.
            known: The nudges and the releases that the attempt knew of.
        """
        nudges, releases = known
        held_for = workflow.now() - self._memory.held_since[step.id]
        check = HELD_CHECK if held_for < HELD_OFTEN_FOR else HELD_CHECK_LATER
        try_at = until or workflow.now() + check
        is_early = False
        while True:
            awaited = None if is_early else releases
            # Only while all of them rest can the run go on in a new history.
            self._under_way -= 1
            try:
                told = await self._rest(try_at, nudges, f"{step.id}: held, look again", awaited)
            finally:
                self._under_way += 1
            nudges = self._memory.nudges
            released = self._memory.releases > releases
            if not self._is_over and (self._anchor is not None or (told and not released)):
                view = await self._look(self._anchor or step)
                if view.ending is not None:
                    return None
                if self._anchor is not None and self._has_moved(self._anchor, view):
                    # The visit was moved while its reminder was held.
                    if view.late is not None:
                        return view.late
                    self._hang_on(self._anchor, view)
                was_early, is_early = is_early, is_ahead(view)
                if was_early and not is_early:
                    return None
                if view.until is not None and is_early:
                    # Nobody's word makes it come before its moment; until then nothing holds it.
                    try_at = view.until
                    self._memory.held_since[step.id] = view.until
                    await self._show_held(step, f"held until {at(try_at)}: the moment was moved")
                    continue
            if released or self._is_over or workflow.now() >= try_at:
                return None

    async def _show_held(self, step: PlannedStep, reason: str) -> None:
        if self._held.get(step.id) == reason:
            return
        self._held[step.id] = reason
        # One after another: of two records at once the older could be the last to be written.
        async with self._telling:
            # Unless it was released before its turn came.
            if held := "; ".join(f"{each}: {_held(why)}" for each, why in self._held.items()):
                await self._record_waiting(held)
        self._show(f"Held: {reason}")


def _held(reason: str) -> str:
    return reason if reason.startswith("held") else f"held, {reason}"
