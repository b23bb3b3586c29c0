"""Steps: what an automation does, one after another, and where its way divides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field

from fixlify.domain.steps.actions import CallWebhook, CreateTask, UpdateRecord
from fixlify.domain.steps.base import OnError, StepBase, StepId
from fixlify.domain.steps.branches import Branch, Exit
from fixlify.domain.steps.messages import SendEmail, SendSms
from fixlify.domain.steps.recipients import FieldRecipient, FixedRecipient, Recipient, SendTo
from fixlify.domain.steps.waits import (
    FieldMoment,
    IfLate,
    OnTimeout,
    Wait,
    WaitForEvent,
    WaitUntil,
    Within,
)

__all__ = [
    "Branch",
    "CallWebhook",
    "CreateTask",
    "Exit",
    "FieldMoment",
    "FieldRecipient",
    "FixedRecipient",
    "IfLate",
    "OnError",
    "OnTimeout",
    "Recipient",
    "SendEmail",
    "SendSms",
    "SendTo",
    "Step",
    "StepBase",
    "StepId",
    "UpdateRecord",
    "Wait",
    "WaitForEvent",
    "WaitUntil",
    "Within",
    "every_step",
    "placed_steps",
]

Step = Annotated[
    SendEmail
    | SendSms
    | Wait
    | WaitUntil
    | WaitForEvent
    | Branch
    | Exit
    | CallWebhook
    | UpdateRecord
    | CreateTask,
    Field(discriminator="type"),
]
"""One thing an automation does; ``type`` says which."""

Branch.model_rebuild(_types_namespace={"Step": Step})


def every_step(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield *steps* and those inside their branches, in the order they are written."""
    for _, step in placed_steps(steps):
        yield step


def placed_steps(steps: Iterable[Step], place: str = "steps") -> Iterator[tuple[str, Step]]:
    """Yield what ``every_step`` does, each with its place: ``steps[3].then[0]``."""
    for position, step in enumerate(steps):
        here = f"{place}[{position}]"
        yield here, step
        if isinstance(step, Branch):
            yield from placed_steps(step.then, f"{here}.then")
            yield from placed_steps(step.otherwise, f"{here}.else")
