"""Send email."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from temporalio import activity

from activities.delivery import Finding, FirstTries, deliver, deliver_at_once
from fixlify.channels import Accepted, EmailChannel, OutgoingEmail
from fixlify.domain.delivery import InDoubt
from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import SendReceipt, SendRequest
from fixlify.domain.unsubscribing import UnsubscribeLinks
from fixlify.storage.database import Database
from fixlify.storage.messages import ClaimedMessage
from fixlify.storage.messages.doubts import DoubtfulMessage

# A server that loses its answers loses the next one, too; nobody wants a third copy.
MOST_DOUBTS: Final = 2


class EmailActivities:
    """Sends what the ledger holds for email; lives as long as the worker."""

    def __init__(
        self,
        database: Database,
        channel: EmailChannel,
        sender: str,
        *,
        unsubscribe: UnsubscribeLinks | None = None,
        in_doubt: InDoubt | None = None,
        tries: FirstTries | None = None,
    ) -> None:
        """Take the collaborators.

        Args:
            database: Acting as the engine.
            channel: Where mail goes.
            sender: The sender address of every email.
            unsubscribe: What marketing mail is unsubscribed from by; None without a public URL.
            in_doubt: What is done when nobody knows whether one went out.
            tries: How many sends are tried inside workflow tasks; None for none.
        """
        self._database = database
        self._tries = tries or FirstTries(0)
        self._sender = EmailSender(channel, sender, unsubscribe, in_doubt or InDoubt())

    @activity.defn(name="send_email")
    async def send_email(self, request: SendRequest) -> SendReceipt:
        """Send one email of the ledger.

        A second call after a success returns the same receipt and sends nothing. After a crash
        in the middle nobody knows whether it went out, and no mail server can be asked: it is
        sent again, with the same Message-ID, unless its class is sent at most once.

        Raises:
            ApplicationError: See ``deliver``.
        """
        return await deliver(self._database, request, self._sender)

    @activity.defn(name="send_email_at_once")
    async def send_email_at_once(self, request: SendRequest) -> SendReceipt:
        """Try once to send one email of the ledger, inside the workflow task of its run.

        Raises:
            ApplicationError: See ``deliver_at_once``.
        """
        return await deliver_at_once(self._database, request, self._sender, self._tries)


class EmailSender:
    """How email is sent, and what is done in doubt: decision 0015."""

    def __init__(
        self,
        channel: EmailChannel,
        sender: str,
        unsubscribe: UnsubscribeLinks | None,
        in_doubt: InDoubt,
    ) -> None:
        self._channel = channel
        self._sender = sender
        self._unsubscribe = unsubscribe or UnsubscribeLinks()
        self._in_doubt = in_doubt

    async def hand_over(self, message: ClaimedMessage) -> Accepted:
        """Hand *message* to the mail server, once."""
        unsubscribe_url = None
        if message.message_class is MessageClass.MARKETING:
            unsubscribe_url = self._unsubscribe.way_out(message.id, message.reply_to)
        return await self._channel.send(
            OutgoingEmail(
                message_id=message.id,
                to=message.recipient,
                sender=self._sender,
                sender_name=message.sender_name,
                reply_to=message.reply_to,
                subject=message.subject or "",
                text=message.body_text,
                html=message.body_html,
                unsubscribe_url=unsubscribe_url,
            )
        )

    async def find(self, message: DoubtfulMessage, now: datetime) -> Finding:
        """Decide by the policy alone: a mail server keeps no list."""
        if message.message_class in self._in_doubt.at_most_once or message.doubts >= MOST_DOUBTS:
            return Finding()
        # A bounce of the first copy would tell, and a server that restarts needs its time.
        if (wait := message.sending_at + self._in_doubt.send_again_after - now) > timedelta(0):
            return Finding(pause=wait)
        return Finding(cleared="sent again: nobody knows whether it left the first time")

    def pause_in_doubt(self) -> timedelta | None:
        """Return when the policy is asked again."""
        return self._in_doubt.send_again_after

    def is_landline(self, code: str | None) -> bool:
        """Return False: mail has no lines."""
        return False
