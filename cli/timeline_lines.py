"""One timeline out of what was recorded: each thing once, in the words people read."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from cli.happenings import what_happened
from cli.output import counted, printable
from fixlify.domain.runs import ACTIONS, MESSAGES, WAITS, ExecutionStatus, StepKind
from fixlify.storage.recorded_events import PastEvent
from fixlify.storage.timeline import (
    Action,
    ConsentChange,
    Decision,
    Delivery,
    KnownClient,
    Run,
    TakenStep,
    Timeline,
)
from starter.explaining import NotSetOff

SHORT_ID: Final = 18
"""An id's first characters name a millisecond and 12 random bits: enough to ask for one."""

_ENDED_BEFORE_IT_BEGAN: Final = frozenset({ExecutionStatus.SKIPPED, ExecutionStatus.CANCELLED})
_OPEN: Final = frozenset({ExecutionStatus.RUNNING, ExecutionStatus.WAITING})

_UTC: Final = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(?: UTC|\+00:00|Z)")
_UTC_PAIR: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d), was (\d{4}-\d\d-\d\d \d\d:\d\d) UTC")
_ROW_ID: Final = re.compile(r"\b([0-9a-f]{8})(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


class Mark(StrEnum):
    """What kind of thing a line tells; each looks another way."""

    HAPPENED = "happened"
    SET_OFF = "set off"
    DONE = "done"
    NOTED = "noted"
    WAITING = "waiting"
    HELD = "held"
    NOT_DONE = "not done"
    FAILED = "failed"
    ASIDE = "aside"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened; *run* names whose doing it is, *details* stand below it."""

    at: datetime | None
    mark: Mark
    text: str
    details: tuple[tuple[Mark, str], ...] = ()
    run: str | None = None
    execution_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """Puts recorded texts into words: moments in *zone*, rows of the database by short names."""

    zone: ZoneInfo
    client: KnownClient | None = None

    def __call__(self, text: str) -> str:
        paired = _UTC_PAIR.sub(r"\1 UTC, was \2 UTC", text)
        return printable(_ROW_ID.sub(self._named, _UTC.sub(self._moment, paired)))

    def moment(self, instant: datetime) -> str:
        return f"{instant.astimezone(self.zone):%a %-d %b %Y %H:%M}"

    def _moment(self, found: re.Match[str]) -> str:
        try:
            instant = datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC)
        except ValueError:
            return found[0]
        return self.moment(instant)

    def _named(self, found: re.Match[str]) -> str:
        if self.client is not None and found[0] == str(self.client.id):
            return self.client.name
        return f"{found[1]}…"


@dataclass(frozen=True, slots=True)
class _Teller:
    """Tells one timeline."""

    timeline: Timeline
    unmatched: Mapping[int, Sequence[NotSetOff]]
    words: Words
    labels: Mapping[UUID, str] = field(default_factory=dict)

    def lines(self) -> list[Line]:
        """Return every line, oldest first; what is still going on comes last."""
        runs_of = defaultdict(list)
        for run in self.timeline.runs:
            runs_of[run.event_id].append(run)
        known = {event.id for event in self.timeline.events}
        found = [self._event(event, runs_of[event.id]) for event in self.timeline.events]
        for run in self.timeline.runs:
            if run.event_id not in known:
                found.append(self._forgotten_event(run))
            found += self._run(run)
        found += map(self._consent, self.timeline.consent)
        return sorted(
            found, key=lambda line: (line.at is None, line.at.timestamp() if line.at else 0.0)
        )

    def _event(self, event: PastEvent, runs: Sequence[Run]) -> Line:
        data = {**event.data, "event_type": event.event_type}
        happened = what_happened(event.subject_type, event.subject_id or "(no id)", data)
        details = [self._match(run) for run in runs]
        told = list(self._told(event))
        details += told
        if not runs:
            details += self._nothing(event, "nothing else matched" if told else "nothing matched")
        return Line(event.occurred_at, Mark.HAPPENED, self.words(happened), tuple(details))

    def _forgotten_event(self, run: Run) -> Line:
        happened = what_happened(run.subject_type, run.subject_id, run.trigger_data)
        return Line(run.occurred_at, Mark.HAPPENED, self.words(happened), (self._match(run),))

    def _match(self, run: Run) -> tuple[Mark, str]:
        label = self.labels[run.id]
        if run.started_at is None and run.status in _ENDED_BEFORE_IT_BEGAN:
            return Mark.NOT_DONE, self.words(f"{label}: {run.status}: {run.reason or 'no reason'}")
        begins = "; it has not begun yet" if run.started_at is None else ""
        return Mark.SET_OFF, f"{printable(label)}: matched, run {str(run.id)[:SHORT_ID]}{begins}"

    def _told(self, event: PastEvent) -> Iterator[tuple[Mark, str]]:
        for run in self.timeline.runs:
            for told in run.told:
                if told.event_id == event.id:
                    reached = "told of it" if told.delivered_at else "not told of it yet"
                    yield Mark.SET_OFF, f"{printable(self.labels[run.id])}: its run was {reached}"

    def _nothing(self, event: PastEvent, nothing: str) -> Iterator[tuple[Mark, str]]:
        if event.processed_at is None:
            yield Mark.WAITING, "no relay has come to it yet; `fixlify doctor` says why"
            return
        outcome = event.outcome or ""
        if outcome and not outcome.startswith("nothing matched"):
            yield Mark.NOT_DONE, self.words(outcome)
            return
        reasons = self.unmatched.get(event.id, ())
        if not reasons:
            yield Mark.ASIDE, f"{nothing}: no automation listens for such events"
            return
        yield Mark.ASIDE, f"{nothing}; as the automations are written now:"
        for each in reasons:
            yield Mark.NOT_DONE, self.words(f"{each.automation}: {each.reason}")

    def _run(self, run: Run) -> Iterator[Line]:
        def line(at: datetime | None, mark: Mark, text: str) -> Line:
            return Line(at, mark, self.words(text), (), self.labels[run.id], run.id)

        journaled = {(each.step_id, each.kind) for each in run.decisions}
        written = {each.step_id for each in run.messages} | {each.step_id for each in run.actions}
        for decision in run.decisions:
            yield line(decision.decided_at, *_decided(decision))
        for step in run.steps:
            if not _told_elsewhere(step, journaled, written):
                yield line(step.completed_at, *_stepped(step))
        ends = {step.step_id: step.completed_at for step in run.steps}
        for message in run.messages:
            at = message.sent_at or ends.get(message.step_id)
            at = at or message.sending_at or message.created_at
            yield line(at, *self._message(message))
        for action in run.actions:
            yield line(action.finished_at or action.created_at, *_acted(action))
        if run.started_at is not None and run.completed_at is not None:
            yield line(run.completed_at, *_ended(run))
        elif run.status in _OPEN:
            waits = f"now at {run.waiting_for}" if run.waiting_for else "is under way now"
            yield line(None, Mark.WAITING, waits)

    def _message(self, message: Delivery) -> tuple[Mark, str]:
        to = f"{message.channel} to the {message.recipient_kind}"
        if message.recipient:
            to += f" {message.recipient}"
        # What rules hold says so by itself: held until … with the reason.
        reason = message.reason or ""
        says_held = reason.startswith("held until")
        about = [f"{message.step_id}: {to}: {reason if says_held else message.status}"]
        if message.message_class != "transactional":
            about.append(message.message_class)
        if message.status == "held" and message.held_until and not says_held:
            about.append(f"until {self.words.moment(message.held_until)}")
        if reason and not says_held:
            about.append(reason)
        if message.provider:
            by = f"{message.provider} took it"
            about.append(f"{by} as {message.provider_id}" if message.provider_id else by)
        if message.segments:
            about.append(counted(message.segments, "segment"))
        if message.attempts > 1:
            about.append(counted(message.attempts, "attempt"))
        if message.error_code:
            about.append(f"code {message.error_code}")
        return _MESSAGE_MARKS.get(message.status, Mark.NOT_DONE), ", ".join(about)

    def _consent(self, change: ConsentChange) -> Line:
        what = (
            f"{change.message_class} {change.channel}" if change.message_class else change.channel
        )
        if change.reason is None:
            text = f"the client opted out of {what} ({change.source})"
        else:
            text = f"the address gets no {what} any more: {change.reason} ({change.source})"
        return Line(change.created_at, Mark.NOT_DONE, self.words(text))


def tell(
    timeline: Timeline,
    unmatched: Mapping[int, Sequence[NotSetOff]],
    zone: ZoneInfo,
    client: KnownClient | None = None,
) -> list[Line]:
    """Return *timeline* line by line, oldest first.

    Args:
        timeline: What was recorded.
        unmatched: Why nothing matched, by the id of the event.
        zone: The company's; moments within texts are put into it.
        client: Who is called by name.
    """
    return _Teller(timeline, unmatched, Words(zone, client), _labels(timeline.runs)).lines()


def _moment_of(line: Line) -> float:
    return line.at.timestamp() if line.at is not None else math.inf


def _labels(runs: Sequence[Run]) -> Mapping[UUID, str]:
    """Return what each run is called: its automation, with a number where there are several."""
    total = Counter(run.automation for run in runs)
    seen: Counter[str] = Counter()
    labels = {}
    for run in runs:
        seen[run.automation] += 1
        number = f" #{seen[run.automation]}" if total[run.automation] > 1 else ""
        labels[run.id] = f"{run.automation}{number}"
    return labels


def _told_elsewhere(
    step: TakenStep, journaled: set[tuple[str | None, str]], written: set[str]
) -> bool:
    """Whether the journal, the ledger or the actions tell the same with more to it."""
    if step.kind in MESSAGES | ACTIONS:
        return step.step_id in written
    if step.kind in WAITS:
        return (step.step_id, "woken") in journaled or (step.step_id, "late") in journaled
    return (step.step_id, _JOURNALED_AS.get(step.kind, "")) in journaled


def _decided(decision: Decision) -> tuple[Mark, str]:
    mark, word = _DECISIONS.get(decision.kind, (Mark.NOTED, decision.kind))
    place = f"{decision.step_id}: " if decision.step_id else ""
    if word == "held: " and decision.detail.startswith("held"):
        word = ""
    return mark, f"{place}{word}{decision.detail}"


def _stepped(step: TakenStep) -> tuple[Mark, str]:
    done = "the wait is over" if step.kind in WAITS else str(step.status)
    said = done if step.status == "completed" else str(step.status)
    because = "; ".join(each for each in (step.result, step.reason) if each)
    text = f"{step.step_id}: {said}" + (f": {because}" if because else "")
    return _STEP_MARKS.get(step.status, Mark.NOT_DONE), text


def _acted(action: Action) -> tuple[Mark, str]:
    tried = f", {counted(action.attempts, 'attempt')}" if action.attempts > 1 else ""
    because = f": {action.reason}" if action.reason else ""
    kind = _ACTS.get(action.kind, action.kind)
    text = f"{action.step_id}: {kind}: {action.status}{tried}{because}"
    return _STEP_MARKS.get(action.status, Mark.NOTED), text


def _ended(run: Run) -> tuple[Mark, str]:
    because = f": {run.reason}" if run.reason else ""
    again = f" (set going again {counted(run.redrives, 'time')})" if run.redrives else ""
    return _STEP_MARKS.get(run.status, Mark.NOT_DONE), f"the run is {run.status}{again}{because}"


_DECISIONS: Final[Mapping[str, tuple[Mark, str]]] = MappingProxyType(
    {
        "armed": (Mark.WAITING, "waits "),
        "rearmed": (Mark.WAITING, "its moment moved: waits "),
        "heard": (Mark.NOTED, "heard "),
        "branched": (Mark.NOTED, "goes "),
        "held": (Mark.HELD, "held: "),
        "woken": (Mark.NOTED, "goes on: "),
        "late": (Mark.NOT_DONE, "too late, what hangs on it is skipped: "),
        "exited": (Mark.NOT_DONE, "the run ends: "),
        "cancelled": (Mark.NOT_DONE, "cancelled: "),
        "redriven": (Mark.SET_OFF, "set going again: "),
    }
)
_JOURNALED_AS: Final[Mapping[StepKind, str]] = MappingProxyType(
    {StepKind.BRANCH: "branched", StepKind.EXIT: "exited"}
)
_MESSAGE_MARKS: Final[Mapping[str, Mark]] = MappingProxyType(
    {
        "sent": Mark.DONE,
        "delivered": Mark.DONE,
        "undelivered": Mark.FAILED,
        "bounced": Mark.FAILED,
        "held": Mark.HELD,
        "queued": Mark.WAITING,
        "sending": Mark.WAITING,
        "failed": Mark.FAILED,
        "unknown": Mark.FAILED,
    }
)
_STEP_MARKS: Final[Mapping[str, Mark]] = MappingProxyType(
    {
        "completed": Mark.DONE,
        "done": Mark.DONE,
        "failed": Mark.FAILED,
        "unknown": Mark.FAILED,
        "held": Mark.HELD,
    }
)
_ACTS: Final[Mapping[str, str]] = MappingProxyType(
    {"webhook": "call of a webhook", "update": "change of a record", "task": "a task"}
)
