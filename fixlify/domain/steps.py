"""Steps: what an automation does, one after another."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.durations import Duration
from fixlify.domain.models import Frozen

StepId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""Lower-case letters, digits, ``-`` and ``_``; unique within its automation."""


class Recipient(StrEnum):
    """Who a message goes to."""

    CLIENT = "client"
    TECHNICIAN = "technician"


class SendEmail(Frozen):
    """Send one email: a shipped ``template``, or ``subject`` and ``text`` (and ``html``)."""

    type: Literal["send_email"] = "send_email"
    id: StepId | None = None
    to: Recipient = Recipient.CLIENT
    template: str | None = None
    subject: str | None = None
    text: str | None = None
    html: str | None = None

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


class SendSms(Frozen):
    """Send one text message: a shipped ``template``, or the ``text`` itself."""

    type: Literal["send_sms"] = "send_sms"
    id: StepId | None = None
    to: Recipient = Recipient.CLIENT
    template: str | None = None
    text: str | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> SendSms:
        if (self.template is None) == (not self.text):
            raise PydanticCustomError("content", "give either a 'template' or a 'text'")
        return self


class Wait(Frozen):
    """Wait on a durable timer; the run survives restarts and deploys meanwhile."""

    type: Literal["wait"] = "wait"
    id: StepId | None = None
    for_: Annotated[Duration, Field(alias="for")]


Step = Annotated[SendEmail | SendSms | Wait, Field(discriminator="type")]
"""One thing an automation does; ``type`` says which."""
