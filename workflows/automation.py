"""Carry out one automation for one occurrence: its messages, its waits, its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import groupby

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.email import EmailActivities
    from activities.executions import ExecutionActivities
    from activities.failures import UNUSABLE_DATA
    from activities.rendering import RenderingActivities
    from activities.sms import SmsActivities
    from fixlify.domain import queues
    from fixlify.domain.durations import format_duration
    from fixlify.domain.runs import (
        AutomationRun,
        ExecutionStatus,
        MessageStatus,
        PlannedStep,
        RenderedMessage,
        RenderRequest,
        RunOutcome,
        RunPlan,
        RunProgress,
        SendReceipt,
        SendRequest,
        StepKind,
        StepOutcome,
        StepStatus,
        Withdrawal,
        run_status,
    )

# Our own database: quick when it is there, and asked again for as long as it is not.
DATABASE_TIMEOUT = timedelta(seconds=15)
DATABASE_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=10)
)

# Longer than every deadline inside a send, so that no attempt outlives its successor's start.
SEND_TIMEOUT = timedelta(seconds=90)
# How soon the death of a worker in the middle of a send is noticed.
SEND_HEARTBEAT = timedelta(seconds=10)
SEND_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)
)
# A provider that is down for longer than this has made the message stale.
DELIVERY_DEADLINE = timedelta(hours=6)

# A held message asks again by itself, in case the signal that should wake it was never sent:
# often at first, then rarely, so that the history of a week stays small.
HELD_CHECK = timedelta(minutes=15)
HELD_OFTEN_FOR = timedelta(hours=6)
HELD_CHECK_LATER = timedelta(hours=1)
# Nobody wants last week's reminder.
HELD_LIMIT = timedelta(days=7)


@workflow.defn(name="automation")
class AutomationWorkflow:
    """One execution, from its first step to its recorded outcome."""

    @workflow.init
    def __init__(self, run: AutomationRun) -> None:
        self._run = run
        self._outcomes: list[StepOutcome] = []
        # By step: why its message is held. Signals may come before `run` does.
        self._held: dict[str, str] = {}
        self._telling = asyncio.Lock()
        self._releases = 0

    @workflow.run
    async def run(self, run: AutomationRun) -> RunOutcome:
        try:
            await self._carry_out(await self._fetch_context())
        except BaseException as error:
            if is_cancelled_exception(error):
                await self._record(ExecutionStatus.CANCELLED, "the run was cancelled")
                raise
            if (reason := _unusable_data(error)) is None:
                raise
            return await self._record(ExecutionStatus.FAILED, reason)
        return await self._record(*run_status(tuple(self._outcomes)))

    @workflow.signal(name="release")
    def release(self) -> None:
        """Try again what is held: the stop was lifted. Once too often is harmless."""
        self._held.clear()
        self._releases += 1

    async def _carry_out(self, plan: RunPlan) -> None:
        for steps in _acts(plan.steps):
            if steps[0].kind is StepKind.WAIT:
                await self._wait(steps[0])
            else:
                await self._send(plan, steps)
            if any(done.status is StepStatus.CANCELLED for done in self._outcomes):
                # What would follow is as late as the message that was held too long.
                return

    async def _fetch_context(self) -> RunPlan:
        return await workflow.execute_local_activity_method(
            ExecutionActivities.fetch_context,
            self._run,
            start_to_close_timeout=DATABASE_TIMEOUT,
            retry_policy=DATABASE_RETRY,
        )

    async def _wait(self, step: PlannedStep) -> None:
        assert step.duration is not None, "a wait has a duration"  # noqa: S101
        until = workflow.now() + step.duration
        await self._record_waiting(f"{step.id} until {until:%Y-%m-%d %H:%M} UTC")
        self._show(f"Waiting: `{step.id}`, until {until:%Y-%m-%d %H:%M} UTC")
        await workflow.sleep(
            step.duration, summary=f"{step.id}: wait {format_duration(step.duration)}"
        )
        self._note(
            StepOutcome(
                step_id=step.id,
                position=step.position,
                kind=step.kind,
                status=StepStatus.COMPLETED,
            )
        )

    async def _record_waiting(self, waiting_for: str) -> None:
        await workflow.execute_local_activity_method(
            ExecutionActivities.record_progress,
            RunProgress(
                execution_id=self._run.execution_id,
                organization_id=self._run.organization_id,
                outcomes=tuple(self._outcomes),
                waiting_for=waiting_for,
            ),
            start_to_close_timeout=DATABASE_TIMEOUT,
            retry_policy=DATABASE_RETRY,
        )

    async def _send(self, plan: RunPlan, steps: list[PlannedStep]) -> None:
        """Render neighbouring messages together and send them side by side."""
        rendered = await workflow.execute_local_activity_method(
            RenderingActivities.render_messages,
            RenderRequest(
                execution_id=self._run.execution_id,
                organization_id=self._run.organization_id,
                automation_id=plan.automation_id,
                version=plan.version,
                subject_type=plan.subject_type,
                subject_id=plan.subject_id,
                step_ids=tuple(step.id for step in steps),
            ),
            start_to_close_timeout=DATABASE_TIMEOUT,
            retry_policy=DATABASE_RETRY,
        )
        await asyncio.gather(
            *(
                self._deliver(step, message)
                for step, message in zip(steps, rendered.messages, strict=True)
            )
        )

    async def _deliver(self, step: PlannedStep, message: RenderedMessage) -> None:
        # Held: by a run of before a reset.
        if message.status not in (MessageStatus.QUEUED, MessageStatus.HELD):
            refused = SendReceipt(status=message.status, reason=message.reason)
            self._note(_outcome(step, message, refused))
            return
        receipt, was_held = await self._hand_over_unless_held(step, message)
        # At once: a run that is cancelled meanwhile still tells what went out.
        self._note(_outcome(step, message, receipt, was_held=was_held))

    async def _hand_over_unless_held(
        self, step: PlannedStep, message: RenderedMessage
    ) -> tuple[SendReceipt, bool]:
        """Try until the message is not held; return its receipt, and whether it ever was.

        Every attempt looks at the truth again: consent, the automation and the job may have
        changed while the message was held.
        """
        held_since = None
        while True:
            # A release that comes during the attempt must not be slept through.
            releases = self._releases
            receipt = await self._hand_over(step, message)
            if receipt.status is not MessageStatus.HELD:
                break
            held_since = held_since or workflow.now()
            held_for = workflow.now() - held_since
            if held_for >= HELD_LIMIT:
                receipt = await self._withdraw(message, receipt)
                break
            await self._show_held(step, receipt.reason or "it may not be sent now")
            await self._await_release(step, releases, held_for)
        self._held.pop(step.id, None)
        return receipt, held_since is not None

    async def _show_held(self, step: PlannedStep, reason: str) -> None:
        if self._held.get(step.id) == reason:
            return
        self._held[step.id] = reason
        # One after another: of two records at once the older could be the last to be written.
        async with self._telling:
            # Unless it was released before its turn came.
            if held := "; ".join(f"{each}: held, {why}" for each, why in self._held.items()):
                await self._record_waiting(held)
        self._show(f"Held: {reason}")

    async def _await_release(self, step: PlannedStep, releases: int, held_for: timedelta) -> None:
        """Wait for the release after the *releases* seen so far, or for the next check."""
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._releases > releases,
                timeout=HELD_CHECK if held_for < HELD_OFTEN_FOR else HELD_CHECK_LATER,
                timeout_summary=f"{step.id}: held, look again",
            )

    async def _withdraw(self, message: RenderedMessage, receipt: SendReceipt) -> SendReceipt:
        return await workflow.execute_local_activity_method(
            ExecutionActivities.withdraw_message,
            Withdrawal(
                message_id=message.message_id,
                organization_id=self._run.organization_id,
                reason=f"held for {format_duration(HELD_LIMIT)}: {receipt.reason}",
            ),
            start_to_close_timeout=DATABASE_TIMEOUT,
            retry_policy=DATABASE_RETRY,
        )

    async def _hand_over(self, step: PlannedStep, message: RenderedMessage) -> SendReceipt:
        send = EmailActivities.send_email if step.kind is StepKind.EMAIL else SmsActivities.send_sms
        request = SendRequest(
            message_id=message.message_id, organization_id=self._run.organization_id
        )
        try:
            return await workflow.execute_activity_method(
                send,
                request,
                task_queue=queues.EMAIL if step.kind is StepKind.EMAIL else queues.SMS,
                start_to_close_timeout=SEND_TIMEOUT,
                heartbeat_timeout=SEND_HEARTBEAT,
                schedule_to_close_timeout=DELIVERY_DEADLINE,
                retry_policy=SEND_RETRY,
                summary=f"{step.id}: {step.kind} to the {step.to}",
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return _failure(error)

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
        outcome = RunOutcome(
            execution_id=self._run.execution_id,
            organization_id=self._run.organization_id,
            status=status,
            reason=reason,
            outcomes=tuple(self._outcomes),
        )
        await workflow.execute_local_activity_method(
            ExecutionActivities.record_outcome,
            outcome,
            start_to_close_timeout=DATABASE_TIMEOUT,
            retry_policy=DATABASE_RETRY,
        )
        self._show(f"**{status.capitalize()}**" + (f": {reason}" if reason else ""))
        return outcome

    def _note(self, outcome: StepOutcome) -> None:
        self._outcomes.append(outcome)
        self._outcomes.sort(key=lambda done: done.position)
        self._show("Running")

    def _show(self, headline: str) -> None:
        """Tell the Web UI where the run stands, in Markdown."""
        lines = [
            f"{done.position}. `{done.step_id}` {done.kind}: **{done.status}**"
            + (f" ({done.reason})" if done.reason else "")
            for done in self._outcomes
        ]
        workflow.set_current_details("\n".join([headline, "", *lines]))


def _acts(steps: tuple[PlannedStep, ...]) -> Iterator[list[PlannedStep]]:
    """Group neighbouring messages; each wait stands alone."""
    numbered = enumerate(steps)
    for _, act in groupby(
        numbered, key=lambda item: item[0] if item[1].kind is StepKind.WAIT else -1
    ):
        yield [step for _, step in act]


def _unusable_data(error: BaseException) -> str | None:
    """Return why the run cannot go on, or None when it is not for the data's sake."""
    # A local activity's own error comes bare, an ordinary activity's wrapped.
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ApplicationError) and cause.type == UNUSABLE_DATA:
        return cause.message
    return None


