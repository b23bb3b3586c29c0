"""Steps that send: an email, a text message."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.durations import Duration
from fixlify.domain.rules import MessageClass
from fixlify.domain.steps.base import StepBase
from fixlify.domain.steps.recipients import FixedRecipient, Recipient, SendTo

# As people write them; whether it is a number of its country is asked when it is written to.
_PHONE = re.compile(r"\+?[0-9 ()./-]{5,30}")


class _Sends(StepBase):
    """Whom a message goes to, which rules it is under, and how long it may be held by them.

    ``message_class`` is the automation's unless given. ``good_for`` counts from the moment the
    message is written; held for longer it is skipped.
    """

    to: SendTo = Recipient.CLIENT
    template: str | None = None
    message_class: MessageClass | None = None
    good_for: Duration | None = None


class SendEmail(_Sends):
    """Send one email: a shipped ``template``, or ``subject`` and ``text`` (and ``html``)."""

    type: Literal["send_email"] = "send_email"
    subject: str | None = None
    text: str | None = None
    html: str | None = None

    @field_validator("to")
    @classmethod
    def _is_reached_by_email(cls, to: SendTo) -> SendTo:
        if isinstance(to, FixedRecipient) and "@" not in to.address:
            raise PydanticCustomError(
                "address", "no email goes to a phone number; write an email address, or send_sms"
            )
        return to

    @model_validator(mode="after")
    def _has_one_source(self) -> SendEmail:
        if self.template is not None and (self.subject or self.text or self.html):
            raise PydanticCustomError(
                "content", "give either 'template' or 'subject' and 'text', not both"
            )
        if self.template is None and not (self.subject and self.text):
            raise PydanticCustomError(
                "content", "give a 'template', or a 'subject' and a 'text' (and 'html' if you like)"
            )
        return self


class SendSms(_Sends):
    """Send one text message: a shipped ``template``, or the ``text`` itself."""

    type: Literal["send_sms"] = "send_sms"
    text: str | None = None

    @field_validator("to")
    @classmethod
    def _is_reached_by_phone(cls, to: SendTo) -> SendTo:
        if isinstance(to, FixedRecipient) and not _PHONE.fullmatch(to.address.strip()):
            raise PydanticCustomError(
                "address",
                "no text message goes to that; write a phone number, or send_email",
            )
        return to

    @model_validator(mode="after")
    def _has_one_source(self) -> SendSms:
        if (self.template is None) == (not self.text):
            raise PydanticCustomError("content", "give either a 'template' or a 'text'")
        return self
