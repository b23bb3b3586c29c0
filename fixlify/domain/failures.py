"""What a provider's refusal means for a message."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class FailureKind(StrEnum):
    """What a provider's refusal means for the message, and for what comes after it.

    ``permanent``: it will never be taken. ``temporary``: it may be, later or by another sender.
    ``throttled``: it will be, more slowly or by another sender. ``opted_out``: the person does
    not want it, from any sender. ``landline``: the number takes no text messages. ``unknown``:
    the provider may have it.
    """

    PERMANENT = "permanent"
    TEMPORARY = "temporary"
    THROTTLED = "throttled"
    OPTED_OUT = "opted_out"
    LANDLINE = "landline"
    UNKNOWN = "unknown"


FAILS_OVER: Final = frozenset({FailureKind.TEMPORARY, FailureKind.THROTTLED})
"""What another sender may do better. In doubt nobody does, nor after a person's no."""
