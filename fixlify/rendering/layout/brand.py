"""What of a company's own look an email may wear: checked, since anybody may have typed it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from fixlify.domain.facts.links import is_web_address

DEFAULT_COLOR: Final = "#334e68"
"""Of a company that has no colour, or one that is none."""

_LONGEST_ADDRESS: Final = 2_000
_COLOR: Final = re.compile(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
# A host as people type it, with a dot in it: "lakeside.example", and what may follow.
_HOST: Final = re.compile(r"[^\s/:@?#]+\.[^\s/:@?#.]+(:\d{1,5})?([/?#]\S*)?")
_DARK: Final = "#000000"
_LIGHT: Final = "#ffffff"


@dataclass(frozen=True, slots=True)
class Brand:
    """One company's colour, ``#rrggbb``, and the colour of text on it."""

    color: str
    text: str


@lru_cache(maxsize=1024)
def brand_of(color: str | None) -> Brand:
    """Return the brand of *color*, ``#rgb`` or ``#rrggbb``; of anything else the neutral one.

    The text is dark or light, whichever is read more easily: at least 4.5 to 1 on any colour,
    which WCAG 2 asks of text at level AA.
    """
    found = _COLOR.fullmatch((color or "").strip())
    digits = found[1].lower() if found else DEFAULT_COLOR[1:]
    written = "#" + (digits if len(digits) == 6 else "".join(2 * digit for digit in digits))
    return Brand(written, max((_LIGHT, _DARK), key=lambda text: contrast(text, written)))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours ``#rrggbb``, 1 to 21, as WCAG 2 defines it."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def logo_of(url: str | None) -> str | None:
    """Return the picture's address, or None; mail programs show no picture without TLS."""
    url = (url or "").strip()
    return url if url.lower().startswith("https://") and _is_link(url) else None


def website_of(url: str | None) -> tuple[str, str] | None:
    """Return where a website is and how that is written, ``lakeside.example``; or None."""
    url = (url or "").strip()
    if _HOST.fullmatch(url):
        url = f"https://{url}"
    if not _is_link(url):
        return None
    return url, url.partition("://")[2].removeprefix("www.").rstrip("/")


def _is_link(url: str) -> bool:
    return len(url) <= _LONGEST_ADDRESS and is_web_address(url)


def _luminance(color: str) -> float:
    red, green, blue = (_linear(int(color[place : place + 2], 16) / 255) for place in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
