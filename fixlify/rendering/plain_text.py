"""The text part of a template that has HTML alone; what is in braces stays what it is."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

_JINJA: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_HELD: Final = re.compile("\ue000(\\d+)\ue001")
_TAG_ALONE: Final = re.compile(r"\n\n(?=\{%[^%]*%\}\n)")
_MARKUP: Final = re.compile(
    r"</?(?:a|b|body|br|div|em|h[1-6]|head|html|i|img|li|ol|p|span|strong|table|td|tr|u|ul)\b[^>]*>",
    re.IGNORECASE,
)
_SILENT: Final = frozenset({"head", "style", "script", "title", "template"})
_PARAGRAPHS: Final = frozenset(
    {"p", "div", "table", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "section"}
)
_LINES: Final = frozenset({"tr", "li", "br", "hr"})


def is_html(text: str) -> bool:
    """Whether *text* is meant for a mail program's HTML view."""
    return _MARKUP.search(text) is not None


def text_of(html: str) -> str:
    """Return what the template source *html* says without its markup; links follow their words."""
    held = _JINJA.findall(html)
    places = iter(range(len(held)))
    reader = _Reader()
    reader.feed(_JINJA.sub(lambda _: f"\ue000{next(places)}\ue001", html))
    reader.close()
    text = "".join(reader.pieces)
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    text = _HELD.sub(lambda found: held[int(found[1])], text)
    return _TAG_ALONE.sub("\n", text) + "\n"


class _Reader(HTMLParser):
    """Collects the words of a page; lives for one page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent = 0
        self._links: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in _SILENT:
            self._silent += 1
        elif tag in _PARAGRAPHS:
            self.pieces.append("\n\n")
        elif tag in _LINES:
            self.pieces.append("\n- " if tag == "li" else "\n")
        elif tag in ("td", "th"):
            self.pieces.append(" ")
        elif tag == "img":
            self.pieces.append(values.get("alt") or "")
        elif tag == "a":
            self._links.append((values.get("href") or "", len(self.pieces)))

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(self._silent - 1, 0)
        elif tag in _PARAGRAPHS:
            self.pieces.append("\n\n")
        elif tag == "a" and self._links:
            address, begun = self._links.pop()
            address = address.removeprefix("mailto:").removeprefix("tel:").strip()
            words = "".join(self.pieces[begun:])
            if address and not address.startswith("#") and address not in words:
                self.pieces.append(f": {address}" if words.strip() else address)

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(re.sub(r"\s+", " ", data))
