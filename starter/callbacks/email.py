"""What mail systems say became of our email: recorded, and obeyed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, field_validator
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.channels.addresses import email_address
from fixlify.channels.email.reports import (
    Action,
    DeliveryReport,
    means_no_mailbox,
    message_named,
)
from fixlify.domain.errors import RecipientError
from fixlify.domain.models import Frozen
from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import MessageStatus
from fixlify.storage.addressees import Addressee, clients_of, lock_addressee, was_said
from fixlify.storage.consent import opt_out, record_consent, suppress
from fixlify.storage.database import Database
from fixlify.storage.messages import Channel
from fixlify.storage.messages.reports import Report, record_report

MOST_EVENTS: Final = 1_000
"""Events of one request."""

BOUNCE: Final = "bounce"
COMPLAINT: Final = "complaint"
"""Whose word a suppression or an opt-out is: a mail server's, or the recipient's own by it."""

# What our own mail server is called in the ledger.
_PROVIDER: Final = "smtp"
# Before there was such mail; some systems write year 1 where they know none.
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LONGEST_REASON: Final = 300


class EmailEvent(Frozen):
    """What became of one email."""

    message_id: Annotated[
        str,
        Field(
            min_length=1,
            max_length=998,
            description="The Message-ID header, with or without brackets, or our own id of the "
            "message (X-Fixlify-Message-Id). One that we do not know is ignored.",
        ),
    ]
    type: Annotated[
        Literal["bounce", "complaint", "delivered"],
        Field(description="bounce: it came back. complaint: its recipient called it spam."),
    ]
    recipient: Annotated[
        str,
        Field(
            min_length=1,
            max_length=998,
            description="The address it is about. Where that is not the one we wrote to, the "
            "address is not suppressed, and nobody is opted out.",
        ),
    ]
    bounce: Annotated[
        Literal["hard", "soft"] | None,
        Field(
            description="hard: nobody has the address; it gets no more mail. soft: this one "
            "mail was refused. Without it code and reason decide."
        ),
    ] = None
    code: Annotated[
        str | None,
        Field(
            pattern=r"^[245]\.[0-9]{1,3}\.[0-9]{1,3}$",
            description="The enhanced status code (RFC 3463), such as 5.1.1.",
        ),
    ] = None
    reason: Annotated[
        str | None, Field(max_length=10_000, description="The mail server's words.")
    ] = None
    at: Annotated[
        AwareDatetime | None, Field(description="When it happened, with an offset. Now, without.")
    ] = None

    @field_validator("at", mode="before")
    @classmethod
    def _is_text(cls, at: object) -> object:
        # Nobody says whether a number would be seconds or milliseconds.
        if isinstance(at, int | float):
            raise ValueError("must be a datetime in text, such as 2026-11-17T10:00:00Z")
        return at


class EmailEvents(Frozen):
    """Events of one request, in any order."""

    events: Annotated[list[EmailEvent], Field(min_length=1, max_length=MOST_EVENTS)]


class EmailEventsReceipt(Frozen):
    """What became of the events of one request."""

    recorded: Annotated[int, Field(ge=0, description="News about messages of ours.")] = 0
    unchanged: Annotated[
        int, Field(ge=0, description="Told before, or older than what is known.")
    ] = 0
    ignored: Annotated[int, Field(ge=0, description="About no message of ours.")] = 0


def events_of(reports: Iterable[DeliveryReport]) -> list[EmailEvent]:
    """Return what mail servers' *reports* say; that one is still trying says nothing yet."""
    events = []
    for report in reports:
        if report.action not in (Action.FAILED, Action.DELIVERED):
            continue
        events.append(
            EmailEvent(
                message_id=str(report.message_id),
                type="bounce" if report.action is Action.FAILED else "delivered",
                recipient=report.recipient,
                code=report.status,
                reason=report.diagnostic,
            )
        )
    return events


class Outcome(StrEnum):
    """What became of one event, as the receipt counts it."""

    RECORDED = "recorded"
    UNCHANGED = "unchanged"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Told:
    """One event, and what became of it. ``message_id`` is None where it named none.

    ``names_another`` says that it is about another address than the message's own.
    """

    message_id: UUID | None
    type: str
    outcome: Outcome
    names_another: bool = False


