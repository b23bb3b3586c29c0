"""The job's workflow with nothing behind it: the engine's activities, which do nothing.

``Queued`` is how Temporal's documentation would teach it: what is quick in local activities,
one after the other, and the sends on queues of their own. ``SameShape`` does what
``workflows/automation.py`` does for two messages that go out at the first try: the activity
that takes the execution writes them, too, and they are sent in local activities.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from benchmarks.peers.bare_activities import BareActivities, bare_queue
    from fixlify.domain import queues
    from fixlify.domain.delivery import DELIVERY_DEADLINES
    from fixlify.domain.runs import (
        AutomationRun,
        ContextRequest,
        ExecutionStatus,
        PlannedStep,
        RenderedMessage,
        RenderedMessages,
        RenderRequest,
        RunOutcome,
        RunPlan,
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


class _Bare:
    """One run: fetch, render, two sends side by side, record."""

    renders_at_once: ClassVar[bool]

    async def _carry_out(self, run: AutomationRun) -> RunOutcome:
        plan = await _ask(
            BareActivities.fetch_context,
            ContextRequest(
                execution_id=run.execution_id,
                organization_id=run.organization_id,
                now=workflow.now(),
                writes=self.renders_at_once,
            ),
        )
        rendered = plan.written or await self._render(run, plan)
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

    async def _render(self, run: AutomationRun, plan: RunPlan) -> RenderedMessages:
        step_ids = tuple(step.id for step in plan.steps)
        rendered: RenderedMessages = await _ask(
            BareActivities.render_messages,
            RenderRequest(
                execution_id=run.execution_id,
                organization_id=run.organization_id,
                automation_id=plan.automation_id,
                version=plan.version,
                subject_type=plan.subject_type,
                subject_id=plan.subject_id,
                step_ids=step_ids,
                now=workflow.now(),
            ),
            summary=f"{', '.join(step_ids)}: write",
        )
        return rendered

    async def _send(self, run: AutomationRun, step: PlannedStep, message: RenderedMessage) -> None:
        raise NotImplementedError


@workflow.defn(name="bare-queued")
class Queued(_Bare):
    """Sends through queues of their own."""

    renders_at_once = False

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

    renders_at_once = True

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
