"""How many segments a phone network makes of a text; Twilio bills each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fixlify.domain.graphemes import graphemes

MOST_SEGMENTS: Final = 10
"""Segments of one message. Twilio takes no more of some networks, and nobody reads more."""

# The characters a phone network sends in seven bits, and those that take two of them:
# GSM 03.38, https://www.twilio.com/docs/glossary/what-is-gsm-7-character-encoding
_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED: Final = frozenset("\f^{}\\[~]|€")


@dataclass(frozen=True, slots=True)
class Segments:
    """How one text is sent.

    ``units`` are septets in GSM-7 and pairs of bytes in UCS-2; ``odd`` are the characters, each
    once and as they come, that no seven bits can say.
    """

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    count: int
    odd: tuple[str, ...] = ()


def segments_of(body: str) -> Segments:
    """Return what a phone network makes of *body*."""
    odd = tuple(dict.fromkeys(c for c in body if c not in _GSM and c not in _GSM_EXTENDED))
    if odd:
        # What a reader takes for one character is never split across two parts.
        units = [sum(2 if c > "\uffff" else 1 for c in piece) for piece in graphemes(body)]
        return Segments("UCS-2", sum(units), _count(units, single=70, part=67), odd)
    # Nor is one of two units: an escape and what follows it.
    units = [2 if c in _GSM_EXTENDED else 1 for c in body]
    return Segments("GSM-7", sum(units), _count(units, single=160, part=153))


def number_of_segments(body: str) -> int:
    """Return how many messages a phone network makes of *body*."""
    return segments_of(body).count


def _count(units: Sequence[int], *, single: int, part: int) -> int:
    if sum(units) <= single:
        return 1
    count, used = 1, 0
    for unit in units:
        if used + unit > part:
            count, used = count + 1, 0
        used += unit
    return count
