"""Triggers of clients, and of what they write."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from unicodedata import normalize

from fixlify.domain.events import Event, EventType
from fixlify.domain.names import folded
from fixlify.domain.triggers.changes import Happened, TagsChanged, Updated
from fixlify.domain.triggers.filters import Words, columns_of

ClientColumns = Annotated[
    Words,
    columns_of(
        "client",
        "address",
        "company",
        "email",
        "email_opted_out",
        "first_name",
        "last_name",
        "lead_source",
        "phone",
        "sms_opted_out",
        "tags",
        "time_zone",
    ),
]


class ClientCreated(Happened):
    """A client was entered."""

    type: Literal["client_created"] = "client_created"
    event_type: ClassVar = EventType.CLIENT_CREATED


class ClientUpdated(Updated):
    """A client was edited."""

    type: Literal["client_updated"] = "client_updated"
    event_type: ClassVar = EventType.CLIENT_UPDATED
    fields: ClientColumns | None = None


class ClientTagsChanged(TagsChanged):
    """A client's tags changed."""

    type: Literal["client_tags_changed"] = "client_tags_changed"
    event_type: ClassVar = EventType.CLIENT_TAGS_CHANGED


class SmsReceived(Happened):
    """A text message came in; ``keywords`` are words or phrases of which it holds one."""

    type: Literal["sms_received"] = "sms_received"
    event_type: ClassVar = EventType.SMS_RECEIVED
    keywords: Words | None = None

    def matches(self, event: Event) -> bool:
        """Whether *event* sets this off; a keyword counts as a whole word only."""
        if event.type is not self.event_type:
            return False
        if self.keywords is None:
            return True
        body = str(event.data.get("body") or "")
        return any(_says(body, keyword) for keyword in self.keywords)


def _says(body: str, keyword: str) -> bool:
    # What has no letter, such as a thumb, is no word; it counts wherever it stands.
    wanted = _words(keyword)
    return wanted in _words(body) if wanted.strip() else keyword.strip() in body


def _words(text: str) -> str:
    """Return *text* as its words between spaces, without case and punctuation."""
    composed = normalize("NFKC", folded(text))
    plain = "".join(letter if letter.isalnum() else " " for letter in composed)
    return f" {' '.join(plain.split())} "
