"""Unsubscribe whoever an email went to, and undo it: by the link in that email."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.rules import MessageClass
from fixlify.storage.addressees import (
    Addressee,
    clients_of,
    find_addressee,
    lock_addressee,
    was_said,
)
from fixlify.storage.consent import (
    list_opt_outs,
    list_suppressions,
    opt_in,
    opt_out,
    record_consent,
    release,
    suppress,
)
from fixlify.storage.database import Database
from fixlify.storage.messages import Channel

SOURCE: Final = "unsubscribe"
"""Whose word it was: that of whoever has the email."""
REASON: Final = "unsubscribed"

_log = structlog.get_logger(__name__)


class Wish(StrEnum):
    """What somebody asks for: an end of marketing email or of all email, or either undone."""

    NO_MARKETING = "no-marketing"
    NO_EMAIL = "no-email"
    MARKETING_AGAIN = "marketing-again"
    EMAIL_AGAIN = "email-again"

    @property
    def wants(self) -> bool:
        """Whether it is about getting more."""
        return self in (Wish.MARKETING_AGAIN, Wish.EMAIL_AGAIN)

    @property
    def message_class(self) -> MessageClass | None:
        """The one class it is about; None for all email."""
        marketing = self in (Wish.NO_MARKETING, Wish.MARKETING_AGAIN)
        return MessageClass.MARKETING if marketing else None


@dataclass(frozen=True, slots=True)
class Standing:
    """What an address gets of the company's email now.

    ``has_choice`` says that marketing can be left out alone: the address is a client's. Of
    other addresses nothing is known but whether they want email.
    """

    addressee: Addressee
    gets_marketing: bool
    gets_email: bool
    has_choice: bool


class Unsubscribing:
    """Acts on the links; lives as long as its application."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self, message_id: UUID) -> Standing | None:
        """Return what stands, and change nothing; None where nobody has such an email."""
        async with self._database.transaction() as connection:
            addressee = await find_addressee(connection, message_id)
            if addressee is None:
                return None
            return await _standing(connection, addressee, await clients_of(connection, addressee))

    async def fulfil(
        self, message_id: UUID, wish: Wish, evidence: Mapping[str, Any]
    ) -> Standing | None:
        """Do what *wish* says, for every client with the address, and return what stands.

        Where no client has it, the address is suppressed instead. Repeated, it does the same
        again; evidence is kept of what is news, and of the first use of each link.

        Args:
            message_id: The email whose link was used.
            wish: What is asked for.
            evidence: What shows that it was, beside the message.

        Returns:
            None where nobody has such an email.
        """
        async with self._database.transaction() as connection:
            addressee = await lock_addressee(connection, message_id)
            if addressee is None:
                return None
            clients = await clients_of(connection, addressee)
            is_first = not await was_said(connection, addressee, SOURCE)
            about = _Concern(connection, addressee, wish, evidence, is_first=is_first)
            for client_id in clients:
                await about.apply_to_client(client_id)
            if not clients:
                await about.apply_to_address()
            standing = await _standing(connection, addressee, clients)
        _log.info(
            "Somebody used the link to unsubscribe.", message_id=str(message_id), wish=wish.value
        )
        return standing


class _Concern:
    """One wish about one email; lives as long as its transaction."""

    def __init__(
        self,
        connection: AsyncConnection,
        addressee: Addressee,
        wish: Wish,
        evidence: Mapping[str, Any],
        *,
        is_first: bool,
    ) -> None:
        self._connection = connection
        self._addressee = addressee
        self._wish = wish
        self._evidence = {"message_id": str(addressee.message_id), **evidence}
        self._is_first = is_first
        self._now = datetime.now(UTC)

    async def apply_to_client(self, client_id: UUID) -> None:
        about = (self._connection, self._addressee.organization_id, client_id, Channel.EMAIL)
        message_class = self._wish.message_class
        if self._wish.wants:
            is_news = await opt_in(*about, message_class=message_class)
        else:
            is_news = await opt_out(
                *about, message_class=message_class, source=SOURCE, at=self._now
            )
        if is_news or self._is_first:
            await self._keep_evidence(client_id, message_class)

    async def apply_to_address(self) -> None:
        address = self._addressee.address
        about = (self._connection, self._addressee.organization_id, Channel.EMAIL, address)
        if self._wish.wants:
            is_news = await release(*about, source=SOURCE)
        else:
            is_news = await suppress(*about, reason=REASON, source=SOURCE, at=self._now)
        if is_news or self._is_first:
            await self._keep_evidence(None, None)

    async def _keep_evidence(
        self, client_id: UUID | None, message_class: MessageClass | None
    ) -> None:
        await record_consent(
            self._connection,
            self._addressee.organization_id,
            client_id=client_id,
            channel=Channel.EMAIL,
            message_class=message_class,
            address=self._addressee.address,
            wants=self._wish.wants,
            source=SOURCE,
            evidence=self._evidence,
            said_at=self._now,
        )


async def _standing(
    connection: AsyncConnection, addressee: Addressee, clients: Sequence[UUID]
) -> Standing:
    organization = addressee.organization_id
    of_address = await list_suppressions(
        connection, organization, 1, channel=Channel.EMAIL, address=addressee.address
    )
    said = [
        each.message_class
        for client_id in clients
        for each in await list_opt_outs(connection, organization, client_id)
        if each.channel is Channel.EMAIL
    ]
    gets_email = not of_address and None not in said
    return Standing(
        addressee=addressee,
        gets_marketing=gets_email and MessageClass.MARKETING not in said,
        gets_email=gets_email,
        has_choice=bool(clients),
    )
