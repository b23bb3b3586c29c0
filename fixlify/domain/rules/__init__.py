"""The rules that protect clients: when a message may go, and how many."""

from __future__ import annotations

from fixlify.domain.rules.model import (
    Cap,
    Holidays,
    MessageClass,
    RuleOverrides,
    Rules,
    TimeSpan,
)

__all__ = ["Cap", "Holidays", "MessageClass", "RuleOverrides", "Rules", "TimeSpan"]
