"""Where Twilio reports what became of a message."""

from __future__ import annotations

from typing import Final
from uuid import UUID

STATUS_PATH: Final = "/api/v1/callbacks/twilio/status"


def status_callback_url(public_url: str | None, message_id: UUID) -> str | None:
    """Return where the delivery of one message is reported; None without a public URL."""
    return None if public_url is None else f"{public_url}{STATUS_PATH}/{message_id}"
