"""Decide, for a batch of events, which automations run and which are skipped, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fixlify.domain.events import Event
from fixlify.domain.facts import Facts
from fixlify.domain.ids import new_id
from fixlify.domain.runs import ExecutionStatus
from fixlify.storage.automations import Listening, ListeningAutomation
from fixlify.storage.executions import (
    DUPLICATE,
    DUPLICATE_WINDOW,
    NewExecution,
    WindowKey,
)


@dataclass(frozen=True, slots=True)
class Match:
    """An event whose type and values an automation listens for."""

    event: Event
    automation: ListeningAutomation

    @property
    def key(self) -> WindowKey:
        """What a duplicate of this match would share with it."""
        return WindowKey(
            self.automation.id,
            self.event.subject_id,
            self.automation.trigger.value_of(self.event),
        )


def find_matches(events: Sequence[Event], listening: Mapping[UUID, Listening]) -> list[Match]:
    """Return every pair of an event and an automation of its own organization that match."""
    return [
        Match(event, automation)
        for event in events
        for automation in listening.get(event.organization_id, Listening()).automations
        if automation.trigger.matches(event)
    ]


def decide(
    matches: Sequence[Match],
    facts: Mapping[tuple[UUID, str], Facts],
    in_window: Mapping[WindowKey, Sequence[datetime]],
) -> list[NewExecution]:
    """Return one execution per match, pending or skipped with its reason, in event order.

    A status that was merely written again yields a skipped execution where it repeats one,
    and nothing where it does not: nothing happened then.

    Args:
        matches: What to decide, oldest event first.
        facts: The subjects' facts, for automations with conditions.
        in_window: When each key already ran, within the window of its occurrence.
    """
    ran: dict[WindowKey, list[datetime]] = {key: list(times) for key, times in in_window.items()}
    decided = []
    for match in matches:
        times = ran.setdefault(match.key, [])
        instant = match.event.occurred_at
        if any(abs(instant - earlier) < DUPLICATE_WINDOW for earlier in times):
            decided.append(_execution(match, DUPLICATE))
        elif match.event.is_rewrite:
            continue
        elif (reason := _unmet(match, facts)) is not None:
            decided.append(_execution(match, reason))
        else:
            times.append(instant)
            decided.append(_execution(match))
    return decided


def _unmet(match: Match, facts: Mapping[tuple[UUID, str], Facts]) -> str | None:
    """Return why the conditions do not hold, or None when they do."""
    conditions = match.automation.conditions
    if conditions is None:
        return None
    known = facts.get((match.event.organization_id, match.event.subject_id))
    if known is None:
        return "the job no longer exists"
    failures = conditions.failures(known)
    return f"conditions not met: {'; '.join(failures)}" if failures else None


def _execution(match: Match, skipped_because: str | None = None) -> NewExecution:
    event, automation = match.event, match.automation
    return NewExecution(
        id=new_id(),
        organization_id=event.organization_id,
        automation_id=automation.id,
        automation_version=automation.version,
        occurrence_key=f"event/{event.id}",
        subject_type="job",
        subject_id=event.subject_id,
        trigger_type=automation.trigger.type,
        trigger_value=automation.trigger.value_of(event),
        trigger_data={
            "event_id": event.id,
            "event_type": event.type.value,
            "job_id": event.subject_id,
            "before": event.before,
            "after": event.after,
        },
        occurred_at=event.occurred_at,
        status=ExecutionStatus.SKIPPED if skipped_because else ExecutionStatus.PENDING,
        reason=skipped_because,
    )
