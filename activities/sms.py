"""Send text messages."""

from __future__ import annotations

from temporalio import activity

from activities.delivery import deliver
from fixlify.channels import Accepted, OutgoingSms, SmsChannel
from fixlify.domain.runs import SendReceipt, SendRequest
from fixlify.storage.database import Database
from fixlify.storage.messages import ClaimedMessage


class SmsActivities:
    """Sends what the ledger holds for SMS; lives as long as the worker."""

    def __init__(self, database: Database, channel: SmsChannel) -> None:
        self._database = database
        self._channel = channel

    @activity.defn(name="send_sms")
    async def send_sms(self, request: SendRequest) -> SendReceipt:
        """Send one text message of the ledger; a second call behaves as in ``send_email``.

        Raises:
            ApplicationError: See ``deliver``.
        """
        return await deliver(self._database, request, self._hand_over)

    async def _hand_over(self, message: ClaimedMessage) -> Accepted:
        return await self._channel.send(
            OutgoingSms(
                message_id=message.id,
                to=message.recipient,
                body=message.body_text,
                status_callback=None,
            )
        )
