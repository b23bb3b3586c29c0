"""Channels from settings: real ones, or ones that say which setting is missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from fixlify.channels import (
    Accepted,
    EmailChannel,
    OutgoingEmail,
    OutgoingSms,
    SmsChannel,
)
from fixlify.channels.email import Patience, SmtpChannel, SmtpServer
from fixlify.channels.failover import FailoverEmail, FailoverSms
from fixlify.channels.sms import TwilioAccount, TwilioChannel
from fixlify.channels.webhooks import WebhookChannel
from fixlify.domain.errors import TransportError
from fixlify.settings import Settings

_NO_EMAIL: Final = "email is not configured; set FIXLIFY_SMTP_URL and restart the worker"
_NO_SMS: Final = (
    "SMS is not configured; set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM_NUMBER "
    "(or TWILIO_MESSAGING_SERVICE_SID) and restart the worker"
)

# Both are to be asked within one attempt, which has 50 s for them.
PATIENCE_WITH_TWO: Final = Patience(before=timedelta(seconds=8))


class NotConfigured:
    """A channel nobody set up: it sends nothing, and says so for as long as it is asked.

    The error is temporary, so a message waits, visibly, until the setting is there.
    """

    def __init__(self, missing: str) -> None:
        self._missing = missing

    async def send(self, message: OutgoingEmail | OutgoingSms) -> Accepted:
        """Raise; nothing is ever simulated."""
        raise TransportError(self._missing, permanent=False)

    async def find_sent(
        self, message: OutgoingSms, *, since: datetime, known: frozenset[str]
    ) -> Accepted | None:
        """Raise; there is no list to look into."""
        raise TransportError(self._missing, permanent=False)

    async def check(self) -> None:
        """Raise, for ``doctor``."""
        raise TransportError(self._missing, permanent=False)

    async def aclose(self) -> None:
        """Do nothing; there is no connection."""


def email_channel(settings: Settings) -> EmailChannel:
    """Return the mail server of *settings*, or both of them as one.

    Raises:
        ConfigurationError: Naming the variable that makes no sense.
    """
    if settings.smtp_url is None:
        return NotConfigured(_NO_EMAIL)
    first = SmtpServer.from_url(settings.smtp_url.get_secret_value())
    if settings.smtp_fallback_url is None:
        return SmtpChannel(first)
    second = SmtpServer.from_url(
        settings.smtp_fallback_url.get_secret_value(), "FIXLIFY_SMTP_FALLBACK_URL"
    )
    return FailoverEmail(
        SmtpChannel(first, patience=PATIENCE_WITH_TWO),
        SmtpChannel(second, patience=PATIENCE_WITH_TWO),
    )


def sms_channel(settings: Settings) -> SmsChannel:
    """Return the Twilio account of *settings*, with a second number where there is one.

    Raises:
        ConfigurationError: Naming the variable that makes no sense.
    """
    if not settings.sends_sms or settings.twilio_auth_token is None:
        return NotConfigured(_NO_SMS)
    first = TwilioAccount(
        account_sid=settings.twilio_account_sid or "",
        auth_token=settings.twilio_auth_token,
        from_number=settings.twilio_from_number,
        messaging_service_sid=settings.twilio_messaging_service_sid,
        base_url=settings.twilio_base_url,
    )
    if settings.twilio_fallback_from_number is None:
        return TwilioChannel(first)
    second = replace(
        first,
        from_number=settings.twilio_fallback_from_number,
        messaging_service_sid=None,
        number_setting="TWILIO_FALLBACK_FROM_NUMBER",
    )
    return FailoverSms(TwilioChannel(first), TwilioChannel(second))


def webhook_channel(settings: Settings) -> WebhookChannel:
    """Return the way to other systems, or to the stand-in of *settings*."""
    return WebhookChannel(stand_in=settings.webhook_stand_in)
