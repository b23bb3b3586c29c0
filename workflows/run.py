"""What every step of a run stands on: its memory, its looks, its rests, and its words."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow

from fixlify.domain.runs import (
    AutomationRun,
    Ending,
    ExecutionStatus,
    PlannedStep,
    RunOutcome,
    RunPlan,
    RunProgress,
    StepOutcome,
    StepRequest,
    StepStatus,
    View,
)
from workflows import calls
from workflows.memory import RunMemory

# A timer of nothing would look again and again within one moment.
SHORTEST_REST = timedelta(seconds=1)
# Of events; long before Temporal suggests it, because every worker that takes the run over
# reads them all.
HISTORY_LIMIT = 1_000


class Run:
    """One run of an automation, as far as it is the same for all steps; lives as long as it."""

    def __init__(self, run: AutomationRun) -> None:
        self._run = run
        self._plan: RunPlan
        # Signals may come before `run` does.
        self._memory = RunMemory(run.carried)
        self._ending: Ending | None = None
        # The moment that what is sent now hangs on, and until when it is worth sending.
        self._anchor: PlannedStep | None = None
        # The same, where an earlier run or history waited for it; it may have been moved since.
        self._passed: PlannedStep | None = None
        self._good_until: datetime | None = None
        self._under_way = 0

    async def _look(self, step: PlannedStep, event_ids: tuple[int, ...] = ()) -> View:
        """See what the facts say now; the run may be over by them."""
        view = await calls.look(self._request(step, event_ids))
        self._end(view.ending)
        return view

    def _request(self, step: PlannedStep, event_ids: tuple[int, ...] = ()) -> StepRequest:
        plan = self._plan
        return StepRequest(
            execution_id=self._run.execution_id,
            organization_id=self._run.organization_id,
            automation_id=plan.automation_id,
            version=plan.version,
            subject_type=plan.subject_type,
            subject_id=plan.subject_id,
            step_id=step.id,
            now=workflow.now(),
            event_ids=event_ids,
            deadline=self._memory.deadlines.get(step.id),
        )

    async def _rest(
        self, until: datetime, nudges: int, summary: str, releases: int | None = None
    ) -> bool:
        """Sleep until then, or until the run is told more than the *nudges* it knows of.

        What is held wakes of more than the *releases* it knows of, too. A run that is over, by
        what another of its messages found, sleeps no longer.

        Returns:
            Whether it was told anything.
        """
        if not self._under_way and _history_is_long():
            workflow.continue_as_new(self._run.model_copy(update={"carried": self._memory.carry()}))
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: (
                    self._memory.nudges > nudges
                    or (releases is not None and self._memory.releases > releases)
                    or self._is_over
                ),
                timeout=max(until - workflow.now(), SHORTEST_REST),
                timeout_summary=summary,
            )
        return self._memory.nudges > nudges

    def _hang_on(self, step: PlannedStep | None, view: View | None = None) -> None:
        """Let what is sent from here on hang on the moment of *step*, or on none."""
        self._anchor, self._passed = step, None
        self._good_until = view.good_until if view is not None else None
        if step is not None and view is not None and view.until is not None:
            self._memory.deadlines[step.id] = view.until

    def _has_moved(self, step: PlannedStep, view: View) -> bool:
        """Whether the moment of *step* is another than the one the run came on time for."""
        return view.until != self._memory.deadlines.get(step.id)

    @property
    def _is_over(self) -> bool:
        return self._ending is not None

    def _end(self, ending: Ending | None) -> None:
        """Go no further; the first reason stands."""
        self._ending = self._ending or ending

    def _skip(self, steps: list[PlannedStep], reason: str) -> None:
        for step in steps:
            if self._memory.outcome_of(step) is None:
                self._note(step, StepStatus.SKIPPED, reason)

    def _note(
        self, step: PlannedStep, status: StepStatus, reason: str | None = None, **details: object
    ) -> None:
        self._memory.note(
            StepOutcome.model_validate(
                {
                    "step_id": step.id,
                    "position": step.position,
                    "kind": step.kind,
                    "status": status,
                    "reason": reason,
                    **details,
                }
            )
        )
        self._show("Running")

    async def _show_armed(self, step: PlannedStep, until: datetime) -> None:
        if self._memory.deadlines.get(step.id) != until:
            self._memory.deadlines[step.id] = until
            await self._record_waiting(f"{step.id} until {at(until)}")
        self._show(f"Waiting: `{step.id}`, until {at(until)}")

    async def _record_waiting(self, waiting_for: str) -> None:
        await calls.record_progress(
            RunProgress(
                execution_id=self._run.execution_id,
                organization_id=self._run.organization_id,
                outcomes=tuple(self._memory.outcomes),
                waiting_for=waiting_for,
            )
        )

    async def _record(self, status: ExecutionStatus, reason: str | None) -> RunOutcome:
        """Write the outcome, whatever happens meanwhile.

        A cancellation that comes now comes too late: everything is done but the writing, and
        an execution nobody wrote about would stay open.
        """
        writing = asyncio.ensure_future(self._write(status, reason))
        while not writing.done():
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                continue
        return writing.result()

    async def _write(self, status: ExecutionStatus, reason: str | None) -> RunOutcome:
        outcome = self._outcome(status, reason)
        await calls.record_outcome(outcome)
        return outcome

    def _outcome(self, status: ExecutionStatus, reason: str | None) -> RunOutcome:
        self._show(f"**{status.capitalize()}**" + (f": {reason}" if reason else ""))
        return RunOutcome(
            execution_id=self._run.execution_id,
            organization_id=self._run.organization_id,
            status=status,
            reason=reason,
            outcomes=tuple(self._memory.outcomes),
        )

    def _show(self, headline: str) -> None:
        """Tell the Web UI where the run stands, in Markdown."""
        lines = [
            f"{done.position}. `{done.step_id}` {done.kind}: **{done.status}**"
            + (f" ({done.reason})" if done.reason else "")
            for done in self._memory.outcomes
        ]
        workflow.set_current_details("\n".join([headline, "", *lines]))


def _history_is_long() -> bool:
    info = workflow.info()
    return info.is_continue_as_new_suggested() or info.get_current_history_length() > HISTORY_LIMIT


def is_ahead(view: View) -> bool:
    """Whether the moment that was looked at is still to come."""
    return view.until is not None and view.until > workflow.now()


def at(moment: datetime) -> str:
    """Return *moment* as people read it."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
