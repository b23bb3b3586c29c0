"""Compose one message: who it is for, whether it may go, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from fixlify.channels.addresses import email_address, phone_number
from fixlify.domain.automation import PinnedDefinition
from fixlify.domain.errors import RecipientError, RenderError
from fixlify.domain.events import SubjectType
from fixlify.domain.facts import Facts, Subject
from fixlify.domain.ids import new_id
from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import MessageStatus
from fixlify.domain.steps import (
    FieldRecipient,
    FixedRecipient,
    Recipient,
    SendEmail,
    SendSms,
    SendTo,
)
from fixlify.domain.steps.recipients import recipient_kind
from fixlify.domain.unsubscribing import UnsubscribeLinks
from fixlify.rendering import render_email, render_sms
from fixlify.storage.messages import Channel, NewMessage
from fixlify.storage.owners import Owner

# Whom a message about such a subject can never go to, and which have a technician of their own.
_NEVER_OF = {
    SubjectType.ORGANIZATION: frozenset({Recipient.CLIENT, Recipient.TECHNICIAN}),
    SubjectType.CLIENT: {Recipient.TECHNICIAN},
    SubjectType.SMS: {Recipient.TECHNICIAN},
}
_WITH_TECHNICIAN = {SubjectType.JOB, SubjectType.TASK}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Addressee:
    """Whom a message goes to; ``id`` is None where the ledger knows no person.

    ``place`` is where the address stands, for people who have to correct it; None at the
    person.
    """

    id: UUID | None
    email: str | None
    phone: str | None
    place: str | None = None


def compose(
    step: SendEmail | SendSms,
    pinned: PinnedDefinition,
    facts: Facts | None,
    subject: Subject,
    execution_id: UUID,
    *,
    owner: Owner | None = None,
    now: datetime | None = None,
    good_until: datetime | None = None,
    links: UnsubscribeLinks | None = None,
    entered_as: UUID | None = None,
) -> NewMessage:
    """Return the message of *step*, queued; or refused, with the reason it cannot go.

    Args:
        step: What is sent, and to whom.
        pinned: The version *step* belongs to.
        facts: About the *subject*; None when that is gone.
        subject: What the run is about.
        execution_id: The run's.
        owner: The company's; None where nobody is, or *step* is not for the owner.
        now: The run's own clock.
        good_until: After which the message is worth nothing, whatever *step* says.
        links: How people get out of marketing email.
        entered_as: The message's id where the ledger has it already, which its link names.
    """
    channel = Channel.EMAIL if isinstance(step, SendEmail) else Channel.SMS
    message_id = entered_as or new_id()

    def message(status: MessageStatus, reason: str | None = None, **content: Any) -> NewMessage:
        return NewMessage(
            id=message_id,
            organization_id=subject.organization_id,
            execution_id=execution_id,
            step_id=str(step.id),
            channel=channel,
            recipient_kind=recipient_kind(step.to),
            status=status,
            reason=reason,
            message_class=message_class_of(step, pinned),
            good_until=good_until,
            good_for=step.good_for,
            written_at=now,
            **content,
        )

    if facts is None:
        return message(MessageStatus.CANCELLED, f"the {subject.type} no longer exists")
    if recipient_kind(step.to) == Recipient.CLIENT and _opted_out(facts, channel):
        return message(MessageStatus.SUPPRESSED, f"the client opted out of {channel.value}")
    try:
        addressee = _addressee(step.to, facts, owner, subject.type)
        way_out = None
        if channel is Channel.EMAIL and message_class_of(step, pinned) is MessageClass.MARKETING:
            way_out = _way_out(links or UnsubscribeLinks(), message_id, facts)
        content = _content(step, pinned, facts, addressee, way_out)
    except (RecipientError, RenderError) as error:
        return message(MessageStatus.FAILED, str(error))
    except Exception as error:
        # Whatever a template does, it costs this one step and says so; retried, it would hold
        # the run for ever.
        _log.exception("Composing a message failed unexpectedly.", step_id=step.id)
        return message(MessageStatus.FAILED, f"rendering failed: {type(error).__name__}")
    return message(MessageStatus.QUEUED, None, recipient_id=addressee.id, **content)


def message_class_of(step: SendEmail | SendSms, pinned: PinnedDefinition) -> MessageClass:
    """Return what kind of message *step* sends: its own, else the automation's."""
    return step.message_class or pinned.definition.message_class


def _way_out(links: UnsubscribeLinks, message_id: UUID, facts: Facts) -> str:
    """Return where the recipient unsubscribes.

    Raises:
        RenderError: Nowhere: marketing email that nobody can get out of is not sent.
    """
    way_out = links.way_out(message_id, facts.organization.email)
    if way_out is None:
        raise RenderError(
            "marketing email needs a way to unsubscribe; set FIXLIFY_PUBLIC_URL and "
            "FIXLIFY_LINK_SECRET, or give the company an email address"
        )
    return way_out


def _addressee(
    to: SendTo, facts: Facts, owner: Owner | None, subject_type: SubjectType
) -> _Addressee:
    """Return whom *to* means.

    Raises:
        RecipientError: Nobody; the message says what to do about it.
    """
    if isinstance(to, FixedRecipient):
        return _Addressee(None, to.address, to.address, "the step")
    if isinstance(to, FieldRecipient):
        value = facts.lookup(to.field)
        if value is None or not str(value).strip():
            raise RecipientError(f"'{to.field}' is empty; fill it in, or choose another recipient")
        client = facts.client if recipient_kind(to) == Recipient.CLIENT else None
        return _Addressee(client.id if client else None, str(value), str(value), f"'{to.field}'")
    if to is Recipient.OWNER:
        if owner is None:
            raise RecipientError(
                "the company has no owner; give a profile the role 'owner', or choose another "
                "recipient"
            )
        return _Addressee(owner.id, owner.email, owner.phone)
    person = facts.client if to is Recipient.CLIENT else facts.technician
    if person is None:
        raise RecipientError(_nobody(subject_type, to))
    return _Addressee(person.id, person.email, person.phone)


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
    addressee: _Addressee,
    way_out: str | None,
) -> dict[str, str | None]:
    source = pinned.source_of(step)
    organization = facts.organization
    if isinstance(step, SendSms):
        region = organization.locale.replace("-", "_").rpartition("_")[2]
        return {
            "recipient": _address(addressee, region),
            "body_text": render_sms(source, facts).text,
        }
    recipient = _address(addressee, None)
    email = render_email(source, facts, unsubscribe_url=way_out)
    return {
        "recipient": recipient,
        "sender_name": organization.name,
        "reply_to": organization.email,
        "subject": email.subject,
        "body_text": email.text,
        "body_html": email.html,
    }


def _address(addressee: _Addressee, region: str | None) -> str:
    """Return the email address, or with the *region* of national numbers the phone number."""
    try:
        if region is None:
            return email_address(addressee.email)
        return phone_number(addressee.phone, region)
    except RecipientError:
        if addressee.place is None:
            raise
        kind = "email address" if region is None else "phone number"
        raise RecipientError(f"the {kind} is not valid; correct it at {addressee.place}") from None


def _opted_out(facts: Facts, channel: Channel) -> bool:
    if facts.client is None:
        return False
    return facts.client.email_opted_out if channel is Channel.EMAIL else facts.client.sms_opted_out
