"""The rules that protect clients: when a message may go, and how many."""

from __future__ import annotations

from fixlify.domain.rules.caps import Sent, caps_that_bind, hold_for_cap, hold_for_rules
from fixlify.domain.rules.days_off import Holidays
from fixlify.domain.rules.hours import Hold, hold_for_hours
from fixlify.domain.rules.model import (
    Cap,
    Channel,
    MessageClass,
    RuleOverrides,
    Rules,
    contradiction,
    effective_rules,
)
from fixlify.domain.rules.parsing import parse_rules
from fixlify.domain.rules.spans import TimeSpan

__all__ = [
    "Cap",
    "Channel",
    "Hold",
    "Holidays",
    "MessageClass",
    "RuleOverrides",
    "Rules",
    "Sent",
    "TimeSpan",
    "caps_that_bind",
    "contradiction",
    "effective_rules",
    "hold_for_cap",
    "hold_for_hours",
    "hold_for_rules",
    "parse_rules",
]
