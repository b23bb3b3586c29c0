"""P1, P2, P3: nothing that happened is lost, nothing runs twice, nothing has two workflows."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter

from benchmarks.chaos.ledgers import NOBODY, Ledgers, grouped
from benchmarks.chaos.promises.checks import Check, Harm, Violation
from benchmarks.chaos.rows import Automation, Event, Execution, Workflow
from fixlify.domain.events import Event as Happening
from fixlify.domain.events import EventType, SubjectType
from fixlify.domain.ids import execution_of, workflow_id
from fixlify.domain.triggers import Trigger

WINDOW: Final = timedelta(seconds=30)
"""Within it the same automation, subject and value are one (design, P2)."""

# Two servers stamp a start and what follows it, by the clock of one machine.
_CLOCKS_DIFFER: Final = timedelta(milliseconds=100)
_TRIGGER: Final[TypeAdapter[Trigger]] = TypeAdapter(Trigger)
_SAID: Final = re.compile(r"(\d+) (?:pending|skipped)")

_Move = tuple[UUID | None, str | None, str | None, str | None]


def no_change_is_lost(ledgers: Ledgers) -> Check:
    """P1: every change has its event, every event its outcome, every match its execution."""
    violations = [
        *_changes_without_events(ledgers),
        *_rows_without_events(ledgers),
        *_events_without_outcomes(ledgers),
        *_matches_without_executions(ledgers),
    ]
    return Check(len(ledgers.evidence.changes), violations)


def _changes_without_events(ledgers: Ledgers) -> Iterator[Violation]:
    """Compare what was written with what was recorded; only the unconfirmed may go either way."""
    certain: Counter[_Move] = Counter()
    # Of a write nobody confirmed, what it found is not known either.
    possible: Counter[_Move] = Counter()
    for change in ledgers.evidence.changes:
        if change.certain:
            certain[(change.organization_id, change.job_id, change.before, change.after)] += 1
        else:
            possible[(change.organization_id, change.job_id, None, change.after)] += 1
    recorded: Counter[_Move] = Counter(
        (event.organization_id, event.subject_id, event.data.get("before"), event.data.get("after"))
        for event in ledgers.events
        if event.event_type == EventType.JOB_STATUS_CHANGED and event.caused_by is None
    )
    for (_, job, before, after), times in (certain - recorded).items():
        sentence = f"{times} times {before} -> {after} left no event"
        yield Violation(f"job {job}", sentence, Harm.LOST)
    for (organization, job, before, after), times in (recorded - certain).items():
        unconfirmed = (organization, job, None, after)
        settled = min(times, possible[unconfirmed])
        possible[unconfirmed] -= settled
        if times > settled:
            sentence = f"{times - settled} events {before} -> {after} that nobody wrote"
            yield Violation(f"job {job}", sentence, Harm.DUPLICATED)


def _rows_without_events(ledgers: Ledgers) -> Iterator[Violation]:
    """What the database has in its rows, it has in its outbox: both were one commit."""
    for job in ledgers.jobs:
        told = [
            event
            for event in ledgers.events_about.get((job.organization_id, "job", job.id), ())
            if event.event_type in (EventType.JOB_CREATED, EventType.JOB_STATUS_CHANGED)
        ]
        if told and told[-1].data.get("after") != job.status:
            last = told[-1].data.get("after")
            yield Violation(
                f"job {job.id}", f"it is {job.status}, but its last event says {last}", Harm.LOST
            )


def _events_without_outcomes(ledgers: Ledgers) -> Iterator[Violation]:
    found = Counter(each.trigger_data.get("event_id") for each in ledgers.executions)
    for event in ledgers.events:
        outcome = event.outcome or ""
        if event.processed_at is None or not outcome:
            yield Violation(f"event {event.id}", "no relay said what it led to", Harm.LOST)
        elif outcome.startswith(("failed", "unreadable")) or "nobody can read" in outcome:
            yield Violation(f"event {event.id}", f"it could not be relayed: {outcome}", Harm.LOST)
        elif sum(map(int, _SAID.findall(outcome))) > found[event.id]:
            yield Violation(
                f"event {event.id}", f"{outcome}, of which {found[event.id]} are there", Harm.LOST
            )


def _matches_without_executions(ledgers: Ledgers) -> Iterator[Violation]:
    """Match anew, by the triggers alone: of an automation that was never edited or switched."""
    known = {
        (execution.automation_id, execution.trigger_data.get("event_id"))
        for execution in ledgers.executions
    }
    listening = grouped(
        (each.organization_id, (each, _TRIGGER.validate_python(each.definition["trigger"])))
        for each in ledgers.automations
        if each.status == "active" and each.version == 1
    )
    for event in ledgers.events:
        if event.organization_id is None or event.automation_id is not None:
            continue
        happening = _happening(event)
        for automation, trigger in listening.get(event.organization_id, ()):
            if (
                not happening.is_rewrite
                and _listened(automation, event)
                and trigger.matches(happening)
                and (automation.id, event.id) not in known
            ):
                yield Violation(
                    f"event {event.id}", f"it has no execution of {automation.name}", Harm.LOST
                )


def _listened(automation: Automation, event: Event) -> bool:
    return automation.activated_at is None or event.occurred_at >= automation.activated_at


def _happening(event: Event) -> Happening:
    return Happening(
        id=event.id,
        organization_id=event.organization_id,
        type=EventType(event.event_type),
        subject_type=SubjectType(event.subject_type),
        subject_id=event.subject_id or "",
        data=event.data,
        occurred_at=event.occurred_at,
    )


def nothing_runs_twice(ledgers: Ledgers) -> Check:
    """P2: one execution per occurrence for ever, and one that ran per duplicate window."""
    violations = []
    occurrences = grouped(
        ((each.automation_id, each.occurrence_key), each) for each in ledgers.executions
    )
    for (_, key), same in occurrences.items():
        if len(same) > 1:
            violations.append(
                Violation(
                    f"occurrence {key}",
                    f"{len(same)} executions of one automation",
                    Harm.DUPLICATED,
                    same[-1].id,
                )
            )
    windows = grouped(
        ((each.automation_id, each.subject_type, each.subject_id, each.trigger_value), each)
        for each in ledgers.executions
        if each.ran
    )
    for same in windows.values():
        in_order = sorted(same, key=lambda each: each.occurred_at)
        for earlier, later in itertools.pairwise(in_order):
            apart = later.occurred_at - earlier.occurred_at
            if apart < WINDOW:
                violations.append(
                    Violation(
                        f"execution {later.id}",
                        f"it ran {apart.total_seconds():.1f} s after {earlier.id}, which is the"
                        " same",
                        Harm.DUPLICATED,
                        later.id,
                    )
                )
    return Check(len(ledgers.executions), violations)


def each_run_has_one_workflow(ledgers: Ledgers) -> Check:
    """P3: one workflow per execution and redrive, and the execution is in its hands alone."""
    begun = [each for each in ledgers.executions if each.started_at is not None]
    violations = [
        Violation(
            f"execution {each.id}",
            f"it was begun by the workflow {each.workflow_id}",
            Harm.DUPLICATED,
            each.id,
        )
        for each in begun
        if each.workflow_id != workflow_id(each.id, each.redrives)
    ]
    if ledgers.workflows is not None:
        violations += _two_workflows(ledgers, ledgers.workflows)
        violations += _foreign_runs(begun, ledgers.workflows)
    return Check(len(begun), violations)


def _two_workflows(ledgers: Ledgers, workflows: Sequence[Workflow]) -> Iterator[Violation]:
    # One that goes on in a new history is listed once for each, and ends once.
    ends = Counter(each.id for each in workflows if each.status != "CONTINUED_AS_NEW")
    for id_, times in ends.items():
        execution = ledgers.execution.get(execution_of(id_) or NOBODY)
        if execution is None:
            yield Violation(f"workflow {id_}", "the database has no such execution", Harm.LOST)
        elif id_ not in {workflow_id(execution.id, n) for n in range(execution.redrives + 1)}:
            yield Violation(f"workflow {id_}", "nobody launches it by that name", Harm.DUPLICATED)
        elif times > 1:
            yield Violation(
                f"workflow {id_}", f"it ran {times} times", Harm.DUPLICATED, execution.id
            )


def _foreign_runs(begun: Sequence[Execution], workflows: Sequence[Workflow]) -> Iterator[Violation]:
    runs = grouped((each.id, each) for each in workflows)
    for execution in begun:
        of_it = {each.run_id: each for each in runs.get(execution.workflow_id or "", ())}
        if not of_it:
            yield Violation(
                f"execution {execution.id}",
                "Temporal has no workflow of it",
                Harm.LOST,
                execution.id,
            )
            continue
        run = of_it.get(execution.run_id or "")
        if execution.redrives or len(of_it) > 1 or execution.started_at is None:
            continue
        if run is None or run.start_time > execution.started_at + _CLOCKS_DIFFER:
            yield Violation(
                f"execution {execution.id}",
                "a workflow took it over after another had begun it",
                Harm.DUPLICATED,
                execution.id,
            )
