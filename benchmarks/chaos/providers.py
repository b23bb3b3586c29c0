"""Make the mailbox and the phone behave as providers do on their worst days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import httpx2
import psycopg
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from benchmarks.chaos.proxy import Proxy
from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.sms_fates import BROKEN, TOO_MANY, UNAVAILABLE, Refusal
from devstack.twilio_api import callback_parameters
from fixlify.channels.sms.callbacks import status_callback_url

# The end of a message, and the beginning of one: what follows is the answer that counts.
MAIL_QUESTION: Final = b"\r\n.\r\n"
PHONE_QUESTION: Final = b"POST "

MAIL_OUTAGES: Final = (421, 450)
MAIL_THROTTLES: Final = (451,)
PHONE_OUTAGES: Final[Mapping[str, Refusal]] = MappingProxyType({"500": BROKEN, "503": UNAVAILABLE})
_REPEATED: Final = 8
_REPORT_TIMEOUT: Final = 5.0
_STALE: Final = ("sent", "queued")


@dataclass(frozen=True, slots=True)
class Providers:
    """Both far ends with the proxies before them; lives as long as the world."""

    mail: MailCatcher
    phone: SmsCatcher
    mail_proxy: Proxy
    phone_proxy: Proxy
    public_url: str

    def proxy_of(self, provider: str) -> Proxy:
        """Return what stands before ``mail`` or ``phone``."""
        return self.mail_proxy if provider == "mail" else self.phone_proxy

    def refuse_all(self, provider: str, answer: str) -> None:
        """Let a provider refuse everything for now, with an SMTP reply or an HTTP status."""
        if provider == "mail":
            self.mail.outage = int(answer)
        else:
            self.phone.outage = TOO_MANY if answer == "429" else PHONE_OUTAGES[answer]

    def take_all(self, provider: str) -> None:
        """Let a provider take everything again."""
        if provider == "mail":
            self.mail.outage = None
        else:
            self.phone.outage = None

    def recover(self) -> None:
        """Let both take everything again, and lose no answers."""
        self.take_all("mail")
        self.take_all("phone")
        for proxy in (self.mail_proxy, self.phone_proxy):
            proxy.heal()

    async def repeat_reports(self, connection: psycopg.AsyncConnection[Any]) -> int:
        """Report on the newest texts once more, the last word first; return how many reports.

        Args:
            connection: the owner's: only the ledger knows which message a text is.
        """
        texts = {text.sid: text for text in self.phone.messages[-_REPEATED:]}
        cursor = await connection.execute(
            "SELECT id, provider_id FROM messages WHERE provider_id = ANY(%s)", [list(texts)]
        )
        validator = RequestValidator(self.phone.auth_token)
        told = 0
        async with httpx2.AsyncClient(timeout=_REPORT_TIMEOUT, trust_env=False) as http:
            for message_id, sid in await cursor.fetchall():
                url = status_callback_url(self.public_url, message_id)
                assert url is not None, "there is a public address"  # noqa: S101
                for status in (texts[sid].status, *_STALE):
                    text = texts[sid].model_copy(update={"status": status})
                    parameters = callback_parameters(text, self.phone.account_sid)
                    signature = validator.compute_signature(url, parameters)
                    try:
                        await http.post(
                            url, data=parameters, headers={"X-Twilio-Signature": signature}
                        )
                    except httpx2.HTTPError:
                        # Nobody there: the real one would try again, too.
                        return told
                    told += 1
        return told
