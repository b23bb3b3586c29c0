"""Look at the providers: reach them and log in, sending nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

from cli.checks.findings import Finding, failed, ok, warning
from fixlify.channels import EmailChannel, SmsChannel
from fixlify.domain.errors import ConfigurationError, TransportError
from fixlify.settings import Settings
from worker.channels import email_channel, sms_channel


async def check_email(settings: Settings) -> AsyncIterator[Finding]:
    """Look at the mail server."""
    check, remedy = "email", "Check FIXLIFY_SMTP_URL, and that the mail server is up."
    if settings.smtp_url is None:
        yield failed(check, "not configured; emails wait", "Set FIXLIFY_SMTP_URL.")
        return
    try:
        channel = email_channel(settings)
    except ConfigurationError as error:
        yield failed(check, str(error), remedy)
        return
    yield await _reached(
        check, channel, f"the mail server answers; mail comes from {settings.mail_from}", remedy
    )
    yield _unsubscribing(settings)


def _unsubscribing(settings: Settings) -> Finding:
    check = "email.unsubscribe"
    missing = [
        name
        for name, value in (
            ("FIXLIFY_PUBLIC_URL", settings.public_url),
            ("FIXLIFY_LINK_SECRET", settings.link_secret),
        )
        if value is None
    ]
    if missing:
        return warning(
            check,
            "marketing email has no link to unsubscribe; people are asked to answer it instead",
            f"Set {' and '.join(missing)}, for workers and for `fixlify starter --http`.",
        )
    return ok(check, f"links lead to {settings.public_url}")


async def check_sms(settings: Settings) -> AsyncIterator[Finding]:
    """Look at the Twilio account; a company may do without text messages."""
    check, remedy = "sms", "Check the TWILIO_ settings, and whether Twilio is up."
    if not settings.sends_sms:
        yield warning(
            check,
            "not configured; text messages wait",
            "Set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM_NUMBER (or "
            "TWILIO_MESSAGING_SERVICE_SID), if automations are to send any.",
        )
        return
    try:
        channel = sms_channel(settings)
    except ConfigurationError as error:
        yield failed(check, str(error), remedy)
        return
    stand_in = f"Twilio's stand-in at {settings.twilio_base_url}"
    who = stand_in if settings.twilio_base_url else "Twilio"
    detail = f"account {settings.twilio_account_sid} is accepted by {who}"
    yield await _reached(check, channel, detail, remedy)


async def _reached(
    check: str, channel: EmailChannel | SmsChannel, detail: str, remedy: str
) -> Finding:
    try:
        await channel.check()
    except TransportError as error:
        return failed(check, str(error), remedy)
    finally:
        await channel.aclose()
    return ok(check, detail)
