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

__all__ = [
    "Channel",
    "ClaimedMessage",
    "EnteredMessage",
    "Ledger",
    "NewMessage",
    "claim_message",
    "enter_messages",
    "find_entered",
]
