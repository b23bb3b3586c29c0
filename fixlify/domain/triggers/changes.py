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
        return event.type is self.event_type and (
            self.fields is None or not event.changed.isdisjoint(self.fields)
        )

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: the columns that changed."""
        return ",".join(sorted(event.changed))


class TagsChanged(Frozen):
    """Set off when tags come or go; ``added`` and ``removed`` name the ones that count."""

    event_type: ClassVar[EventType]

    added: Words | None = None
    removed: Words | None = None

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off; with neither named, any tag that moved does."""
        if event.type is not self.event_type:
            return False
        came, went = _moved(event)
        if self.added is None and self.removed is None:
            return bool(came or went)
        return not came.isdisjoint(_spellings(self.added)) or not went.isdisjoint(
            _spellings(self.removed)
        )

    def value_of(self, event: Event) -> str:
        """Return what the duplicate window compares: the tags that came and went."""
        came, went = _moved(event)
        return ",".join(
            [*(f"+{tag}" for tag in sorted(came)), *(f"-{tag}" for tag in sorted(went))]
        )


def _moved(event: Event) -> tuple[frozenset[str], frozenset[str]]:
    """Return the tags that came and the ones that went; another spelling is neither."""
    came, went = (_spellings(event.data.get(key)) for key in ("added", "removed"))
    return came - went, went - came


def _spellings(tags: object) -> frozenset[str]:
    """Return *tags* as they are compared; what is no list of words has none."""
    if not isinstance(tags, list | tuple):
        return frozenset()
    words = (normalized(str(tag)) for tag in tags if isinstance(tag, str | int | float))
    return frozenset(word for word in words if word is not None)
