"""Text messages that people write to us: recorded, acted on, and answered where they ask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.channels.addresses import phone_number
from fixlify.domain.errors import RecipientError
from fixlify.domain.keywords import Keyword, KeywordKind, read_keyword
from fixlify.storage.database import Database
from fixlify.storage.inbound import (
    Addressees,
    ReceivedText,
    find_addressees,
    find_client_of_phone,
    read_company,
    receive_text,
)
from starter.callbacks.replies import help_reply
from starter.optouts import SaidWord, apply_word

LONGEST_TEXT: Final = 10_000
"""Characters of a text message that are kept; Twilio passes on 1,600."""

# The numbering plan's shape: what Twilio says is a number is one, also where it is fictional.
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InboundSms:
    """One text message as Twilio tells of it.

    ``opt_out_type`` is Twilio's own reading of it (``STOP``, ``START``, ``HELP``), where it has
    acted on that already and answered.
    """

    sid: str
    from_number: str
    to_number: str
    body: str
    opt_out_type: str | None

    @property
    def number(self) -> str | None:
        """The sender's number in E.164; None where it is none, such as a short code."""
        try:
            return phone_number(self.from_number, None)
        except RecipientError:
            return self.from_number if _E164.fullmatch(self.from_number) else None

    @property
    def keyword(self) -> Keyword | None:
        """What it asks for. Twilio may know more words for STOP, set up by the company."""
        if self.opt_out_type == "STOP":
            return Keyword(KeywordKind.STOP, "stop", None)
        return read_keyword(self.body)


def read_inbound(told: Mapping[str, str]) -> InboundSms | None:
    """Return the message in Twilio's parameters; None where they do not say whose it is."""
    sid, sender = told.get("MessageSid"), told.get("From")
    if not sid or not sender:
        return None
    body, pictures = told.get("Body", "")[:LONGEST_TEXT], told.get("NumMedia", "")
    if not body.strip() and pictures.strip("0").isdecimal():
        # Nothing else would show that there was a message.
        body = f"[{pictures} attached, no text]"
    return InboundSms(sid, sender, told.get("To", ""), body, told.get("OptOutType"))


class InboundTexts:
    """Takes text messages; lives as long as its application.

    Whoever calls has checked that it is Twilio. A message that is told of again came in once.
    """

    def __init__(self, database: Database) -> None:
        """Write to *database*, as the engine."""
        self._database = database

    async def receive(self, told: Mapping[str, str]) -> str | None:
        """Record a message, and do in the same transaction what it says about consent.

        Args:
            told: Twilio's parameters.

        Returns:
            What to answer; None where nothing is to be.
        """
        sms = read_inbound(told)
        if sms is None:
            _log.warning("Twilio told of a text message, but not whose; it is ignored.")
            return None
        async with self._database.transaction() as connection:
            addressees = await find_addressees(
                connection, to_number=sms.to_number, from_number=sms.from_number
            )
            received = await _record(connection, sms, addressees)
            is_new = received is not None or addressees.company is None
            if sms.keyword is not None and is_new:
                await _apply(connection, sms, sms.keyword, addressees, received)
            reply = await _reply(connection, sms, addressees)
        _tell(sms, addressees, received)
        return reply


async def _record(
    connection: AsyncConnection, sms: InboundSms, addressees: Addressees
) -> ReceivedText | None:
    if addressees.company is None:
        return None
    return await receive_text(
        connection,
        addressees,
        client_id=await _client(connection, sms, addressees.company),
        from_number=sms.number or sms.from_number,
        to_number=sms.to_number,
        body=sms.body,
        provider_id=sms.sid,
    )


async def _apply(
    connection: AsyncConnection,
    sms: InboundSms,
    keyword: Keyword,
    addressees: Addressees,
    received: ReceivedText | None,
) -> None:
    # In one order, so that two messages cannot deadlock.
    for organization_id in sorted(addressees.sharing):
        word = SaidWord(
            organization_id=organization_id,
            client_id=await _client(connection, sms, organization_id),
            number=sms.number,
            address=sms.from_number,
            keyword=keyword,
            at=received.received_at if received else datetime.now(UTC),
            evidence={
                "message_sid": sms.sid,
                "inbound_message_id": received and received.id,
                "body": sms.body,
                "from": sms.from_number,
                "to": sms.to_number,
                "opt_out_type": sms.opt_out_type,
            },
        )
        await apply_word(connection, word)


async def _client(
    connection: AsyncConnection, sms: InboundSms, organization_id: UUID
) -> UUID | None:
    if sms.number is None:
        return None
    return await find_client_of_phone(connection, organization_id, sms.number)


async def _reply(
    connection: AsyncConnection, sms: InboundSms, addressees: Addressees
) -> str | None:
    keyword = sms.keyword
    if keyword is None or keyword.kind is not KeywordKind.HELP or sms.opt_out_type:
        return None
    if addressees.company is None:
        return None
    return help_reply(await read_company(connection, addressees.company), keyword.language)


def _tell(sms: InboundSms, addressees: Addressees, received: ReceivedText | None) -> None:
    if addressees.company is None:
        _log.warning(
            "A text message came in that is nobody's; set organizations.sms_number to the "
            "number that it came to."
        )
    elif received is None:
        _log.info("A text message came in again; it changes nothing.", message_sid=sms.sid)
    else:
        _log.info(
            "A text message came in.",
            organization=str(addressees.company),
            message=str(received.id),
            keyword=sms.keyword and sms.keyword.kind.value,
        )
