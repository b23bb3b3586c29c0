"""P6, P7: a status says what happened, and what did not happen says why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from benchmarks.chaos.ledgers import Ledgers
from benchmarks.chaos.promises.checks import Check, Violation
from benchmarks.chaos.rows import TAKEN, Execution, Message, Step

_NEVER_ACTED: Final = frozenset({"failed", "skipped", "cancelled"})
_MESSAGE_KINDS: Final = frozenset({"email", "sms"})
_BROKEN: Final = frozenset({"failed", "unknown"})


def a_status_says_what_happened(ledgers: Ledgers) -> Check:
    """P6: a run is what its steps make of it, and a step what became of its message."""
    violations: list[Violation] = []
    ended = [each for each in ledgers.executions if each.ran and each.completed_at is not None]
    for execution in ended:
        steps = ledgers.steps_of.get(execution.id, ())
        messages = {each.step_id: each for each in ledgers.messages_of.get(execution.id, ())}
        violations += _run(execution, steps)
        violations += _messages(ledgers, execution, steps, messages)
        violations += _after_its_end(ledgers, execution, messages.values())
    return Check(len(ended), violations)


def _run(execution: Execution, steps: Sequence[Step]) -> Iterator[Violation]:
    broken = [each.step_id for each in steps if each.status in _BROKEN]
    # What was cancelled by hand while a step was under way is cancelled, whatever the step was.
    if broken and execution.status not in ("failed", "cancelled"):
        yield _about(execution, f"it is {execution.status}, but {', '.join(broken)} went wrong")
    if execution.status == "completed":
        acts = [each for each in steps if each.kind in _MESSAGE_KINDS]
        if acts and all(each.status != "completed" for each in acts):
            yield _about(execution, "it is completed, and none of its messages went out")
        if not steps:
            yield _about(execution, "it is completed, and did nothing")


def _messages(
    ledgers: Ledgers,
    execution: Execution,
    steps: Sequence[Step],
    messages: Mapping[str, Message],
) -> Iterator[Violation]:
    for step in steps:
        if step.kind not in _MESSAGE_KINDS:
            continue
        message = messages.get(step.step_id)
        if step.status == "completed":
            if message is None or not _was_taken(ledgers, message):
                yield _about(execution, f"{step.step_id} is completed, and its message not sent")
        elif (
            message is not None
            and message.is_taken
            and step.status in _NEVER_ACTED
            # Unless its provider said so only after the step had ended.
            and not _was_settled_later(ledgers, message, step)
        ):
            yield _about(execution, f"{step.step_id} is {step.status}, and its message sent")
    if execution.status != "cancelled":
        told = {each.step_id for each in steps}
        for step_id, message in messages.items():
            if message.is_taken and step_id not in told:
                yield _about(execution, f"{step_id} was sent, and the run does not tell of it")


def _was_taken(ledgers: Ledgers, message: Message) -> bool:
    changes = ledgers.transitions_of.get(message.id, ())
    return message.is_taken or any(each.to_status in TAKEN for each in changes)


def _was_settled_later(ledgers: Ledgers, message: Message, step: Step) -> bool:
    changes = ledgers.transitions_of.get(message.id, ())
    return any(each.to_status in TAKEN and each.at > step.completed_at for each in changes)


def _after_its_end(
    ledgers: Ledgers, execution: Execution, messages: Iterable[Message]
) -> Iterator[Violation]:
    """What a run has said of itself is not made untrue by a message of it afterwards."""
    assert execution.completed_at is not None, "it has ended"  # noqa: S101
    for message in messages:
        late = [
            each.at
            for each in ledgers.hand_overs(message)
            if each.at > execution.completed_at + ledgers.race
        ]
        if late and not execution.redrives:
            yield _about(
                execution,
                f"it was {execution.status} at {execution.completed_at}, and {message.step_id}"
                f" was handed over at {late[0]}",
            )


def what_was_not_done_says_why(ledgers: Ledgers) -> Check:
    """P7: no message, step or run stopped short of what it was for without a reason."""
    looked_at = (ledgers.events, ledgers.executions, ledgers.steps, ledgers.messages)
    return Check(sum(map(len, looked_at)), list(_unexplained(ledgers)))


def _unexplained(ledgers: Ledgers) -> Iterator[Violation]:
    for event in ledgers.events:
        if event.processed_at is not None and not event.outcome:
            yield Violation(f"event {event.id}", "nobody says what it led to")
    for execution in ledgers.executions:
        if execution.status in _NEVER_ACTED and not execution.reason:
            yield _about(execution, f"it is {execution.status}, and no word why")
    for step in ledgers.steps:
        if step.status != "completed" and not step.reason:
            what, sentence = f"step {step.step_id}", f"it is {step.status}, and no word why"
            yield Violation(what, sentence, execution_id=step.execution_id)
    for message in ledgers.messages:
        if not message.is_taken and not message.reason:
            what = f"{message.channel} {message.id}"
            sentence = f"it is {message.status}, and no word why"
            yield Violation(what, sentence, execution_id=message.execution_id)


def _about(execution: Execution, sentence: str) -> Violation:
    return Violation(f"execution {execution.id}", sentence, execution_id=execution.id)
