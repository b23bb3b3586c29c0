"""Turn a definition's steps into a run's plan: the same steps without texts and conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, groupby
from typing import Any

from fixlify.domain.runs import MESSAGES, PlannedStep, StepKind
from fixlify.domain.steps import (
    Branch,
    CallWebhook,
    CreateTask,
    Exit,
    OnError,
    OnTimeout,
    SendEmail,
    SendSms,
    Step,
    UpdateRecord,
    Wait,
    WaitForEvent,
    WaitUntil,
)
from fixlify.domain.steps.recipients import recipient_kind


def plan_steps(steps: Sequence[Step]) -> tuple[PlannedStep, ...]:
    """Return the plan of *steps*; their positions count from 1 in the order they are written."""
    return _planned(steps, count(1))


def acts_of(steps: Sequence[PlannedStep]) -> Iterator[list[PlannedStep]]:
    """Yield what is done together: neighbouring messages; every other step stands alone."""
    numbered = enumerate(steps)
    for _, act in groupby(numbered, key=lambda item: -1 if item[1].kind in MESSAGES else item[0]):
        yield [step for _, step in act]


def first_messages(steps: Sequence[PlannedStep]) -> tuple[str, ...]:
    """Return the ids of the messages that *steps* begin with; none where they do not."""
    first = next(acts_of(steps), [])
    return tuple(step.id for step in first if step.kind in MESSAGES and step.enabled)


def _planned(steps: Sequence[Step], positions: Iterator[int]) -> tuple[PlannedStep, ...]:
    return tuple(_plan(step, next(positions), positions) for step in steps)


def _plan(step: Step, position: int, positions: Iterator[int]) -> PlannedStep:
    def planned(kind: StepKind, **details: Any) -> PlannedStep:
        return PlannedStep(
            id=str(step.id),
            position=position,
            kind=kind,
            enabled=step.enabled,
            stops_on_error=step.on_error is OnError.STOP,
            **details,
        )

    match step:
        case SendEmail():
            return planned(StepKind.EMAIL, to=recipient_kind(step.to))
        case SendSms():
            return planned(
                StepKind.SMS,
                to=recipient_kind(step.to),
                emails_landlines=step.if_landline == "email",
            )
        case Wait():
            return planned(StepKind.WAIT, duration=step.for_)
        case WaitUntil():
            return planned(StepKind.WAIT_UNTIL)
        case WaitForEvent():
            return planned(
                StepKind.WAIT_FOR_EVENT,
                duration=step.timeout,
                exits_on_timeout=step.on_timeout is OnTimeout.EXIT,
            )
        case Branch():
            return planned(
                StepKind.BRANCH,
                then=_planned(step.then, positions),
                otherwise=_planned(step.otherwise, positions),
            )
        case Exit():
            return planned(StepKind.EXIT)
        case CallWebhook():
            return planned(StepKind.WEBHOOK)
        case UpdateRecord():
            return planned(StepKind.UPDATE)
        case CreateTask():
            return planned(StepKind.TASK)
