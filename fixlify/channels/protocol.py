"""What a channel is given, what it promises, and what it returns.

Every channel sorts failures the same way. A message that the provider surely does not have is
a ``TransportError``: permanent where another attempt cannot help, temporary otherwise. From
the moment the provider may have it until it answers, a failure is an ``OutcomeUnknownError``,
and nobody sends that message again.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from fixlify.domain.models import Frozen


class OutgoingEmail(Frozen):
    """One email. ``to`` and ``sender`` are bare addresses; ``html`` is None for plain mail.

    ``unsubscribe_url`` takes a POST that unsubscribes with one click (RFC 8058); None where
    there is nothing to unsubscribe from.
    """

    message_id: UUID
    to: str
    sender: str
    sender_name: str | None = None
    reply_to: str | None = None
    subject: str
    text: str
    html: str | None = None
    unsubscribe_url: str | None = None


class OutgoingSms(Frozen):
    """One text message. ``to`` is E.164; ``status_callback`` is where delivery is reported."""

    message_id: UUID
    to: str
    body: str
    status_callback: str | None = None


class Accepted(Frozen):
    """A provider has the message. ``provider_id`` is its name for it, ``detail`` its answer.

    ``sender`` is which of ours it left by: a server, a number, a messaging service. ``price``
    is in ``price_currency``, where it is known already.
    """

    provider: str
    provider_id: str | None = None
    detail: str | None = None
    segments: int | None = None
    sender: str | None = None
    price: Decimal | None = None
    price_currency: str | None = None


class EmailChannel(Protocol):
    """A way to send email; lives as long as the worker."""

    async def send(self, message: OutgoingEmail, /) -> Accepted:
        """Hand *message* over, once.

        Raises:
            TransportError: The provider does not have it.
            OutcomeUnknownError: It may have it.
            RecipientError: No provider of this kind can take the address.
        """

    async def check(self) -> None:
        """Reach the provider and log in, sending nothing.

        Raises:
            TransportError: With what to do.
        """

    async def aclose(self) -> None:
        """Close every connection; the channel is not used again."""


class SmsChannel(Protocol):
    """A way to send text messages; lives as long as the worker."""

    async def send(self, message: OutgoingSms, /) -> Accepted:
        """Hand *message* over, once; raises as ``EmailChannel.send`` does."""

    async def find_sent(
        self, message: OutgoingSms, /, *, since: datetime, known: frozenset[str]
    ) -> Accepted | None:
        """Look in the provider's own list for *message*, of which nobody knows the fate.

        Found is what went to that number with that text at or after *since*, and is none of
        the *known* messages (by ``provider_id``). None means the list does not have it, which
        is certain only some time after it was sent.

        Raises:
            TransportError: The list cannot be read now.
        """

    async def check(self) -> None:
        """Reach the provider and log in, sending nothing; raises as ``EmailChannel.check``."""

    async def aclose(self) -> None:
        """Close every connection; the channel is not used again."""
