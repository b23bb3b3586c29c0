"""Refuse an email whose links would do something else than lead somewhere."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

from fixlify.domain.errors import RenderError

_TAG: Final = re.compile(r"<[a-z](?:[^\"'>]|\"[^\"]*\"|'[^']*')*+>", re.IGNORECASE)
_LINK: Final = re.compile(
    r"[\s\"'/](?P<name>href|src|srcset|action|formaction|background|poster|xlink:href)\s*=\s*"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s>]+)",
    re.IGNORECASE,
)
# Browsers look past these at the beginning of an address, and in the middle of its scheme.
_OVERLOOKED: Final = re.compile("[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]")
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_HARMLESS: Final = frozenset({"http", "https", "mailto", "tel", "sms", "cid"})


def check_links(html: str) -> None:
    """Let *html*, as it is to be sent, pass.

    Raises:
        RenderError: An address in it has a scheme no message needs, such as ``javascript:``.
    """
    for tag in _TAG.findall(html):
        if "=" not in tag:
            continue
        for name, value in _LINK.findall(tag):
            address = _OVERLOOKED.sub("", unescape(value.strip("\"'")))
            if (scheme := _SCHEME.match(address)) is None:
                continue
            picture = name.lower() == "src" and address.lower().startswith("data:image/")
            if scheme[1].lower() not in _HARMLESS and not picture:
                raise RenderError(
                    "a link begins with something else than https:, http:, mailto:, tel: or "
                    "sms:; correct it in the template, or in the field it comes from"
                )
