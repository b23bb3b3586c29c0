"""Send text messages through the Twilio SDK."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from twilio.base.exceptions import TwilioException  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from fixlify.channels.protocol import Accepted, OutgoingSms
from fixlify.channels.sms.account import TwilioAccount
from fixlify.channels.sms.http import ANSWER_PATIENCE, TwilioHttp
from fixlify.channels.sms.search import LOOKED_AT, PAGE_SIZE, find
from fixlify.domain.errors import OutcomeUnknownError, TransportError

# The SDK reads settings of its own where it finds none here; only process edges read settings.
_NO_ENVIRONMENT = {"TWILIO_EDGE": "", "TWILIO_REGION": ""}

# All pages together; whoever searches has a message to send afterwards.
SEARCH_PATIENCE = timedelta(seconds=20)

# What the SDK raises over an answer that is not the API's.
_NOT_TWILIO = (TwilioException, ArithmeticError, ValueError, TypeError, AttributeError, KeyError)


class TwilioChannel:
    """A text-message channel; lives as long as the worker, in one event loop."""

    def __init__(
        self, account: TwilioAccount, *, answer_patience: timedelta = ANSWER_PATIENCE
    ) -> None:
        """Load the SDK (half a second, once); nothing is connected yet.

        Args:
            account: whose messages they are.
            answer_patience: how long Twilio may take to answer; longer is an unknown outcome.
        """
        self._account = account
        # A stand-in is on this machine or beside it; no proxy leads there.
        self._http = TwilioHttp(
            trust_environment=account.base_url is None,
            answer_patience=answer_patience,
            number_setting=account.number_setting,
        )
        client = Client(
            account.account_sid,
            account.auth_token.get_secret_value(),
            http_client=self._http,
            environment=_NO_ENVIRONMENT,
        )
        if account.base_url is not None:
            client.api.base_url = account.base_url
        self._own_account = client.api.accounts(account.account_sid)
        self._messages = client.messages

    async def send(self, message: OutgoingSms) -> Accepted:
        """Hand *message* over, once; a second call sends a second message.

        ``provider_id`` is Twilio's SID, ``detail`` its status, as a rule ``queued``, ``sender``
        our number, or the messaging service that is still to choose one.

        Raises:
            TransportError: Twilio does not have it.
            OutcomeUnknownError: It had the request and gave no answer that we understand.
        """
        try:
            created = await self._messages.create_async(
                to=message.to,
                body=message.body,
                from_=self._account.from_number,
                messaging_service_sid=self._account.messaging_service_sid,
                status_callback=message.status_callback,
            )
            return _accepted(created)
        except _NOT_TWILIO as error:
            # A success, but in words that the SDK cannot read: somebody took the request.
            raise OutcomeUnknownError(
                "Twilio's answer is not understood; look for the message there"
            ) from error

    async def find_sent(
        self, message: OutgoingSms, *, since: datetime, known: frozenset[str]
    ) -> Accepted | None:
        """Look in Twilio's list for *message*, of which nobody knows the fate.

        ``detail`` is the status it has there by now. ``failed``, ``canceled`` and
        ``undelivered`` are found too: Twilio had the message, and has given it up. The list
        lags a little: a message that was taken a moment ago may not be there yet.

        Raises:
            TransportError: The list cannot be read now, or does not tell.
        """
        try:
            async with asyncio.timeout(SEARCH_PATIENCE.total_seconds()):
                listed = await self._messages.stream_async(
                    to=message.to, limit=LOOKED_AT, page_size=PAGE_SIZE
                )
                found = await find(listed, message, since=since, known=known)
            return None if found is None else _accepted(found)
        except TimeoutError:
            raise TransportError("Twilio does not list in time", permanent=False) from None
        except _NOT_TWILIO as error:
            raise TransportError("Twilio's list is not understood", permanent=False) from error

    async def check(self) -> None:
        """Read the account, which needs the right token.

        Raises:
            TransportError: With what to do.
        """
        try:
            _required((await self._own_account.fetch_async()).sid)
        except _NOT_TWILIO as error:
            raise TransportError(
                "what answers in Twilio's place is not Twilio; check TWILIO_BASE_URL",
                permanent=False,
            ) from error

    async def aclose(self) -> None:
        """Hang up; the channel is not used again."""
        await self._http.aclose()


def _accepted(message: Any) -> Accepted:
    price, currency = message.price, message.price_unit
    is_priced = bool(price and currency)
    return Accepted(
        provider="twilio",
        provider_id=_required(message.sid),
        detail=message.status,
        segments=_count(message.num_segments),
        sender=message.from_ or message.messaging_service_sid,
        # Twilio books what a message costs as a negative amount.
        price=abs(Decimal(price)) if is_priced else None,
        price_currency=currency.upper() if is_priced else None,
    )


def _required(sid: str | None) -> str:
    if not sid:
        raise ValueError("the answer names nothing")
    return sid


def _count(number: str | None) -> int | None:
    """Return the number of segments; a messaging service does not know it yet and says 0."""
    return int(number) if number and number != "0" else None
