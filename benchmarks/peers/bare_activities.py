"""The engine's activities without its work: the same payloads, and nothing done."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Final
from uuid import UUID, uuid4

from temporalio import activity

from fixlify.domain.runs import (
    ContextRequest,
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
)

_PLAN: Final = RunPlan(
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
    async def fetch_context(self, request: ContextRequest) -> RunPlan:
        """Return the same plan for every run, and its messages if that is asked for."""
        if not request.writes:
            return _PLAN
        return _PLAN.model_copy(update={"written": _written([step.id for step in _PLAN.steps])})

    @activity.defn(name="render_messages")
    async def render_messages(self, request: RenderRequest) -> RenderedMessages:
        """Return a new message for each step."""
        return _written(request.step_ids)

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


def _written(step_ids: Sequence[str]) -> RenderedMessages:
    return RenderedMessages(
        messages=tuple(
            RenderedMessage(
                step_id=step_id, message_id=uuid4(), status=MessageStatus.QUEUED, at_once=True
            )
            for step_id in step_ids
        )
    )
