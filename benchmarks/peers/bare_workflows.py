"""The job's workflow with nothing behind it: the engine's activities, which do nothing.

``Queued`` is how Temporal's documentation would teach it: what is quick in local activities,
the sends on queues of their own. ``SameShape`` does what ``workflows/automation.py`` does for
two messages, both of which go out at the first try: they are tried in local activities.
"""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from time import monotonic
    from uuid import UUID, uuid4

    from fixlify.domain import queues
    from fixlify.domain.delivery import DELIVERY_DEADLINES
    from fixlify.domain.runs import (
        AutomationRun,
        ExecutionStatus,
        MessageStatus,
        PlannedStep,
        RenderedMessage,
        RenderedMessages,
        RenderRequest,
        RunOutcome,
        RunPlan,
        SendReceipt,
        SendRequest,
        StepKind,
        StepOutcome,
        StepStatus,
    )
    from workflows.calls import (
        DATABASE_RETRY,
        DATABASE_TIMEOUT,
        ONCE,
        SEND_HEARTBEAT,
        SEND_RETRY,
        SEND_TIMEOUT,
    )

_PLAN = RunPlan(
    automation_id=UUID(int=1),
    version=1,
    subject_id="J-0",
    steps=(
        PlannedStep(id="email", position=1, kind=StepKind.EMAIL, to="client"),
        PlannedStep(id="text", position=2, kind=StepKind.SMS, to="client"),
    ),
)


def bare_queue(prefix: str, queue: str) -> str:
    """Return the task queue that stands for one of the engine's."""
    return f"{prefix}-{queue}"


class BareActivities:
    """The engine's activities, with its payloads and without its work; lives as its worker.

    ``ended`` takes the moments at which runs end, of ``time.monotonic``.
    """

    def __init__(self) -> None:
        self.ended: asyncio.Queue[float] = asyncio.Queue()

    @activity.defn(name="fetch_context")
    async def fetch_context(self, run: AutomationRun) -> RunPlan:
        """Return the same plan for every run."""
        return _PLAN

    @activity.defn(name="render_messages")
    async def render_messages(self, request: RenderRequest) -> RenderedMessages:
        """Return a new message for each step."""
        return RenderedMessages(
            messages=tuple(
                RenderedMessage(
                    step_id=step_id, message_id=uuid4(), status=MessageStatus.QUEUED, at_once=True
                )
                for step_id in request.step_ids
            )
        )

    @activity.defn(name="send_email")
    async def send_email(self, request: SendRequest) -> SendReceipt:
        """Say that it was sent."""
        return SendReceipt(status=MessageStatus.SENT)

    @activity.defn(name="send_sms")
    async def send_sms(self, request: SendRequest) -> SendReceipt:
        """Say that it was sent."""
        return SendReceipt(status=MessageStatus.SENT)

    @activity.defn(name="record_outcome")
    async def record_outcome(self, outcome: RunOutcome) -> None:
        """Note the moment."""
        self.ended.put_nowait(monotonic())


class _Bare:
    """One run: fetch, render, two sends side by side, record."""

    async def _carry_out(self, run: AutomationRun) -> RunOutcome:
        plan = await _ask(BareActivities.fetch_context, run)
        rendered = await _ask(
            BareActivities.render_messages,
            RenderRequest(
                execution_id=run.execution_id,
                organization_id=run.organization_id,
                automation_id=plan.automation_id,
                version=plan.version,
                subject_type=plan.subject_type,
                subject_id=plan.subject_id,
                step_ids=tuple(step.id for step in plan.steps),
                now=workflow.now(),
            ),
            summary=f"{', '.join(step.id for step in plan.steps)}: write",
        )
        await asyncio.gather(
            *(
                self._send(run, step, message)
                for step, message in zip(plan.steps, rendered.messages, strict=True)
            )
        )
        outcome = RunOutcome(
            execution_id=run.execution_id,
            organization_id=run.organization_id,
            status=ExecutionStatus.COMPLETED,
            outcomes=tuple(
                StepOutcome(
                    step_id=step.id,
                    position=step.position,
                    kind=step.kind,
                    status=StepStatus.COMPLETED,
                    message_id=message.message_id,
                )
                for step, message in zip(plan.steps, rendered.messages, strict=True)
            ),
        )
        await _ask(BareActivities.record_outcome, outcome)
        return outcome

    async def _send(self, run: AutomationRun, step: PlannedStep, message: RenderedMessage) -> None:
        raise NotImplementedError


@workflow.defn(name="bare-queued")
class Queued(_Bare):
    """Sends through queues of their own."""

    @workflow.run
    async def run(self, run: AutomationRun) -> RunOutcome:
        return await self._carry_out(run)

    async def _send(self, run: AutomationRun, step: PlannedStep, message: RenderedMessage) -> None:
        is_email = step.kind is StepKind.EMAIL
        prefix, _, _ = workflow.info().task_queue.partition("-")
        await workflow.execute_activity_method(
            BareActivities.send_email if is_email else BareActivities.send_sms,
            SendRequest(message_id=message.message_id, organization_id=run.organization_id),
            task_queue=bare_queue(prefix, queues.EMAIL if is_email else queues.SMS),
            start_to_close_timeout=SEND_TIMEOUT,
            heartbeat_timeout=SEND_HEARTBEAT,
            schedule_to_close_timeout=DELIVERY_DEADLINES[message.message_class] + SEND_TIMEOUT,
            retry_policy=SEND_RETRY,
            summary=f"{step.id}: {step.kind} to the {step.to}",
        )


@workflow.defn(name="bare-same-shape")
class SameShape(_Bare):
    """Sends inside the workflow task that rendered them."""

    @workflow.run
    async def run(self, run: AutomationRun) -> RunOutcome:
        return await self._carry_out(run)

    async def _send(self, run: AutomationRun, step: PlannedStep, message: RenderedMessage) -> None:
        is_email = step.kind is StepKind.EMAIL
        await workflow.execute_local_activity_method(
            BareActivities.send_email if is_email else BareActivities.send_sms,
            SendRequest(
                message_id=message.message_id,
                organization_id=run.organization_id,
                now=workflow.now(),
            ),
            start_to_close_timeout=SEND_TIMEOUT,
            retry_policy=ONCE,
            summary=f"{step.id}: {step.kind} to the {step.to}",
        )


async def _ask(activity_: Any, asked: Any, summary: str | None = None) -> Any:
    return await workflow.execute_local_activity_method(
        activity_,
        asked,
        start_to_close_timeout=DATABASE_TIMEOUT,
        retry_policy=DATABASE_RETRY,
        summary=summary,
    )


SHAPES: dict[str, type[Queued] | type[SameShape]] = {
    "queued": Queued,
    "same_shape": SameShape,
}
