"""The shapes most triggers have: something was created, reached a status, was edited, tagged."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AliasChoices, Field

from fixlify.domain.events import Event, EventType
from fixlify.domain.models import Frozen
from fixlify.domain.names import normalized
from fixlify.domain.triggers.filters import Statuses, Words, one_of


class Happened(Frozen):
    """Set off by every event of one type, once per subject."""

    event_type: ClassVar[EventType]

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off."""
        return event.type is self.event_type

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares; such a thing happens once."""
        return ""


class StatusChanged(Frozen):
    """Set off by a change of status, from any to any or between named ones."""

    event_type: ClassVar[EventType]

    from_: Annotated[
        Statuses | None,
        Field(validation_alias=AliasChoices("from", "from_status"), serialization_alias="from"),
    ] = None
    to: Annotated[
        Statuses | None,
        Field(validation_alias=AliasChoices("to", "to_status"), serialization_alias="to"),
    ] = None

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off; a rewritten status is matched by where it arrived."""
        if event.type is not self.event_type:
            return False
        came_from = event.is_rewrite or one_of(event.before, self.from_)
        return came_from and one_of(event.after, self.to)

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: the status arrived at."""
        return normalized(event.after) or ""


class StatusReached(Frozen):
    """Set off by reaching a status that goes by several words, which are all one."""

    event_type: ClassVar[EventType]
    words: ClassVar[tuple[str, ...]]

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off; from one of the words to another is no news."""
        if event.type is not self.event_type or normalized(event.after) not in self.words:
            return False
        return event.is_rewrite or normalized(event.before) not in self.words

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: one word for all of them."""
        return self.words[0]


class Updated(Frozen):
    """Set off by an edit; ``fields`` of the subclass narrow it to some columns."""

    event_type: ClassVar[EventType]
    fields: list[str] | None = None

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off."""
        changed = event.data.get("changed", ())
        return event.type is self.event_type and (
            self.fields is None or any(field in changed for field in self.fields)
        )

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: the columns that changed."""
        return ",".join(sorted(map(str, event.data.get("changed", ()))))


class TagsChanged(Frozen):
    """Set off when tags come or go; ``added`` and ``removed`` name the ones that count."""

    event_type: ClassVar[EventType]

    added: Words | None = None
    removed: Words | None = None

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off; with neither named, any change of tags does."""
        if event.type is not self.event_type:
            return False
        if self.added is None and self.removed is None:
            return True
        return _share(self.added, event.data.get("added")) or _share(
            self.removed, event.data.get("removed")
        )

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: the tags that came and went."""
        came = sorted(f"+{tag}" for tag in event.data.get("added") or ())
        went = sorted(f"-{tag}" for tag in event.data.get("removed") or ())
        return ",".join(came + went)


def _share(wanted: list[str] | None, found: object) -> bool:
    if wanted is None or not isinstance(found, list | tuple):
        return False
    return bool({normalized(each) for each in wanted} & {normalized(str(each)) for each in found})