def _failure(error: ActivityError) -> SendReceipt:
    cause = error.cause
    if isinstance(cause, ApplicationError):
        unknown = cause.type == "OutcomeUnknownError"
        status = MessageStatus.UNKNOWN if unknown else MessageStatus.FAILED
        return SendReceipt(status=status, reason=cause.message)
    hours = DELIVERY_DEADLINE // timedelta(hours=1)
    return SendReceipt(
        status=MessageStatus.FAILED, reason=f"gave up: no answer within {hours} hours"
    )


_STEP_STATUS = {
    MessageStatus.SENT: StepStatus.COMPLETED,
    MessageStatus.SUPPRESSED: StepStatus.SKIPPED,
    MessageStatus.CANCELLED: StepStatus.SKIPPED,
    MessageStatus.UNKNOWN: StepStatus.UNKNOWN,
}


def _outcome(
    step: PlannedStep, message: RenderedMessage, receipt: SendReceipt, *, was_held: bool = False
) -> StepOutcome:
    status = _STEP_STATUS.get(receipt.status, StepStatus.FAILED)
    if was_held and receipt.status is MessageStatus.CANCELLED:
        status = StepStatus.CANCELLED
    return StepOutcome(
        step_id=step.id,
        position=step.position,
        kind=step.kind,
        status=status,
        reason=receipt.reason,
        message_id=message.message_id,
    )
