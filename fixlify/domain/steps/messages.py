"""Steps that send: an email, a text message."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.durations import Duration
from fixlify.domain.rules import MessageClass
from fixlify.domain.steps.base import StepBase
from fixlify.domain.steps.recipients import FixedRecipient, Recipient, SendTo

BY_EMAIL: Final = ".email"
"""What the id of a step gets that goes by email instead; no other id can end so."""

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
    """Send one text message: a ``template``, or the ``text`` itself.

    With ``if_landline: email`` a number that takes no text messages is written to by email
    instead, with the email of the same template.
    """

    type: Literal["send_sms"] = "send_sms"
    text: str | None = None
    if_landline: Literal["email"] | None = None

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
        if self.if_landline and self.template is None:
            raise PydanticCustomError(
                "if_landline", "an email instead needs a 'template' that has one"
            )
        return self

    @property
    def email_instead(self) -> SendEmail:
        """The email that goes where the number turns out to be a landline."""
        # Its id is one that nobody can write.
        return SendEmail.model_construct(
            id=f"{self.id}{BY_EMAIL}",
            to=self.to,
            template=self.template,
            message_class=self.message_class,
            good_for=self.good_for,
            enabled=self.enabled,
            on_error=self.on_error,
        )
