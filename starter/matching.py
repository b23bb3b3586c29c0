"""Decide, for a batch of events, which automations run and which are skipped, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from fixlify.domain.durations import format_duration
from fixlify.domain.events import Event, SubjectType
from fixlify.domain.facts import Facts, Subject
from fixlify.domain.ids import new_id
from fixlify.domain.occurrences import of_event
from fixlify.domain.runs import ExecutionStatus
from fixlify.domain.triggers.due import FoundBySweep
from fixlify.domain.triggers.scheduled import Scheduled
from fixlify.storage.automations import Listening, ListeningAutomation
from fixlify.storage.executions import (
    DUPLICATE,
    DUPLICATE_WINDOW,
    NewExecution,
    WindowKey,
)

MAX_CHAIN: Final = 5
"""How many automations may set each other off, one after another."""


@dataclass(frozen=True, slots=True)
class Match:
    """An event whose type and values an automation listens for."""

    event: Event
    automation: ListeningAutomation

    @property
    def subject(self) -> Subject:
        """Whose facts the conditions are about."""
        return Subject(self.event.organization_id, self.event.subject_type, self.event.subject_id)

    @property
    def key(self) -> WindowKey:
        """What a duplicate of this match would share with it."""
        return WindowKey(
            self.automation.id,
            self.event.subject_id,
            self.automation.trigger.value_of(self.event),
        )


def find_matches(events: Sequence[Event], listening: Mapping[UUID, Listening]) -> list[Match]:
    """Return every pair of an event and an automation of its own organization that match.

    What a sweep found is for one automation. What happened before an automation became active
    concerns it no more, also where the relay only comes to it now.
    """
    return [
        Match(event, automation)
        for event in events
        for automation in listening.get(event.organization_id, Listening()).automations
        if event.automation_id in (None, automation.id)
        and (automation.activated_at is None or event.occurred_at >= automation.activated_at)
        and automation.trigger.matches(event)
    ]


def decide(
    matches: Sequence[Match],
    facts: Mapping[Subject, Facts],
    in_window: Mapping[WindowKey, Sequence[datetime]],
    names: Mapping[tuple[UUID, UUID], str] = MappingProxyType({}),
) -> list[NewExecution]:
    """Return one execution per match, pending or skipped with its reason, in event order.

    A status that was merely written again yields a skipped execution where it repeats one,
    and nothing where it does not: nothing happened then.

    Args:
        matches: What to decide, oldest event first.
        facts: The subjects' facts, for automations with conditions.
        in_window: When each key already ran, within the window of its occurrence.
        names: What the automations in the events' chains are called, by organization and id.
    """
    ran: dict[WindowKey, list[datetime]] = {key: list(times) for key, times in in_window.items()}
    decided = []
    for match in matches:
        times = ran.setdefault(match.key, [])
        instant = match.event.occurred_at
        repeats = any(abs(instant - earlier) < DUPLICATE_WINDOW for earlier in times)
        if match.event.is_rewrite and not repeats:
            continue
        if (chained := _chained(match, names)) is not None:
            decided.append(_execution(match, chained))
        elif repeats:
            decided.append(_execution(match, DUPLICATE))
        elif (reason := match.event.too_late or _stale(match) or _unmet(match, facts)) is not None:
            decided.append(_execution(match, reason))
        else:
            times.append(instant)
            decided.append(_execution(match))
    return decided


def _chained(match: Match, names: Mapping[tuple[UUID, UUID], str]) -> str | None:
    """Return why what automations did sets this one off no more, or None."""
    chain, automation = match.event.chain, match.automation
    if not chain:
        return None
    names = {**names, (automation.organization_id, automation.id): automation.name}
    way = " -> ".join(
        names.get((automation.organization_id, each), str(each)) for each in (*chain, automation.id)
    )
    if automation.id in chain:
        return f"loop: set off by its own change ({way})"
    if len(chain) >= MAX_CHAIN:
        return f"chain too long: it ends after {MAX_CHAIN} automations ({way})"
    return None


def _good_for(match: Match) -> timedelta:
    trigger = match.automation.trigger
    if isinstance(trigger, FoundBySweep | Scheduled):
        return trigger.good_for
    return match.automation.start_within


def _stale(match: Match) -> str | None:
    """Return why the event comes too late now, or None: no relay ran for a while."""
    waited, good_for = match.event.waited, _good_for(match)
    if waited <= good_for:
        return None
    minutes, at_most = waited // timedelta(minutes=1), format_duration(good_for)
    if isinstance(match.automation.trigger, FoundBySweep | Scheduled):
        return (
            f"found {minutes} minutes before a relay came to it; it is sent at most {at_most} late"
        )
    return f"happened {minutes} minutes before a relay came to it; it begins at most {at_most} late"


def _unmet(match: Match, facts: Mapping[Subject, Facts]) -> str | None:
    """Return why the conditions do not hold, or None when they do."""
    conditions = match.automation.conditions
    if conditions is None:
        return None
    known = facts.get(match.subject)
    if known is None:
        return f"the {match.event.subject_type} no longer exists"
    failures = conditions.failures(known.with_event(match.event.data))
    return f"conditions not met: {'; '.join(failures)}" if failures else None


def _execution(match: Match, skipped_because: str | None = None) -> NewExecution:
    event, automation = match.event, match.automation
    return NewExecution(
        id=new_id(),
        organization_id=event.organization_id,
        automation_id=automation.id,
        automation_version=automation.version,
        occurrence_key=event.occurrence_key or of_event(event.id),
        subject_type=event.subject_type.value,
        subject_id=event.subject_id,
        trigger_type=automation.trigger.type,
        trigger_value=automation.trigger.value_of(event),
        trigger_data=_trigger_data(event),
        occurred_at=event.occurred_at,
        status=ExecutionStatus.SKIPPED if skipped_because else ExecutionStatus.PENDING,
        reason=skipped_because,
        good_until=match.event.occurred_at + _good_for(match),
        chain=event.chain,
        swept=event.automation_id is not None,
    )


def _trigger_data(event: Event) -> dict[str, Any]:
    """Return what is kept of the event with its execution; the job's id as it always was."""
    job = {"job_id": event.subject_id} if event.subject_type is SubjectType.JOB else {}
    return {**event.data, **job, "event_id": event.id, "event_type": event.type.value}
