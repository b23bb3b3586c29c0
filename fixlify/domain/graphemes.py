"""Cut text into what a reader takes for one character; Twilio never splits one in two.

The rules are those of Unicode 10 (UAX #29, https://www.unicode.org/reports/tr29/tr29-31.html),
not of the newest Unicode: they are what Twilio's own calculator goes by.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from enum import Enum, auto
from functools import lru_cache
from typing import Final


class _Kind(Enum):
    """What a character does to the one before it and the one after."""

    OTHER = auto()
    CONTROL = auto()
    EXTEND = auto()
    SPACING_MARK = auto()
    PREPEND = auto()
    JOINER = auto()
    REGION = auto()
    PERSON = auto()
    FAMILY = auto()
    SKIN_TONE = auto()
    AFTER_JOINER = auto()
    HANGUL_L = auto()
    HANGUL_V = auto()
    HANGUL_T = auto()
    HANGUL_LV = auto()
    HANGUL_LVT = auto()


def _ranges(text: str) -> frozenset[str]:
    """Return the characters that *text* lists in hexadecimal: ``261d 270a-270d``."""
    bounds = [part.partition("-") for part in text.split()]
    return frozenset(
        chr(code)
        for low, _, high in bounds
        for code in range(int(low, 16), int(high or low, 16) + 1)
    )


_LISTED: Final = {
    _Kind.JOINER: _ranges("200d"),
    _Kind.REGION: _ranges("1f1e6-1f1ff"),
    _Kind.SKIN_TONE: _ranges("1f3fb-1f3ff"),
    _Kind.FAMILY: _ranges("1f466-1f469"),
    _Kind.PERSON: _ranges(
        "261d 26f9 270a-270d 1f385 1f3c2-1f3c4 1f3c7 1f3ca-1f3cc 1f442-1f443 1f446-1f450 1f46e "
        "1f470-1f478 1f47c 1f481-1f483 1f485-1f487 1f4aa 1f574-1f575 1f57a 1f590 1f595-1f596 "
        "1f645-1f647 1f64b-1f64f 1f6a3 1f6b4-1f6b6 1f6c0 1f6cc 1f918-1f91c 1f91e-1f91f 1f926 "
        "1f930-1f939 1f93d-1f93e 1f9d1-1f9dd"
    ),
    _Kind.AFTER_JOINER: _ranges(
        "2640 2642 2695-2696 2708 2764 1f308 1f33e 1f373 1f393 1f3a4 1f3a8 1f3eb 1f3ed 1f48b "
        "1f4bb-1f4bc 1f527 1f52c 1f5e8 1f680 1f692"
    ),
    _Kind.PREPEND: _ranges("600-605 6dd 70f 8e2 d4e 110bd 111c2-111c3 11a3a 11a86-11a89 11d46"),
    _Kind.HANGUL_L: _ranges("1100-115f a960-a97c"),
    _Kind.HANGUL_V: _ranges("1160-11a7 d7b0-d7c6"),
    _Kind.HANGUL_T: _ranges("11a8-11ff d7cb-d7fb"),
    _Kind.EXTEND: _ranges(
        "200c 9be 9d7 b3e b57 bbe bd7 cc2 cd5-cd6 d3e d57 dcf ddf 302e-302f ff9e-ff9f 1133e "
        "11357 114b0 114bd 115af 1d165 1d16e-1d172 e0020-e007f e0100-e01ef"
    ),
    _Kind.SPACING_MARK: _ranges("e33 eb3 1cf2-1cf3"),
    # Marks that stand for themselves.
    _Kind.OTHER: _ranges(
        "102b-102c 1038 1062-1064 1067-106d 1083 1087-108c 108f 109a-109c 1a61 1a63-1a64 aa7b aa7d"
    ),
}

_FOLLOWS: Final = {
    _Kind.HANGUL_L: {_Kind.HANGUL_L, _Kind.HANGUL_V, _Kind.HANGUL_LV, _Kind.HANGUL_LVT},
    _Kind.HANGUL_V: {_Kind.HANGUL_V, _Kind.HANGUL_T},
    _Kind.HANGUL_LV: {_Kind.HANGUL_V, _Kind.HANGUL_T},
    _Kind.HANGUL_T: {_Kind.HANGUL_T},
    _Kind.HANGUL_LVT: {_Kind.HANGUL_T},
    _Kind.JOINER: {_Kind.AFTER_JOINER, _Kind.FAMILY},
}
_ALWAYS_FOLLOW: Final = {_Kind.EXTEND, _Kind.JOINER, _Kind.SPACING_MARK}


def graphemes(text: str) -> Iterator[str]:
    """Yield the pieces of *text*; a carriage return and its line feed are two."""
    start = 0
    regions = 0
    # The last character that is no mark on another: skin tones look past the marks.
    base = before = _Kind.CONTROL
    for place, character in enumerate(text):
        kind = _kind(character)
        if place and not _stays(before, base, kind, regions):
            yield text[start:place]
            start, regions = place, 0
        regions = regions + 1 if kind is _Kind.REGION else 0
        base = base if kind is _Kind.EXTEND else kind
        before = kind
    if text:
        yield text[start:]


def _stays(before: _Kind, base: _Kind, kind: _Kind, regions: int) -> bool:
    """Whether a character of *kind* belongs to the piece before it."""
    if _Kind.CONTROL in (before, kind):
        return False
    if kind in _ALWAYS_FOLLOW or kind in _FOLLOWS.get(before, ()):
        return True
    if before is _Kind.PREPEND:
        return True
    if kind is _Kind.SKIN_TONE:
        return base in (_Kind.PERSON, _Kind.FAMILY)
    # Flags are two letters; a third begins another flag.
    return kind is _Kind.REGION and regions % 2 == 1


@lru_cache(maxsize=4096)
def _kind(character: str) -> _Kind:
    for kind, characters in _LISTED.items():
        if character in characters:
            return kind
    if "\uac00" <= character <= "\ud7a3":
        return _Kind.HANGUL_LVT if (ord(character) - 0xAC00) % 28 else _Kind.HANGUL_LV
    match unicodedata.category(character):
        case "Cc" | "Cf" | "Zl" | "Zp" | "Cs":
            return _Kind.CONTROL
        case "Mn" | "Me":
            return _Kind.EXTEND
        case "Mc":
            return _Kind.SPACING_MARK
        case _:
            return _Kind.OTHER
