"""The delivery ledger: one row per execution and step, and the one gate before a provider."""

from __future__ import annotations

from fixlify.storage.messages.entering import (
    Channel,
    EnteredMessage,
    NewMessage,
    enter_messages,
    find_entered,
)
from fixlify.storage.messages.ledger import ClaimedMessage, Ledger, claim_message
from fixlify.storage.messages.reports import (
    Report,
    ReportedMessage,
    find_by_provider_id,
    record_report,
)

__all__ = [
    "Channel",
    "ClaimedMessage",
    "EnteredMessage",
    "Ledger",
    "NewMessage",
    "Report",
    "ReportedMessage",
    "claim_message",
    "enter_messages",
    "find_by_provider_id",
    "find_entered",
    "record_report",
]
