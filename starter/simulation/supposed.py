"""What is supposed to have happened, put into the facts: an event that changes a status has."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from fixlify.domain.events import EventType
from fixlify.domain.facts import Facts
from fixlify.domain.names import normalized
from fixlify.domain.triggers.changes import StatusChanged, StatusReached

_RECORDS: Final[Mapping[EventType, str]] = MappingProxyType(
    {
        EventType.JOB_STATUS_CHANGED: "job",
        EventType.ESTIMATE_STATUS_CHANGED: "estimate",
        EventType.INVOICE_STATUS_CHANGED: "invoice",
        EventType.TASK_STATUS_CHANGED: "task",
    }
)


def with_status(facts: Facts, event_type: EventType, *statuses: str | None) -> Facts:
    """Return *facts* as they are after such an event, which arrives at one of *statuses*.

    A record that has one of them keeps it, else it has the first. Other events change nothing.
    """
    name = _RECORDS.get(event_type, "")
    record = getattr(facts, name, None)
    known = [status for status in statuses if status is not None]
    if record is None or not known:
        return facts
    if normalized(record.status) in map(normalized, known):
        return facts
    return facts.model_copy(update={name: record.model_copy(update={"status": known[0]})})


def with_awaited(facts: Facts, event: Any) -> Facts:
    """Return *facts* as they are once the *event* that a step waits for has come."""
    match event:
        case StatusChanged(to=[*statuses]):
            return with_status(facts, event.event_type, *statuses)
        case StatusReached(words=words):
            return with_status(facts, event.event_type, *words)
        case _:
            return facts
