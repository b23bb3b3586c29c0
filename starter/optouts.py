"""The words with which people opt out of text messages, and in again, are acted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.channels.addresses import phone_number
from fixlify.domain.errors import RecipientError
from fixlify.domain.events import Event, EventType
from fixlify.domain.keywords import Keyword, KeywordKind, read_keyword
from fixlify.storage.consent import (
    PROVIDER_SOURCE,
    opt_in,
    opt_out,
    record_consent,
    release,
    suppress,
)
from fixlify.storage.inbound import InboundText, inbound_texts
from fixlify.storage.messages import Channel

SOURCE: Final = "sms"
"""Whose word it was: the client's own, by text message."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SaidWord:
    """A word about text messages, and who said it to whom.

    ``number`` is the sender's in E.164, None where it is none; ``address`` is what stood in its
    place, for the evidence.
    """

    organization_id: UUID
    client_id: UUID | None
    number: str | None
    address: str | None
    keyword: Keyword
    at: datetime
    evidence: Mapping[str, Any]


async def apply_word(connection: AsyncConnection, said: SaidWord) -> None:
    """Do what the word says, and keep the evidence; a word that asks for help changes nothing.

    The client it came from is opted out of text messages, and the number is suppressed: so it
    holds for every client of that number, and where there is none. A word takes back only
    what was said before it, and only what the sender said, here or to the provider.
    """
    if said.keyword.kind is KeywordKind.HELP:
        return
    wants = said.keyword.kind is KeywordKind.START
    organization, number = said.organization_id, said.number
    if said.client_id is not None:
        about = (connection, organization, said.client_id, Channel.SMS)
        if wants:
            await opt_in(*about, at=said.at)
        else:
            await opt_out(*about, source=SOURCE, at=said.at)
    if number is None:
        _log.warning(
            "An opt-out word came from a number that is none.", organization=str(organization)
        )
    elif wants:
        for source in (SOURCE, PROVIDER_SOURCE):
            await release(connection, organization, Channel.SMS, number, source=source, at=said.at)
    else:
        await suppress(
            connection,
            organization,
            Channel.SMS,
            number,
            reason=f"replied {said.keyword.word.upper()}",
            source=SOURCE,
            at=said.at,
        )
    await record_consent(
        connection,
        organization,
        client_id=said.client_id,
        channel=Channel.SMS,
        message_class=None,
        address=number or said.address,
        wants=wants,
        source=SOURCE,
        evidence=said.evidence,
        said_at=said.at,
    )


async def apply_opt_out_words(connection: AsyncConnection, events: Sequence[Event]) -> None:
    """Do what text messages say that came in by another way than the provider's call.

    What it was told of by that call was done, and recorded, as it came in.

    Args:
        connection: In the transaction that marks *events* as processed, as the engine.
        events: Of any type, oldest first; all but received text messages are passed over.
    """
    said = {id_: found for event in events if (id_ := _id(event)) and (found := _said(event))}
    if not said:
        return
    texts = await inbound_texts(connection, list(said))
    words = [_word_in(each, *said[each.id]) for each in texts if not each.is_heard]
    # In one order, so that two relays cannot deadlock; each sender's words as they were said.
    for word in sorted(words, key=lambda it: (*_sender(it), it.at)):
        await apply_word(connection, word)


def _id(event: Event) -> UUID | None:
    if event.type is not EventType.SMS_RECEIVED:
        return None
    try:
        return UUID(event.subject_id)
    except ValueError:
        return None


def _said(event: Event) -> tuple[Keyword, datetime] | None:
    keyword = read_keyword(str(event.data.get("body") or ""))
    if keyword is None or keyword.kind is KeywordKind.HELP:
        return None
    return keyword, event.occurred_at


def _word_in(text: InboundText, keyword: Keyword, at: datetime) -> SaidWord:
    return SaidWord(
        text.organization_id,
        text.client_id,
        _number(text),
        text.from_number,
        keyword,
        at,
        {
            "inbound_message_id": text.id,
            "message_sid": text.provider_id,
            "body": text.body,
            "to": text.to_number,
            "from": text.from_number,
        },
    )


def _sender(said: SaidWord) -> tuple[str, str, str]:
    return str(said.organization_id), str(said.client_id), said.number or ""


def _number(sender: InboundText) -> str | None:
    region = (sender.locale or "").replace("-", "_").rpartition("_")[2]
    try:
        return phone_number(sender.from_number, region)
    except RecipientError:
        return None
