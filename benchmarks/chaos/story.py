"""The story of one execution: what was written, decided and sent, and what broke meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from benchmarks.chaos.ledgers import Ledgers
from benchmarks.chaos.rows import Execution, Message

_BEFORE: Final = timedelta(seconds=15)
"""What broke so long before a run may still have been broken when it began."""


@dataclass(frozen=True, slots=True)
class _Line:
    at: datetime
    who: str
    text: str


def story_of(ledgers: Ledgers, id_: UUID) -> str:
    """Return the story of the execution *id_*, or of the one a message belongs to.

    Raises:
        LookupError: There is neither by that id.
    """
    message = ledgers.message.get(id_)
    execution = ledgers.execution.get(message.execution_id if message else id_)
    if execution is None:
        raise LookupError(f"no execution and no message has the id {id_}")
    lines = sorted(_lines(ledgers, execution), key=lambda line: line.at)
    struck = _faults(ledgers, lines[0].at - _BEFORE, lines[-1].at)
    lines = sorted([*lines, *struck], key=lambda line: line.at)
    automation = ledgers.automation.get(execution.automation_id)
    name = automation.name if automation else execution.automation_id
    company = ledgers.names.get(execution.organization_id, execution.organization_id)
    head = (
        f"Execution {execution.id} of '{name}' for {company}, {execution.subject_type}"
        f" {execution.subject_id}: {execution.status}"
    )
    told = (f"  {line.at:%H:%M:%S.%f} {line.who:>9}  {line.text}" for line in lines)
    return "\n".join([head, *told])


def _lines(ledgers: Ledgers, execution: Execution) -> Iterator[_Line]:
    about = (execution.organization_id, execution.subject_id)
    for change in ledgers.evidence.changes:
        if (change.organization_id, change.job_id) == about:
            sure = "" if change.certain else ", and nobody heard whether it was committed"
            yield _Line(change.at, "business", f"writes {change.before} -> {change.after}{sure}")
    event_id = execution.trigger_data.get("event_id")
    for event in ledgers.events:
        if event.id == event_id:
            yield _Line(event.occurred_at, "trigger", f"records event {event.id}")
            if event.processed_at is not None:
                yield _Line(event.processed_at, "relay", f"event {event.id}: {event.outcome}")
    yield _Line(execution.created_at, "relay", "enters the execution")
    if execution.launched_at is not None:
        yield _Line(execution.launched_at, "launcher", "has a workflow for it")
    if execution.started_at is not None:
        workflow = f"{execution.workflow_id}, run {execution.run_id}"
        yield _Line(execution.started_at, "workflow", f"begins it: {workflow}")
    for decision in ledgers.decisions:
        if decision.execution_id == execution.id:
            yield _Line(decision.decided_at, "run", f"{decision.kind}: {decision.detail}")
    for step in ledgers.steps_of.get(execution.id, ()):
        yield _Line(
            step.completed_at, "run", _because(f"{step.step_id} is {step.status}", step.reason)
        )
    for message in ledgers.messages_of.get(execution.id, ()):
        yield from _message(ledgers, message)
    if execution.completed_at is not None:
        ended = _because(f"the execution is {execution.status}", execution.reason)
        yield _Line(execution.completed_at, "run", ended)


def _message(ledgers: Ledgers, message: Message) -> Iterator[_Line]:
    name = f"{message.step_id} ({message.channel} {message.id})"
    yield _Line(message.created_at, "ledger", f"{name} is entered")
    for change in ledgers.transitions_of.get(message.id, ()):
        way = f"{message.step_id}: {change.from_status} -> {change.to_status}"
        yield _Line(change.at, "ledger", f"{way}, attempt {change.attempt}: {change.cause}")
    if message.channel == "email":
        for email in ledgers.evidence.emails:
            if str(message.id) in email.headers.get("Message-ID", ""):
                yield _Line(email.received_at, "provider", f"has {message.step_id}, an email")
    else:
        for text in ledgers.evidence.texts:
            if (text.to, text.body) == (message.recipient, message.body_text):
                told = f"has {message.step_id}, or one like it, as {text.sid} ({text.status})"
                yield _Line(text.received_at, "provider", told)


def _faults(ledgers: Ledgers, since: datetime, until: datetime) -> Sequence[_Line]:
    """Return what struck meanwhile; the first change is when the traffic began, about."""
    if not ledgers.evidence.changes:
        return []
    began = min(change.at for change in ledgers.evidence.changes)
    lines = []
    for fault in ledgers.evidence.faults:
        at = began + timedelta(seconds=fault.at)
        if since <= at <= until:
            while_down = " (during recovery)" if fault.during_recovery else ""
            lines.append(_Line(at, "MONKEY", f"{fault.kind}{while_down}: {fault.detail}"))
    return lines


def _because(text: str, reason: str | None) -> str:
    return f"{text}: {reason}" if reason else text
