"""What a rehearsal is about: an automation, a subject, and what would have happened to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fixlify.domain.automation import PinnedDefinition
from fixlify.domain.errors import DefinitionError, Problem
from fixlify.domain.events import Event, EventType, SubjectType
from fixlify.domain.facts import Facts, Subject
from fixlify.domain.ids import new_id
from fixlify.domain.names import did_you_mean
from fixlify.domain.runs import ExecutionStatus
from fixlify.storage.automations import Listening, ListeningAutomation
from starter.explaining import asked_for_else
from starter.matching import decide, find_matches

_SOURCE = "--event"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """An automation as it is rehearsed: a draft has an id of its own, and is nowhere stored."""

    id: UUID
    pinned: PinnedDefinition
    stored: bool = False

    @classmethod
    def draft(cls, pinned: PinnedDefinition) -> Rehearsed:
        """Return a draft that nobody stored."""
        return cls(new_id(), pinned)

    def listening(self, organization_id: UUID) -> Mapping[UUID, Listening]:
        """Return it as the relay would find it if it were active all the time."""
        definition = self.pinned.definition
        automation = ListeningAutomation(
            id=self.id,
            organization_id=organization_id,
            name=definition.name,
            version=1,
            trigger=definition.trigger,
            conditions=definition.conditions,
            start_within=definition.start_within,
        )
        return {organization_id: Listening([automation])}


def read_event(
    written: Any, subject: tuple[SubjectType, str] | None, organization_id: UUID, at: datetime
) -> Event:
    """Return the event that *written* describes.

    Args:
        written: Parsed JSON: ``type``, where it is not given otherwise one of ``job``,
            ``client``, ``invoice`` and so on with the subject's id, and the event's own data.
        subject: Whose it is, where that is given otherwise.
        organization_id: Whose.
        at: When it happens.

    Raises:
        DefinitionError: It is no such thing; says what one looks like.
    """
    if not isinstance(written, dict):
        raise _refusal("", 'write an object: {"type": "job_status_changed", "after": "completed"}')
    data = dict(written)
    try:
        event_type = EventType(data.pop("type", ""))
    except ValueError:
        hint = did_you_mean(str(written.get("type", "")), [each.value for each in EventType])
        raise _refusal("type", f"there is no event of that type; {hint}") from None
    for kind in SubjectType:
        if kind.value in data:
            subject = subject or (kind, str(data.pop(kind.value)))
            data.pop(kind.value, None)
    if subject is None:
        raise _refusal("", "say what it happens to: --job J-2019, --client ID or --invoice ID")
    return Event(
        id=0,
        organization_id=organization_id,
        type=event_type,
        subject_type=subject[0],
        subject_id=subject[1],
        data=data,
        occurred_at=at,
    )


def why_not(rehearsed: Rehearsed, event: Event, facts: Facts | None) -> str | None:
    """Return why *event* would not set the automation off; None where it would."""
    matches = find_matches([event], rehearsed.listening(event.organization_id))
    if not matches:
        trigger = rehearsed.pinned.definition.trigger
        if event.type is not trigger.event_type:
            return f"it is set off by {trigger.type}; this is a {event.type}"
        return asked_for_else(trigger, event)
    subject = Subject(event.organization_id, event.subject_type, event.subject_id)
    decided = decide(matches, {subject: facts} if facts else {}, {})
    if not decided:
        return "the same status would be written again: nothing changes"
    (execution,) = decided
    return execution.reason if execution.status is ExecutionStatus.SKIPPED else None


def _refusal(path: str, message: str) -> DefinitionError:
    return DefinitionError(_SOURCE, [Problem(path, message)])
