"""A run's status says what happened: nothing that failed counts as success."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixlify.domain.runs import (
    ACTIONS,
    MESSAGES,
    Ending,
    ExecutionStatus,
    StepKind,
    StepOutcome,
    StepStatus,
    run_status,
)

DONE, FAILED, SKIPPED = StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED
UNKNOWN, CANCELLED = StepStatus.UNKNOWN, StepStatus.CANCELLED


def send(status: StepStatus, step_id: str = "send", reason: str | None = None) -> StepOutcome:
    return StepOutcome(
        position=1, step_id=step_id, kind=StepKind.EMAIL, status=status, reason=reason
    )


def wait(status: StepStatus = DONE) -> StepOutcome:
    return StepOutcome(position=1, step_id="wait", kind=StepKind.WAIT, status=status)


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ((send(DONE),), ExecutionStatus.COMPLETED),
        ((send(DONE), send(DONE)), ExecutionStatus.COMPLETED),
        ((wait(), send(DONE)), ExecutionStatus.COMPLETED),
        ((wait(),), ExecutionStatus.COMPLETED),
        ((send(DONE), send(SKIPPED)), ExecutionStatus.COMPLETED),
        ((send(SKIPPED),), ExecutionStatus.SKIPPED),
        ((send(SKIPPED), send(SKIPPED)), ExecutionStatus.SKIPPED),
        # A wait that passed is no message that was sent.
        ((wait(), send(SKIPPED)), ExecutionStatus.SKIPPED),
        ((send(FAILED),), ExecutionStatus.FAILED),
        ((send(DONE), send(FAILED)), ExecutionStatus.FAILED),
        ((send(FAILED), send(SKIPPED)), ExecutionStatus.FAILED),
        ((send(UNKNOWN),), ExecutionStatus.FAILED),
        ((send(DONE), send(UNKNOWN)), ExecutionStatus.FAILED),
        ((wait(FAILED), send(DONE)), ExecutionStatus.FAILED),
        ((send(CANCELLED),), ExecutionStatus.CANCELLED),
        ((send(DONE), send(CANCELLED)), ExecutionStatus.CANCELLED),
        ((send(SKIPPED), wait(CANCELLED)), ExecutionStatus.CANCELLED),
        ((send(FAILED), send(CANCELLED)), ExecutionStatus.FAILED),
        ((send(UNKNOWN), send(CANCELLED)), ExecutionStatus.FAILED),
    ],
)
def test_the_status_of_a_run(outcomes: tuple[StepOutcome, ...], status: ExecutionStatus) -> None:
    for order in itertools.permutations(outcomes):
        assert run_status(order)[0] is status


def test_every_reason_is_kept_with_its_step() -> None:
    outcomes = (
        send(DONE, "thanks"),
        send(FAILED, "remind", "the number is no phone number"),
        send(SKIPPED, "review", "the client opted out of email"),
    )
    assert run_status(outcomes)[1] == (
        "remind: the number is no phone number; review: the client opted out of email"
    )


def test_a_run_without_trouble_has_no_reason() -> None:
    assert run_status((send(DONE),))[1] is None


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            StepOutcome,
            step_id=st.just("step"),
            kind=st.sampled_from(StepKind),
            # Held is no end of a step.
            status=st.sampled_from([each for each in StepStatus if each != "held"]),
        ),
        max_size=5,
    )
)
def test_a_completed_run_has_no_failed_unknown_or_cancelled_step(
    outcomes: list[StepOutcome],
) -> None:
    status, _ = run_status(tuple(outcomes))
    statuses = {outcome.status for outcome in outcomes}
    if statuses & {FAILED, UNKNOWN, CANCELLED}:
        assert status in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}
    acts = [outcome for outcome in outcomes if outcome.kind in MESSAGES | ACTIONS]
    if status is ExecutionStatus.COMPLETED and acts:
        assert any(outcome.status is DONE for outcome in acts)


@pytest.mark.parametrize(
    ("sms", "expected"),
    [
        (DONE, (ExecutionStatus.COMPLETED, "exit_when: paid")),
        (SKIPPED, (ExecutionStatus.SKIPPED, "step: why; exit_when: paid")),
        (FAILED, (ExecutionStatus.FAILED, "step: why; exit_when: paid")),
        (None, (ExecutionStatus.SKIPPED, "exit_when: paid")),
    ],
)
def test_a_run_that_ended_early_is_what_it_did(
    sms: StepStatus | None, expected: tuple[ExecutionStatus, str]
) -> None:
    done = StepOutcome(
        step_id="step",
        position=1,
        kind=StepKind.SMS,
        status=sms or DONE,
        reason=None if sms is DONE else "why",
    )
    ending = Ending(status=ExecutionStatus.COMPLETED, reason="exit_when: paid")
    assert run_status((done,) if sms else (), ending) == expected


def test_a_run_that_was_ended_is_cancelled_unless_something_failed() -> None:
    ending = Ending(status=ExecutionStatus.CANCELLED, reason="the automation is archived")
    assert run_status((), ending) == (ExecutionStatus.CANCELLED, "the automation is archived")
