"""Say why automations were not set off by an event, judged by how they are written now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fixlify.domain.automation import AutomationStatus, StoredAutomation
from fixlify.domain.events import Event, EventType, SubjectType
from fixlify.domain.triggers import TRIGGERS_BY_EVENT, Trigger
from fixlify.domain.triggers.changes import StatusChanged, StatusReached, TagsChanged, Updated
from fixlify.domain.triggers.custom import Custom
from fixlify.storage.recorded_events import PastEvent

_ASLEEP: Mapping[AutomationStatus, str] = {
    AutomationStatus.DRAFT: "it is a draft and listens to nothing; `fixlify automations enable`",
    AutomationStatus.PAUSED: "it is paused; `fixlify automations enable` makes it listen",
    AutomationStatus.ARCHIVED: "it is archived",
}


@dataclass(frozen=True, slots=True)
class NotSetOff:
    """An automation of the event's kind, and why the event did not set it off."""

    automation_id: UUID
    automation: str
    reason: str


@dataclass(frozen=True, slots=True)
class Since:
    """Since when an automation is active, and since when it is written as it is now."""

    active: datetime | None = None
    written: datetime | None = None


def why_not_set_off(
    past: PastEvent,
    organization_id: UUID,
    automations: Sequence[StoredAutomation],
    since: Mapping[UUID, Since],
) -> list[NotSetOff]:
    """Return why each automation of the event's kind stayed still; empty where there is none.

    Nobody recorded it then: it is told from what the automations say today.
    """
    event = event_of(past, organization_id)
    if event is None:
        return []
    of_its_kind = TRIGGERS_BY_EVENT[event.type]
    return [
        NotSetOff(each.id, each.definition.name, _why(event, each, since.get(each.id, Since())))
        for each in automations
        if each.definition.trigger.type in of_its_kind and event.automation_id in (None, each.id)
    ]


def _why(event: Event, automation: StoredAutomation, since: Since) -> str:
    trigger = automation.definition.trigger
    if not trigger.matches(event):
        return asked_for_else(trigger, event)
    if event.is_rewrite:
        return "the same status was written again: nothing changed"
    if automation.status is not AutomationStatus.ACTIVE:
        return _ASLEEP[automation.status]
    if since.active is not None and since.active > event.occurred_at:
        return f"it became active only later, at {since.active:%Y-%m-%d %H:%M} UTC"
    if since.written is not None and since.written > event.occurred_at:
        written = f"{since.written:%Y-%m-%d %H:%M} UTC"
        return f"it would be set off as it is written now, since {written}; it was not then"
    return "it would be set off today; it was paused then, or the relay skipped the event"


def asked_for_else(trigger: Trigger, event: Event) -> str:
    """Return what *trigger* listens for, and what *event* was instead."""
    after, before = event.after or "(none)", event.before or "(none)"
    match trigger:
        case StatusChanged(from_=came_from, to=to):
            wanted = f"status {_or(to)}" if to else "any status"
            came = f" coming from {_or(came_from)}" if came_from else ""
            return f"it listens for {wanted}{came}; this went from {before} to {after}"
        case StatusReached(words=words):
            if event.after is not None and trigger.matches(_from_nothing(event)):
                return f"it had reached {before} before; {after} is no news"
            return f"it listens for status {words[0]}; this went to {after}"
        case Updated(fields=fields):
            changed = ", ".join(sorted(event.changed)) or "nothing known"
            return f"it listens for edits of {_or(fields or [])}; this changed {changed}"
        case TagsChanged(added=added, removed=removed):
            wanted = _or([f"+{tag}" for tag in added or ()] + [f"-{tag}" for tag in removed or ()])
            return f"it listens for the tags {wanted}; these were others"
        case Custom(name=name):
            return f"it listens for {name}; this was {event.data.get('name')}"
        case _:
            asked = trigger.model_dump(mode="json", by_alias=True, exclude_none=True)
            narrowed = "; ".join(f"{key} {asked[key]}" for key in asked if key != "type")
            return f"its trigger asks for something else ({narrowed or trigger.type})"


def _from_nothing(event: Event) -> Event:
    return event.model_copy(update={"data": {**event.data, "before": None}})


def event_of(past: PastEvent, organization_id: UUID) -> Event | None:
    """Return a recorded event as the relay reads it; None where nobody can."""
    if past.subject_id is None or past.occurred_at is None:
        return None
    try:
        return Event(
            id=past.id,
            organization_id=organization_id,
            type=EventType(past.event_type),
            subject_type=SubjectType(past.subject_type),
            subject_id=past.subject_id,
            data=past.data,
            occurred_at=past.occurred_at,
            automation_id=past.automation_id,
        )
    except ValueError:
        # A newer program recorded it, or nobody can read it.
        return None


def _or(words: Sequence[str]) -> str:
    return " or ".join(words) or "anything"
