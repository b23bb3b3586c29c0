"""Where Twilio reports what became of a message, and what its words for that mean."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from uuid import UUID

from fixlify.domain.runs import MessageStatus

STATUS_PATH: Final = "/api/v1/callbacks/twilio/status"
"""Below the public URL; the message's id follows it."""
INBOUND_PATH: Final = "/api/v1/callbacks/twilio/inbound"
"""Below the public URL: for messages that come in."""

# https://www.twilio.com/docs/messaging/api/message-resource#message-status-values. Whatever
# Twilio has taken is sent as far as we are concerned: nobody may send it again.
STATUSES: Final[Mapping[str, MessageStatus]] = MappingProxyType(
    {
        "accepted": MessageStatus.SENT,
        "scheduled": MessageStatus.SENT,
        "queued": MessageStatus.SENT,
        "sending": MessageStatus.SENT,
        "sent": MessageStatus.SENT,
        "delivered": MessageStatus.DELIVERED,
        "read": MessageStatus.DELIVERED,
        "undelivered": MessageStatus.UNDELIVERED,
        "failed": MessageStatus.FAILED,
        "canceled": MessageStatus.FAILED,
    }
)
"""What each ``MessageStatus`` of Twilio's is in the ledger."""


def status_callback_url(public_url: str | None, message_id: UUID) -> str | None:
    """Return where Twilio is to report on a message; None where it could not reach us.

    Args:
        public_url: Where the HTTP API is reached from outside, FIXLIFY_PUBLIC_URL.
        message_id: Ours, which so comes back with every report.
    """
    return public_url and f"{public_url.rstrip('/')}{STATUS_PATH}/{message_id}"
