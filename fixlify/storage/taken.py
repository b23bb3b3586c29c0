"""The statuses of messages that a provider took, for the statements that count them."""

from __future__ import annotations

from typing import Final

from fixlify.domain import runs
from fixlify.domain.runs import MessageStatus

TAKEN: Final = ", ".join(f"'{status}'" for status in MessageStatus if status in runs.TAKEN)
"""What stands between the parentheses of ``status IN ()``."""
