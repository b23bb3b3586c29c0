"""What Twilio says became of our text messages is recorded in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.channels.sms.callbacks import STATUSES
from fixlify.channels.sms.codes import delivery_reason
from fixlify.domain.runs import MessageStatus
from fixlify.storage.consent import suppress_opted_out
from fixlify.storage.database import Database
from fixlify.storage.messages.reports import Report, ReportedMessage, record_report

OPTED_OUT: Final = "21610"
"""Twilio's code for a number whose owner told it STOP."""
_PROVIDER: Final = "twilio"
_NOT_DELIVERED: Final = (MessageStatus.UNDELIVERED, MessageStatus.FAILED)

_log = structlog.get_logger(__name__)


class StatusReports:
    """Takes status callbacks; lives as long as its application.

    Whoever calls has checked that it is Twilio. Twilio repeats itself and keeps no order: what
    is told again, or late, changes nothing.
    """

    def __init__(self, database: Database) -> None:
        """Write to *database*, as the engine."""
        self._database = database

    async def record(self, message_id: str, told: Mapping[str, str]) -> None:
        """Record what became of a message; of one that nobody knows, a line in the log.

        Args:
            message_id: As it stands in the address that was called.
            told: Twilio's parameters.
        """
        status = STATUSES.get(told.get("MessageStatus", "").lower())
        id_ = _id(message_id)
        if id_ is None or status is None:
            _log.warning(
                "Twilio reported something that nobody understands; it is ignored.",
                is_about_a_message=id_ is not None,
                is_a_known_status=status is not None,
            )
            return
        report = _report(status, told)
        try:
            async with self._database.transaction() as connection:
                reported = await record_report(connection, id_, report)
                if reported is not None and report.error_code == OPTED_OUT:
                    await _suppress(connection, reported, report)
        except IntegrityError:
            _log.warning(
                "Twilio reported on a message by its id of another; it is ignored.",
                message_id=str(id_),
            )
            return
        _tell(id_, reported, report)


def _report(status: MessageStatus, told: Mapping[str, str]) -> Report:
    code = told.get("ErrorCode") or None
    return Report(
        provider=_PROVIDER,
        status=status,
        provider_id=told.get("MessageSid") or None,
        error_code=code,
        reason=_reason(told, code) if status in _NOT_DELIVERED else None,
        sender=told.get("From") or told.get("MessagingServiceSid") or None,
    )


def _reason(told: Mapping[str, str], code: str | None) -> str:
    if told.get("MessageStatus", "").lower() == "canceled":
        return "it was cancelled at Twilio"
    return delivery_reason(code)


async def _suppress(connection: AsyncConnection, message: ReportedMessage, report: Report) -> None:
    if message.recipient is None:
        return
    await suppress_opted_out(
        connection,
        message.organization_id,
        message.recipient,
        client_id=message.recipient_id if message.recipient_kind == "client" else None,
        evidence={
            "message_id": message.id,
            "message_sid": report.provider_id,
            "error_code": report.error_code,
        },
    )


def _tell(message_id: UUID, reported: ReportedMessage | None, report: Report) -> None:
    if reported is None:
        _log.warning(
            "Twilio reported on a message that nobody knows; it is ignored.",
            message_id=str(message_id),
        )
    elif reported.changed:
        # Two or three of every message: the ledger has them all.
        _log.debug(
            "Twilio reported on a message.",
            message_id=str(message_id),
            status=reported.status.value,
            error_code=report.error_code,
        )


def _id(message_id: str) -> UUID | None:
    try:
        return UUID(message_id)
    except ValueError:
        return None
