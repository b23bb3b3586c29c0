"""Compose one message: who it is for, whether it may go, and what it says."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog

from fixlify.channels.addresses import email_address, phone_number
from fixlify.domain.automation import PinnedDefinition
from fixlify.domain.errors import RecipientError, RenderError
from fixlify.domain.events import SubjectType
from fixlify.domain.facts import Client, Facts, Subject, Technician
from fixlify.domain.ids import new_id
from fixlify.domain.runs import MessageStatus
from fixlify.domain.steps import Recipient, SendEmail, SendSms
from fixlify.domain.steps.recipients import recipient_kind
from fixlify.rendering import render_email, render_sms
from fixlify.storage.messages import Channel, NewMessage

# Whom a message about such a subject can never go to, and which have a technician of their own.
_NEVER_OF = {
    SubjectType.ORGANIZATION: frozenset(Recipient),
    SubjectType.CLIENT: {Recipient.TECHNICIAN},
    SubjectType.SMS: {Recipient.TECHNICIAN},
}
_WITH_TECHNICIAN = {SubjectType.JOB, SubjectType.TASK}

_log = structlog.get_logger(__name__)


def compose(
    step: SendEmail | SendSms,
    pinned: PinnedDefinition,
    facts: Facts | None,
    subject: Subject,
    execution_id: UUID,
) -> NewMessage:
    """Return the message of *step*, queued; or refused, with the reason it cannot go.

    *facts* are None when the *subject* is gone.
    """
    channel = Channel.EMAIL if isinstance(step, SendEmail) else Channel.SMS

    def message(status: MessageStatus, reason: str | None = None, **content: Any) -> NewMessage:
        return NewMessage(
            id=new_id(),
            organization_id=subject.organization_id,
            execution_id=execution_id,
            step_id=str(step.id),
            channel=channel,
            recipient_kind=recipient_kind(step.to),
            status=status,
            reason=reason,
            **content,
        )

    if facts is None:
        return message(MessageStatus.CANCELLED, f"the {subject.type} no longer exists")
    person = facts.client if step.to is Recipient.CLIENT else facts.technician
    if person is None:
        return message(
            MessageStatus.FAILED, _nobody(subject.type, Recipient(recipient_kind(step.to)))
        )
    if _opted_out(person, channel):
        return message(MessageStatus.SUPPRESSED, f"the client opted out of {channel.value}")
    try:
        content = _content(step, pinned, facts, person)
    except (RecipientError, RenderError) as error:
        return message(MessageStatus.FAILED, str(error))
    except Exception as error:
        # Whatever a template does, it costs this one step and says so; retried, it would hold
        # the run for ever.
        _log.exception("Composing a message failed unexpectedly.", step_id=step.id)
        return message(MessageStatus.FAILED, f"rendering failed: {type(error).__name__}")
    return message(MessageStatus.QUEUED, None, recipient_id=person.id, **content)


def _nobody(subject_type: SubjectType, to: Recipient) -> str:
    """Return the reason for a subject that has nobody to write to."""
    if to in _NEVER_OF.get(subject_type, ()):
        about = "clients" if to is Recipient.CLIENT else "jobs"
        remedy = f"choose a trigger or an audience that is about {about}"
    elif to is Recipient.TECHNICIAN and subject_type not in _WITH_TECHNICIAN:
        remedy = "assign one to its job"
    else:
        remedy = "assign one to it"
    return f"the {subject_type} has no {to}; {remedy}"


def _content(
    step: SendEmail | SendSms,
    pinned: PinnedDefinition,
    facts: Facts,
    person: Client | Technician,
) -> dict[str, str | None]:
    source = pinned.source_of(step)
    organization = facts.organization
    if isinstance(step, SendSms):
        region = organization.locale.replace("-", "_").rpartition("_")[2]
        recipient = phone_number(person.phone, region)
        return {"recipient": recipient, "body_text": render_sms(source, facts).text}
    recipient = email_address(person.email)
    email = render_email(source, facts)
    return {
        "recipient": recipient,
        "sender_name": organization.name,
        "reply_to": organization.email,
        "subject": email.subject,
        "body_text": email.text,
        "body_html": email.html,
    }


def _opted_out(person: Client | Technician, channel: Channel) -> bool:
    if not isinstance(person, Client):
        return False
    return person.email_opted_out if channel is Channel.EMAIL else person.sms_opted_out
