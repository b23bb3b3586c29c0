"""The trigger of events that other programs report by a name of their own."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fixlify.domain.events import Event, EventType
from fixlify.domain.models import Frozen

EventName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,99}$")]
"""Lower-case letters, digits, ``_``, ``.`` and ``-``, such as ``review.submitted``."""


class Custom(Frozen):
    """An event of this ``name`` was reported through the API or the command line."""

    type: Literal["custom"] = "custom"
    event_type: ClassVar = EventType.CUSTOM
    name: EventName

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off."""
        return event.type is self.event_type and event.data.get("name") == self.name

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: the name."""
        return self.name
