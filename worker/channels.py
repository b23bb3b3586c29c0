"""Channels from settings: real ones, or ones that say which setting is missing."""

from __future__ import annotations

from typing import Final

from fixlify.channels import (
    Accepted,
    EmailChannel,
    OutgoingEmail,
    OutgoingSms,
    SmsChannel,
)
from fixlify.channels.email import SmtpChannel, SmtpServer
from fixlify.channels.sms import TwilioAccount, TwilioChannel
from fixlify.channels.webhooks import WebhookChannel
from fixlify.domain.errors import TransportError
from fixlify.settings import Settings

_NO_EMAIL: Final = "email is not configured; set FIXLIFY_SMTP_URL and restart the worker"
_NO_SMS: Final = (
    "SMS is not configured; set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM_NUMBER "
    "(or TWILIO_MESSAGING_SERVICE_SID) and restart the worker"
)


class NotConfigured:
    """A channel nobody set up: it sends nothing, and says so for as long as it is asked.

    The error is temporary, so a message waits, visibly, until the setting is there.
    """

    def __init__(self, missing: str) -> None:
        self._missing = missing

    async def send(self, message: OutgoingEmail | OutgoingSms) -> Accepted:
        """Raise; nothing is ever simulated."""
        raise TransportError(self._missing, permanent=False)

    async def check(self) -> None:
        """Raise, for ``doctor``."""
        raise TransportError(self._missing, permanent=False)

    async def aclose(self) -> None:
        """Do nothing; there is no connection."""


def email_channel(settings: Settings) -> EmailChannel:
    """Return the mail server of *settings*."""
    if settings.smtp_url is None:
        return NotConfigured(_NO_EMAIL)
    return SmtpChannel(SmtpServer.from_url(settings.smtp_url.get_secret_value()))


def sms_channel(settings: Settings) -> SmsChannel:
    """Return the Twilio account of *settings*."""
    if not settings.sends_sms or settings.twilio_auth_token is None:
        return NotConfigured(_NO_SMS)
    return TwilioChannel(
        TwilioAccount(
            account_sid=settings.twilio_account_sid or "",
            auth_token=settings.twilio_auth_token,
            from_number=settings.twilio_from_number,
            messaging_service_sid=settings.twilio_messaging_service_sid,
            base_url=settings.twilio_base_url,
        )
    )


def webhook_channel(settings: Settings) -> WebhookChannel:
    """Return the way to other systems, or to the stand-in of *settings*."""
    return WebhookChannel(stand_in=settings.webhook_stand_in)
