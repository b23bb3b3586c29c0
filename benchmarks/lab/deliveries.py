"""When the providers accepted what, found by recipient whatever else arrived."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import timedelta
from time import monotonic
from typing import Final

from benchmarks.lab.companies import Job
from devstack.captured_email import CapturedEmail
from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.twilio_api import CapturedSms

_LOOK_AGAIN: Final = 0.005


class Deliveries:
    """What both far ends accepted, with the moments; lives as long as they.

    Moments are seconds of ``time.monotonic``, in the order of acceptance.
    """

    def __init__(self, mail: MailCatcher, phone: SmsCatcher) -> None:
        self._accepted: dict[str, list[float]] = defaultdict(list)
        self.emails = 0
        self.texts = 0
        mail.on_accept(self._email)
        phone.on_accept(self._text)

    def of(self, recipient: str) -> list[float]:
        """Return when messages to an email address or a number were accepted; empty for never."""
        return self._accepted.get(recipient, [])

    def both(self, job: Job) -> float | None:
        """Return when the email and the text about *job* were both accepted, or None."""
        email, text = self.of(job.email), self.of(job.phone)
        return max(email[0], text[0]) if email and text else None

    async def wait_for_both(self, job: Job, deadline: timedelta = timedelta(seconds=30)) -> float:
        """Return when both were accepted, waiting for it.

        Raises:
            TimeoutError: They were not within *deadline*.
        """
        until = monotonic() + deadline.total_seconds()
        while (accepted := self.both(job)) is None:
            if monotonic() > until:
                raise TimeoutError(f"the messages about {job.id} did not arrive in {deadline}")
            await asyncio.sleep(_LOOK_AGAIN)
        return accepted

    def duplicates(self) -> dict[str, int]:
        """Return how often each recipient was written to who was more than once."""
        return {who: len(when) for who, when in self._accepted.items() if len(when) > 1}

    def _email(self, message: CapturedEmail) -> None:
        self.emails += 1
        for recipient in message.recipients:
            self._accepted[recipient].append(message.accepted_at)

    def _text(self, message: CapturedSms) -> None:
        self.texts += 1
        self._accepted[message.to].append(message.accepted_at)
