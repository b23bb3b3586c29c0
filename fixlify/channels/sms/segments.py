"""How many segments a phone network makes of a text; Twilio bills each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# The characters a phone network sends in seven bits: GSM 03.38, and those that take two of them.
_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED: Final = frozenset("\f^{}\\[~]|€")


def number_of_segments(body: str) -> int:
    """Return how many messages a phone network makes of *body*."""
    if all(character in _GSM or character in _GSM_EXTENDED for character in body):
        return _segments([2 if c in _GSM_EXTENDED else 1 for c in body], single=160, part=153)
    return _segments([len(c.encode("utf-16-le")) // 2 for c in body], single=70, part=67)


def _segments(units: Sequence[int], *, single: int, part: int) -> int:
    if sum(units) <= single:
        return 1
    count, used = 1, 0
    for unit in units:
        # A character of two units is never split across two parts.
        if used + unit > part:
            count, used = count + 1, 0
        used += unit
    return count