def receipt_of(told: Iterable[Told]) -> EmailEventsReceipt:
    """Return the receipt for these events."""
    return EmailEventsReceipt(**Counter(each.outcome.value for each in told))


class EmailReports:
    """Records what comes back; lives as long as its application."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, events: Iterable[EmailEvent]) -> list[Told]:
        """Record *events*, each in a transaction of its own; return what became of each.

        Repeated, or in another order, they come to the same. What is about no email of ours is
        passed over.
        """
        return [await self._apply(event) for event in events]

    async def _apply(self, event: EmailEvent) -> Told:
        message_id = message_named(event.message_id)
        if message_id is None:
            return Told(None, event.type, Outcome.IGNORED)
        async with self._database.transaction() as connection:
            addressee = await lock_addressee(connection, message_id)
            if addressee is None:
                return Told(message_id, event.type, Outcome.IGNORED)
            is_its_own = _same_address(event.recipient, addressee.address)
            status = _status(event, is_its_own=is_its_own)
            reported = await record_report(
                connection,
                message_id,
                Report(
                    provider=_PROVIDER,
                    status=status,
                    error_code=event.code if event.type == "bounce" else None,
                    reason=_reason(event),
                ),
            )
            is_news = reported is not None and reported.changed
            if status is MessageStatus.BOUNCED and is_news:
                await _give_up(connection, addressee, event)
            if event.type == "complaint" and is_its_own:
                is_news = await _heed(connection, addressee, _moment(event)) or is_news
        outcome = Outcome.RECORDED if is_news else Outcome.UNCHANGED
        return Told(message_id, event.type, outcome, names_another=not is_its_own)


def _status(event: EmailEvent, *, is_its_own: bool) -> MessageStatus:
    if event.type != "bounce":
        # Who complains has got it.
        return MessageStatus.DELIVERED
    if event.bounce is None:
        is_hard = means_no_mailbox(event.code, event.reason)
    else:
        is_hard = event.bounce == "hard"
    # That a mailbox behind the address is gone says nothing of the address itself.
    return MessageStatus.BOUNCED if is_hard and is_its_own else MessageStatus.UNDELIVERED


async def _give_up(connection: AsyncConnection, addressee: Addressee, event: EmailEvent) -> None:
    """Let nothing more go to an address that nobody has."""
    await suppress(
        connection,
        addressee.organization_id,
        Channel.EMAIL,
        addressee.address,
        reason=f"bounced: {event.code}" if event.code else "bounced",
        source=BOUNCE,
        at=_moment(event),
    )


async def _heed(connection: AsyncConnection, addressee: Addressee, at: datetime) -> bool:
    """Send no more marketing to whoever called it spam; return whether that is news.

    Once for each message: told again, it takes back nothing that was said since.
    """
    if await was_said(connection, addressee, COMPLAINT):
        return False
    about = (connection, addressee.organization_id)
    clients = await clients_of(connection, addressee)
    for each in clients:
        await opt_out(
            *about,
            each,
            Channel.EMAIL,
            message_class=MessageClass.MARKETING,
            source=COMPLAINT,
            at=at,
        )
    if not clients:
        await suppress(
            *about,
            Channel.EMAIL,
            addressee.address,
            reason="called it spam",
            source=COMPLAINT,
            at=at,
        )
    for client_id in clients or (None,):
        await record_consent(
            *about,
            client_id=client_id,
            channel=Channel.EMAIL,
            message_class=MessageClass.MARKETING if clients else None,
            address=addressee.address,
            wants=False,
            source=COMPLAINT,
            evidence={"message_id": str(addressee.message_id)},
            said_at=at,
        )
    return True


def _same_address(reported: str, own: str) -> bool:
    try:
        reported = email_address(reported.strip().strip("<>"))
    except RecipientError:
        return False
    return reported.lower() == own.lower()


def _moment(event: EmailEvent) -> datetime:
    now = datetime.now(UTC)
    return now if event.at is None else max(_EARLIEST, min(event.at, now))


def _reason(event: EmailEvent) -> str | None:
    if event.type != "bounce":
        return None
    words = "".join(each if each.isprintable() else " " for each in event.reason or "")
    return " ".join(words.split())[:_LONGEST_REASON] or None
