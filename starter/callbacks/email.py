"""What mail systems say became of our email: recorded, and obeyed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import structlog
from pydantic import AwareDatetime, Field
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

_log = structlog.get_logger(__name__)


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


@dataclass(frozen=True, slots=True)
class EmailReports:
    """Records what comes back; lives as long as its application."""

    database: Database

    async def apply(self, events: Iterable[EmailEvent]) -> EmailEventsReceipt:
        """Record *events*, each in a transaction of its own.

        Repeated, or in another order, they come to the same. What is about no email of ours is
        passed over.
        """
        recorded = unchanged = ignored = 0
        for event in events:
            message_id = message_named(event.message_id)
            changed = None if message_id is None else await self._apply(message_id, event)
            if changed is None:
                ignored += 1
                _log.info(
                    "A mail system reported a message that is none of ours.",
                    type=event.type,
                    message_id=str(message_id) if message_id else None,
                )
            elif changed:
                recorded += 1
            else:
                unchanged += 1
        return EmailEventsReceipt(recorded=recorded, unchanged=unchanged, ignored=ignored)

    async def _apply(self, message_id: UUID, event: EmailEvent) -> bool | None:
        """Record one event; return whether it is news, None where the message is not ours."""
        async with self.database.transaction() as connection:
            addressee = await lock_addressee(connection, message_id)
            if addressee is None:
                return None
            log = _log.bind(message_id=str(message_id), type=event.type)
            is_its_own = _same_address(event.recipient, addressee.address)
            if not is_its_own:
                log.warning("A mail system reported another address than the message's own.")
            status = _status(event, is_its_own=is_its_own)
            reported = await record_report(
                connection,
                message_id,
                Report(
                    provider=_PROVIDER,
                    status=status,
                    error_code=event.code if status is not MessageStatus.DELIVERED else None,
                    reason=_reason(event),
                ),
            )
            is_news = reported is not None and reported.changed
            at = _moment(event)
            if status is MessageStatus.BOUNCED and is_news:
                await _give_up(connection, addressee, event, at)
            if event.type == "complaint" and is_its_own:
                is_news = await _heed(connection, addressee, at) or is_news
            if is_news:
                log.info("A mail system reported what became of a message.", status=status.value)
            return is_news


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


async def _give_up(
    connection: AsyncConnection, addressee: Addressee, event: EmailEvent, at: datetime
) -> None:
    """Let nothing more go to an address that nobody has."""
    await suppress(
        connection,
        addressee.organization_id,
        Channel.EMAIL,
        addressee.address,
        reason=f"bounced: {event.code}" if event.code else "bounced",
        source=BOUNCE,
        at=at,
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
