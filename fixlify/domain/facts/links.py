"""Where a message leads: the company's addresses for booking, paying and the like."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from fixlify.domain.models import Frozen

LINK_FIELD: Final = re.compile(r"\{([^{}]*)\}")
"""A field in a pattern: ``{invoice.number}``."""


class Links(Frozen):
    """The addresses a message may lead to; None where the company has none, or not for this.

    They are the organization's ``links``, whose fields in braces are filled in:
    ``https://pay.example/{invoice.number}``.
    """

    booking: str | None = None
    review: str | None = None
    payment: str | None = None
    tracking: str | None = None
    approval: str | None = None


def links_of(patterns: object, lookup: Callable[[str], Any]) -> Links:
    """Return the links that *patterns* make of the facts.

    A link whose field is empty, or that is no web address, is None: a message that needs it
    then says so, instead of leading nowhere.

    Args:
        patterns: What the organization's row holds, by name; what is not a text is no link.
        lookup: The value of a dotted field, None where it is empty.
    """
    if not isinstance(patterns, Mapping):
        return Links()
    return Links(
        **{
            name: _filled(pattern, lookup)
            for name in Links.model_fields
            if isinstance(pattern := patterns.get(name), str)
        }
    )


def is_web_address(url: str) -> bool:
    """Whether *url* is something a person may click: http or https, with a host, in one line."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and url.isprintable()
            and not re.search(r"[\s<>\"'`]", url)
        )
    except ValueError:
        return False


def _filled(pattern: str, lookup: Callable[[str], Any]) -> str | None:
    values = {field: lookup(field) for field in LINK_FIELD.findall(pattern)}
    if any(value is None or not str(value).strip() for value in values.values()):
        return None
    url = LINK_FIELD.sub(lambda found: quote(str(values[found[1]]), safe=""), pattern.strip())
    return url if is_web_address(url) else None
