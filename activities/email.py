"""Send email."""

from __future__ import annotations

from temporalio import activity

from activities.delivery import deliver
from fixlify.channels import Accepted, EmailChannel, OutgoingEmail
from fixlify.domain.runs import SendReceipt, SendRequest
from fixlify.storage.database import Database
from fixlify.storage.messages import ClaimedMessage


class EmailActivities:
    """Sends what the ledger holds for email; lives as long as the worker."""

    def __init__(self, database: Database, channel: EmailChannel, sender: str) -> None:
        self._database = database
        self._channel = channel
        self._sender = sender

    @activity.defn(name="send_email")
    async def send_email(self, request: SendRequest) -> SendReceipt:
        """Send one email of the ledger.

        A second call after a success returns the same receipt and sends nothing; a second
        call after a crash in the middle fails with an unknown outcome and sends nothing.

        Raises:
            ApplicationError: See ``deliver``.
        """
        return await deliver(self._database, request, self._hand_over)

    async def _hand_over(self, message: ClaimedMessage) -> Accepted:
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
            )
        )
