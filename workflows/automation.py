"""Carry out one automation for one occurrence: its messages, its waits, its outcome."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from fixlify.domain.durations import format_duration
    from fixlify.domain.planning import acts_of
    from fixlify.domain.runs import (
        MESSAGES,
        WAITS,
        ActionReceipt,
        AutomationRun,
        Ending,
        ExecutionStatus,
        Heard,
        MessageStatus,
        PlannedStep,
        RenderedMessage,
        RenderedMessages,
        RenderRequest,
        RunOutcome,
        SendReceipt,
        StepKind,
        StepOutcome,
        StepStatus,
        run_status,
    )
    from fixlify.domain.steps.messages import BY_EMAIL
    from workflows import calls
    from workflows.holding import HoldingRun
    from workflows.run import at

# Runs of before it sent a held message as it was first written.
RENDERS_AGAIN = "renders-again-what-was-held"
# Workers of before it did nothing about a signal but to release what is held.
LISTENS = "listens-while-it-waits"


@workflow.defn(name="automation")
class AutomationWorkflow(HoldingRun):
    """One execution, from its first step to its recorded outcome."""

    @workflow.init
    def __init__(self, run: AutomationRun) -> None:
        super().__init__(run)

    @workflow.run
    async def run(self, run: AutomationRun) -> RunOutcome:
        try:
            self._plan = await calls.fetch_context(run)
            for done in self._plan.done if run.carried is None else ():
                self._memory.note(done)
            await self._carry_out(self._plan.steps)
        except BaseException as error:
            if is_cancelled_exception(error):
                by_whom = workflow.cancellation_reason() or "the run was cancelled"
                await self._record(ExecutionStatus.CANCELLED, by_whom)
                raise
            if (ended := calls.ended_before(error)) is not None:
                # Nothing of it is this run's to write.
                return self._outcome(*ended)
            if (reason := calls.unusable_data(error)) is None:
                raise
            return await self._record(ExecutionStatus.FAILED, reason)
        return await self._record(*run_status(tuple(self._memory.outcomes), self._ending))

    @workflow.signal(name="hear")
    def hear(self, heard: Heard) -> None:
        """Something happened to what the run is about."""
        if workflow.patched(LISTENS):
            self._memory.hear(heard.event_ids)

    @workflow.signal(name="release")
    def release(self) -> None:
        """Look again: a stop was lifted, an automation switched. Once too often is harmless."""
        self._held.clear()
        self._memory.release(is_news=workflow.patched(LISTENS))

    async def _carry_out(self, steps: tuple[PlannedStep, ...]) -> None:
        """Do *steps* in their order; what hangs on a moment that was missed is skipped."""
        missed = None
        for act in acts_of(steps):
            if act[0].kind in WAITS and act[0].enabled:
                missed = None
            elif missed is None and self._passed is not None and self._has_anew(act):
                missed = await self._come_back_to(self._passed)
            if self._is_over:
                return
            if missed is not None:
                self._skip(act, missed)
            else:
                missed = await self._do(act)
            if self._is_over:
                return

    async def _do(self, act: list[PlannedStep]) -> str | None:
        """Do one step, or neighbouring messages; return why what follows is to be skipped."""
        step, missed = act[0], None
        if step.kind in MESSAGES:
            await self._send(act)
        elif not step.enabled:
            self._skip(act, "it is not enabled")
        elif (done := self._memory.outcome_of(step)) is not None:
            missed = await self._pass_over(step, done)
        elif step.kind is StepKind.WAIT:
            await self._wait(step)
        elif step.kind is StepKind.WAIT_UNTIL:
            missed = await self._wait_until(step)
        elif step.kind is StepKind.WAIT_FOR_EVENT:
            await self._wait_for_event(step)
        elif step.kind is StepKind.BRANCH:
            await self._branch(step)
        elif step.kind is StepKind.EXIT:
            self._exit(step)
        else:
            await self._act(step)
        if any(each.stops_on_error and self._memory.has_failed(each) for each in act):
            self._end(Ending(status=ExecutionStatus.COMPLETED, reason="what follows was not begun"))
        if any(done.status is StepStatus.CANCELLED for done in self._memory.outcomes):
            # What would follow is as late as the message that was held too long.
            self._end(Ending(status=ExecutionStatus.CANCELLED, reason=""))
        return missed

    async def _pass_over(self, step: PlannedStep, done: StepOutcome) -> str | None:
        """Go past a step that was done before, the way that was taken then."""
        if step.kind in WAITS:
            self._hang_on(None)
        if step.kind is StepKind.BRANCH:
            await self._carry_out(step.then if done.result == "then" else step.otherwise)
        elif step.kind is StepKind.EXIT or (done.result == "timeout" and step.exits_on_timeout):
            self._exit(step)
        elif step.kind is StepKind.WAIT_UNTIL:
            if done.status is StepStatus.SKIPPED:
                return _missed(step)
            if done.result is not None:
                self._memory.deadlines.setdefault(step.id, datetime.fromisoformat(done.result))
            self._passed = step
        return None

    def _has_anew(self, act: list[PlannedStep]) -> bool:
        """Whether anything of *act* is still to be done."""
        return any(step.enabled and self._memory.outcome_of(step) is None for step in act)

    async def _come_back_to(self, step: PlannedStep) -> str | None:
        """Go on from a moment that was waited for before; return why what follows is skipped.

        Its visit may have been moved meanwhile: then it is waited for again.
        """
        view = await self._look(step)
        if view.until is None and view.late is not None:
            return view.late
        if view.until is not None and view.until > workflow.now():
            return await self._wait_until(step)
        self._hang_on(step, view)
        return None

    async def _wait(self, step: PlannedStep) -> None:
        assert step.duration is not None, "a wait has a duration"  # noqa: S101
        self._hang_on(None)
        until = self._memory.deadlines.get(step.id)
        if until is None:
            until = self._memory.deadlines[step.id] = workflow.now() + step.duration
            await self._record_waiting(f"{step.id} until {at(until)}")
        self._show(f"Waiting: `{step.id}`, until {at(until)}")
        nudges = self._memory.nudges if not self._memory.has_news else -1
        while workflow.now() < until:
            summary = f"{step.id}: wait {format_duration(step.duration)}"
            if not await self._rest(until, nudges, summary):
                break
            nudges = self._memory.nudges
            self._memory.take_news()
            await self._look(step)
            if self._is_over:
                return
        self._note(step, StepStatus.COMPLETED)
        self._memory.take_news()

    async def _wait_until(self, step: PlannedStep) -> str | None:
        """Wait for a moment, wherever it is moved to; return why what follows is skipped."""
        self._hang_on(None)
        while True:
            nudges = self._memory.nudges
            self._memory.take_news()
            view = await self._look(step)
            if self._is_over:
                return None
            if view.late is not None:
                self._note(step, StepStatus.SKIPPED, view.late)
                return _missed(step)
            if view.until is None or view.until <= workflow.now():
                break
            await self._show_armed(step, view.until)
            await self._rest(view.until, nudges, f"{step.id}: until {at(view.until)}")
        moment = None if view.until is None else view.until.isoformat(sep=" ")
        self._note(step, StepStatus.COMPLETED, result=moment)
        self._memory.take_news()
        self._hang_on(step, view)
        return None

    async def _wait_for_event(self, step: PlannedStep) -> None:
        assert step.duration is not None, "an event has a time-out"  # noqa: S101
        self._hang_on(None)
        begun = self._memory.deadlines.get(step.id)
        deadline = begun or workflow.now() + step.duration
        while True:
            nudges = self._memory.nudges
            news = self._memory.take_news()
            view = await self._look(step, news)
            if self._is_over:
                return
            if view.event_id is not None:
                # What came after it may be what the next step waits for.
                self._memory.put_back(each for each in news if each > view.event_id)
                self._note(step, StepStatus.COMPLETED, result=f"event {view.event_id}")
                return
            if workflow.now() >= deadline:
                break
            await self._show_armed(step, deadline)
            await self._rest(deadline, nudges, f"{step.id}: time-out")
        waited = f"it did not happen within {format_duration(step.duration)}"
        self._note(step, StepStatus.COMPLETED, waited, result="timeout")
        if step.exits_on_timeout:
            self._exit(step)

    async def _branch(self, step: PlannedStep) -> None:
        view = await self._look(step)
        if self._is_over:
            return
        side = "then" if view.holds else "else"
        self._note(step, StepStatus.COMPLETED, result=side)
        await self._carry_out(step.then if view.holds else step.otherwise)

    def _exit(self, step: PlannedStep) -> None:
        if self._memory.outcome_of(step) is None:
            self._note(step, StepStatus.COMPLETED)
        self._end(Ending(status=ExecutionStatus.COMPLETED, reason=f"ended at {step.id}"))

    async def _act(self, step: PlannedStep) -> None:
        async def attempt() -> ActionReceipt:
            return await calls.act(step, self._request(step))

        async def give_up(reason: str, status: StepStatus) -> ActionReceipt:
            return ActionReceipt(status=status, reason=reason)

        receipt = await self._unless_held(step, attempt, give_up)
        self._note(step, receipt.status, receipt.reason)

    async def _send(self, steps: list[PlannedStep]) -> None:
        """Render neighbouring messages together and send them side by side."""
        self._skip([step for step in steps if not step.enabled], "it is not enabled")
        steps = [step for step in steps if self._memory.outcome_of(step) is None]
        if not steps:
            return
        rendered = await self._render(steps)
        # Nothing is rendered of a run that is over.
        await asyncio.gather(
            *(
                self._deliver(step, message)
                for step, message in zip(steps, rendered.messages, strict=False)
            )
        )

    async def _render(self, steps: list[PlannedStep]) -> RenderedMessages:
        plan = self._plan
        if (written := self._take_written()) is not None:
            self._end(written.ending)
            return written
        rendered = await calls.render(
            RenderRequest(
                execution_id=self._run.execution_id,
                organization_id=self._run.organization_id,
                automation_id=plan.automation_id,
                version=plan.version,
                subject_type=plan.subject_type,
                subject_id=plan.subject_id,
                step_ids=tuple(step.id for step in steps),
                now=workflow.now(),
                good_until=self._good_until,
            )
        )
        self._end(rendered.ending)
        return rendered

    def _take_written(self) -> RenderedMessages | None:
        """Return, once, what was written as the run began: the first messages there are."""
        written, self._plan = self._plan.written, self._plan.model_copy(update={"written": None})
        return written

    async def _deliver(self, step: PlannedStep, message: RenderedMessage) -> None:
        """Send one message, when it may be, and note what became of it."""
        is_written_now, given_up = True, None

        async def attempt() -> SendReceipt:
            nonlocal message, is_written_now
            if not is_written_now and workflow.patched(RENDERS_AGAIN):
                # What was true in the evening need not be in the morning.
                rendered = await self._render([step])
                if rendered.ending is not None:
                    return await calls.withdraw(message, self._run, rendered.ending.reason)
                (message,) = rendered.messages
            is_first, is_written_now = is_written_now, False
            if not _may_go(message):
                return SendReceipt(status=message.status, reason=message.reason)
            begun = None
            if is_first and message.at_once:
                begun = workflow.now()
                receipt = await calls.send_at_once(step, message, self._run)
                if receipt.status is not MessageStatus.QUEUED:
                    return receipt
                if receipt.pause is not None:
                    await self._pause(step, receipt.pause)
            return await calls.send(step, message, self._run, begun)

        async def give_up(reason: str, status: StepStatus) -> SendReceipt:
            nonlocal given_up
            given_up = status
            return await calls.withdraw(message, self._run, reason)

        receipt = await self._unless_held(step, attempt, give_up)
        if receipt.landline and step.emails_landlines:
            await self._send_by_email(step, message)
            return
        status = _STEP_STATUS.get(receipt.status, StepStatus.FAILED)
        if receipt.status is MessageStatus.CANCELLED:
            by_hand = step.id in self._memory.held_since and not (receipt.late or self._ending)
            status = given_up or (StepStatus.CANCELLED if by_hand else StepStatus.SKIPPED)
        # At once: a run that is cancelled meanwhile still tells what went out.
        self._note(step, status, receipt.reason, message_id=message.message_id)

    async def _pause(self, step: PlannedStep, pause: timedelta) -> None:
        """Give the provider the time it asked for."""
        await workflow.sleep(pause, summary=f"{step.id}: not taken yet, try again")

    async def _send_by_email(self, step: PlannedStep, message: RenderedMessage) -> None:
        """Send the email of a text message whose number takes none."""
        landline = "the number is a landline; an email goes instead"
        self._note(step, StepStatus.SKIPPED, landline, message_id=message.message_id)
        instead = {"id": f"{step.id}{BY_EMAIL}", "kind": StepKind.EMAIL, "emails_landlines": False}
        await self._send([step.model_copy(update=instead)])


_STEP_STATUS = {
    MessageStatus.SENT: StepStatus.COMPLETED,
    MessageStatus.SUPPRESSED: StepStatus.SKIPPED,
    MessageStatus.UNKNOWN: StepStatus.UNKNOWN,
}


def _may_go(message: RenderedMessage) -> bool:
    """Whether a message that was written is to be sent, or its fate to be found out."""
    # Held: by the evening before, or a run of before a reset.
    if message.status in (MessageStatus.QUEUED, MessageStatus.HELD):
        return True
    # A worker died in this very task, as it tried the message: whoever claims it learns the rest,
    # a landline or the end of the run with it.
    return message.found and message.status is not MessageStatus.SENT


def _missed(step: PlannedStep) -> str:
    return f"skipped with {step.id}"
