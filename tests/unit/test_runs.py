"""A run's status says what happened: nothing that failed counts as success."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixlify.domain.runs import ExecutionStatus, StepKind, StepOutcome, StepStatus, run_status

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
            status=st.sampled_from(StepStatus),
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
    sends = [outcome for outcome in outcomes if outcome.kind is not StepKind.WAIT]
    if status is ExecutionStatus.COMPLETED and sends:
        assert any(outcome.status is DONE for outcome in sends)
