"""The trigger of a clock."""

from __future__ import annotations

from typing import ClassVar, Literal

from fixlify.domain.events import Event, EventType
from fixlify.domain.models import Frozen


class Scheduled(Frozen):
    """The clock struck."""

    type: Literal["scheduled"] = "scheduled"
    event_type: ClassVar = EventType.SCHEDULED

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off."""
        return event.type is self.event_type

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: the local time."""
        return str(event.data.get("local", ""))
