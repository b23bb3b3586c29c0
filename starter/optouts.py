"""The words with which a client opts out of text messages, and in again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from unicodedata import normalize
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.channels.addresses import phone_number
from fixlify.domain.errors import RecipientError
from fixlify.domain.events import Event, EventType
from fixlify.storage.consent import opt_in, opt_out, release, suppress
from fixlify.storage.inbound import InboundText, inbound_texts
from fixlify.storage.messages import Channel

# The whole message is the word, as Twilio has it:
# https://help.twilio.com/articles/223134027. YES opts nobody in here: it answers questions.
_OUT: Final = frozenset(
    {"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"}
)
_IN: Final = frozenset({"start", "unstop"})

SOURCE: Final = "sms"
"""Whose word it was: the client's own, by text message."""

_log = structlog.get_logger(__name__)


class _Said(NamedTuple):
    """What a sender wants, by the last word of a batch."""

    wants_messages: bool
    word: str
    at: datetime


async def apply_opt_out_words(connection: AsyncConnection, events: Sequence[Event]) -> None:
    """Record for every text message that is such a word what its sender wants.

    The client it came from is opted out of text messages, and the number is suppressed: so it
    holds for every client of that number, and where there is none. A word takes back only
    what was said before it, in whatever order relays come to the two.

    Args:
        connection: In the transaction that marks *events* as processed, as the engine.
        events: Of any type, oldest first; all but received text messages are passed over.
    """
    said = {id_: word for event in events if (id_ := _id(event)) and (word := _said(event))}
    if not said:
        return
    texts = await inbound_texts(connection, list(said))
    # In one order, so that two relays cannot deadlock; the last word of a sender counts.
    senders: dict[tuple[UUID, str, str], tuple[InboundText, _Said]] = {}
    for each in sorted(texts, key=lambda each: said[each.id].at):
        sender = (each.organization_id, str(each.client_id), each.from_number or "")
        senders[sender] = (each, said[each.id])
    for _, (each, word) in sorted(senders.items(), key=lambda item: tuple(map(str, item[0]))):
        await _apply(connection, each, word)


async def _apply(connection: AsyncConnection, sender: InboundText, said: _Said) -> None:
    organization, number = sender.organization_id, _number(sender)
    if sender.client_id is not None:
        about = (connection, organization, sender.client_id, Channel.SMS)
        if said.wants_messages:
            await opt_in(*about, at=said.at)
        else:
            await opt_out(*about, source=SOURCE, at=said.at)
    if number is None:
        _log.warning("An opt-out word came from a number that is none.", message=str(sender.id))
    elif said.wants_messages:
        await release(connection, organization, Channel.SMS, number, source=SOURCE, at=said.at)
    else:
        await suppress(
            connection,
            organization,
            Channel.SMS,
            number,
            reason=f"replied {said.word.upper()}",
            source=SOURCE,
            at=said.at,
        )


def _id(event: Event) -> UUID | None:
    if event.type is not EventType.SMS_RECEIVED:
        return None
    try:
        return UUID(event.subject_id)
    except ValueError:
        return None


def _said(event: Event) -> _Said | None:
    """Return what the message says, if it is such a word: without case, spaces and full stops."""
    body = normalize("NFKC", str(event.data.get("body") or "")).casefold()
    word = "".join(filter(str.isalnum, body))
    if word not in _OUT | _IN:
        return None
    return _Said(word in _IN, word, event.occurred_at)


def _number(sender: InboundText) -> str | None:
    region = (sender.locale or "").replace("-", "_").rpartition("_")[2]
    try:
        return phone_number(sender.from_number, region)
    except RecipientError:
        return None
