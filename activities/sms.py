"""Send text messages."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import activity

from activities.delivery import Finding, FirstTries, deliver, deliver_at_once
from fixlify.channels import Accepted, OutgoingSms, SmsChannel
from fixlify.channels.sms.callbacks import status_callback_url
from fixlify.channels.sms.codes import is_landline
from fixlify.domain.delivery import InDoubt
from fixlify.domain.errors import TransportError
from fixlify.domain.runs import SendReceipt, SendRequest
from fixlify.storage.database import Database
from fixlify.storage.messages import ClaimedMessage
from fixlify.storage.messages.doubts import CLOCKS_DIFFER, DoubtfulMessage

# How the provider's list tells of a message that it took and never sent.
_GIVEN_UP = frozenset({"failed", "canceled"})


class SmsActivities:
    """Sends what the ledger holds for SMS; lives as long as the worker."""

    def __init__(
        self,
        database: Database,
        channel: SmsChannel,
        *,
        public_url: str | None = None,
        in_doubt: InDoubt | None = None,
        tries: FirstTries | None = None,
    ) -> None:
        """Take the collaborators.

        Args:
            database: Acting as the engine.
            channel: Where text messages go.
            public_url: Where the provider reports delivery; None for nowhere.
            in_doubt: What is done when nobody knows whether one went out.
            tries: How many sends are tried inside workflow tasks; None for none.
        """
        self._database = database
        self._tries = tries or FirstTries(0)
        self._sender = SmsSender(channel, public_url, in_doubt or InDoubt())

    @activity.defn(name="send_sms")
    async def send_sms(self, request: SendRequest) -> SendReceipt:
        """Send one text message of the ledger.

        A second call after a success returns the same receipt and sends nothing. After a crash
        in the middle the provider's list is searched: what it has is not sent again, what it
        surely does not have is.

        Raises:
            ApplicationError: See ``deliver``.
        """
        return await deliver(self._database, request, self._sender)

    @activity.defn(name="send_sms_at_once")
    async def send_sms_at_once(self, request: SendRequest) -> SendReceipt:
        """Try once to send one text message of the ledger, inside the workflow task of its run.

        Raises:
            ApplicationError: See ``deliver_at_once``.
        """
        return await deliver_at_once(self._database, request, self._sender, self._tries)


class SmsSender:
    """How text messages are sent, and what is done in doubt: decision 0015."""

    def __init__(self, channel: SmsChannel, public_url: str | None, in_doubt: InDoubt) -> None:
        self._channel = channel
        self._public_url = public_url
        self._in_doubt = in_doubt

    async def hand_over(self, message: ClaimedMessage) -> Accepted:
        """Hand *message* to the provider, once."""
        return await self._channel.send(
            OutgoingSms(
                message_id=message.id,
                to=message.recipient,
                body=message.body_text,
                status_callback=status_callback_url(self._public_url, message.id),
            )
        )

    async def find(self, message: DoubtfulMessage, now: datetime) -> Finding:
        """Look for *message* in the provider's list."""
        if message.has_twin:
            # Whose the one in the list is will be known when the older of the two is settled.
            return Finding(pause=self._in_doubt.look_after)
        try:
            accepted = await self._channel.find_sent(
                OutgoingSms(message_id=message.id, to=message.recipient, body=message.body_text),
                since=message.sending_at - CLOCKS_DIFFER,
                known=message.known,
            )
        except TransportError as error:
            return Finding(pause=max(self._in_doubt.look_after, error.retry_after or timedelta(0)))
        if accepted is not None and accepted.detail in _GIVEN_UP:
            return Finding(
                failure=TransportError(
                    f"{accepted.provider} took it and gave it up", permanent=True
                )
            )
        if accepted is not None:
            return Finding(accepted=accepted)
        if now - message.sending_at < self._in_doubt.certain_after:
            return Finding(pause=self._in_doubt.look_after)
        return Finding(cleared="sent again: the provider's list does not have it")

    def pause_in_doubt(self) -> timedelta | None:
        """Return when the list is looked at."""
        return self._in_doubt.look_after

    def is_landline(self, code: str | None) -> bool:
        """Whether the provider's *code* says that the number takes no text messages."""
        return is_landline(code)
