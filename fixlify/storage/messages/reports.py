"""What providers report of a message they took: recorded once, in whatever order it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import MessageStatus
from fixlify.storage.messages.entering import Channel


@dataclass(frozen=True, slots=True)
class Report:
    """What a provider says became of a message.

    ``status`` is ``sent``, ``delivered``, ``undelivered``, ``bounced`` or ``failed``; what is
    not known is None.
    """

    provider: str
    status: MessageStatus
    provider_id: str | None = None
    error_code: str | None = None
    reason: str | None = None
    segments: int | None = None
    price: Decimal | None = None
    price_currency: str | None = None
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class ReportedMessage:
    """The message a report is about, as it stands after it; whether the report changed that.

    ``recipient_id`` is the client's where ``recipient_kind`` is ``client``.
    """

    id: UUID
    organization_id: UUID
    channel: Channel
    recipient: str | None
    recipient_kind: str
    recipient_id: UUID | None
    message_class: MessageClass
    status: MessageStatus
    changed: bool


_M = MessageStatus
# What a report says of a message that is not in the provider's hands, as far as we know, is news
# only where it says that the message went out: whoever holds it knows better than we do.
_NOT_THERE: Final = (_M.QUEUED, _M.HELD, _M.FAILED, _M.SUPPRESSED, _M.CANCELLED)
_NEWS_TO: Final[Mapping[MessageStatus, tuple[MessageStatus, ...]]] = MappingProxyType(
    {
        _M.SENT: (_M.SENDING, _M.UNKNOWN, *_NOT_THERE),
        _M.DELIVERED: (_M.SENDING, _M.UNKNOWN, _M.SENT, _M.UNDELIVERED, *_NOT_THERE),
        _M.UNDELIVERED: (_M.SENDING, _M.UNKNOWN, _M.SENT),
        _M.BOUNCED: (_M.SENDING, _M.UNKNOWN, _M.SENT, _M.UNDELIVERED, _M.DELIVERED),
        _M.FAILED: (_M.SENDING, _M.UNKNOWN, _M.SENT),
    }
)

_ABOUT: Final = """
    id, organization_id, channel, recipient, recipient_kind, recipient_id, message_class, status
"""

# A message that was never handed over is nobody's to report. That an earlier attempt failed says
# nothing of the one under way.
_RECORD: Final = text(f"""
    UPDATE messages m
    SET status = :status, reason = :reason, error_code = :error_code, held_until = NULL,
        provider = :provider, provider_id = coalesce(CAST(:provider_id AS text), m.provider_id),
        segments = coalesce(CAST(:segments AS integer), m.segments),
        price = coalesce(CAST(:price AS numeric), m.price),
        price_currency = coalesce(CAST(:price_currency AS text), m.price_currency),
        sender = coalesce(CAST(:sender AS text), m.sender),
        sent_at = CASE WHEN :status <> 'failed' THEN coalesce(m.sent_at, clock_timestamp()) END,
        delivered_at = CASE WHEN :status = 'delivered' THEN clock_timestamp()
                            ELSE m.delivered_at END
    WHERE m.id = :id AND m.attempts > 0 AND m.status = ANY(CAST(:news_to AS text[]))
      AND NOT (:status = 'failed' AND EXISTS (
          SELECT FROM message_transitions t
          WHERE t.message_id = m.id AND t.provider_id = CAST(:provider_id AS text)
            AND t.attempt < m.attempts
      ))
    RETURNING {_ABOUT}
""")  # noqa: S608 - a constant of this module

# What is known late, of a message whose status is no news: its price, as a rule.
_COMPLETE: Final = text(f"""
    UPDATE messages m
    SET price = coalesce(m.price, CAST(:price AS numeric)),
        price_currency = coalesce(m.price_currency, CAST(:price_currency AS text)),
        segments = coalesce(m.segments, CAST(:segments AS integer)),
        sender = coalesce(m.sender, CAST(:sender AS text))
    WHERE m.id = :id
    RETURNING {_ABOUT}
""")  # noqa: S608 - a constant of this module

_FIND: Final = text("""
    SELECT id FROM messages WHERE provider = :provider AND provider_id = :provider_id
""")


async def record_report(
    connection: AsyncConnection, message_id: UUID, report: Report
) -> ReportedMessage | None:
    """Record what a provider says became of a message; None where there is no such message.

    Replay-safe: what stands is changed only by a report that is newer by its nature, whatever
    order they come in, and before or after the provider's own answer to our call.

    Raises:
        IntegrityError: The provider's id is another message's.
    """
    parameters = {
        "id": message_id,
        "status": report.status.value,
        "reason": report.reason,
        "error_code": report.error_code,
        "provider": report.provider,
        "provider_id": report.provider_id,
        "segments": report.segments,
        "price": report.price,
        "price_currency": report.price_currency,
        "sender": report.sender,
        "news_to": [status.value for status in _NEWS_TO[report.status]],
    }
    for statement, changed in ((_RECORD, True), (_COMPLETE, False)):
        row = (await connection.execute(statement, parameters)).mappings().one_or_none()
        if row is not None:
            return _reported(row, changed=changed)
    return None


async def find_by_provider_id(
    connection: AsyncConnection, provider: str, provider_id: str
) -> UUID | None:
    """Return the message that a provider knows by that id; None where none of ours is."""
    found: UUID | None = await connection.scalar(
        _FIND, {"provider": provider, "provider_id": provider_id}
    )
    return found


def _reported(row: Mapping[Any, Any], *, changed: bool) -> ReportedMessage:
    return ReportedMessage(
        id=row["id"],
        organization_id=row["organization_id"],
        channel=Channel(row["channel"]),
        recipient=row["recipient"],
        recipient_kind=row["recipient_kind"],
        recipient_id=row["recipient_id"],
        message_class=MessageClass(row["message_class"]),
        status=MessageStatus(row["status"]),
        changed=changed,
    )
