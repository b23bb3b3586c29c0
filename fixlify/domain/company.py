"""Judge how a company is to look to its clients, and where its messages are to lead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from fixlify.domain.errors import Problem
from fixlify.domain.facts import Links, fact_names
from fixlify.domain.facts.links import LINK_FIELD, is_web_address
from fixlify.domain.names import did_you_mean

LONGEST_ADDRESS: Final = 200
_COLOR: Final = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def link_problems(links: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what is wrong with *links*: patterns such as ``https://pay.example/{invoice.number}``.

    Each problem's path is the link's name.
    """
    for name, pattern in links.items():
        if name not in Links.model_fields:
            yield Problem(name, f"is no link; {did_you_mean(name, Links.model_fields)}")
        elif problem := _pattern_problem(pattern):
            yield Problem(name, problem)


def _pattern_problem(pattern: str) -> str | None:
    names = {name for name in fact_names() if not name.startswith("links.")}
    for field in LINK_FIELD.findall(pattern):
        if field not in names:
            return f"unknown field '{{{field}}}'; {did_you_mean(field, names)}"
    filled = LINK_FIELD.sub("1", pattern)
    if "{" in filled or "}" in filled:
        return "has a brace without its other half; a field is written {invoice.number}"
    if not is_web_address(filled):
        return "is no web address; write it whole, as in https://pay.example/{invoice.number}"
    if LINK_FIELD.search(pattern.partition("://")[2].partition("/")[0]):
        return "has a field in the name of its server; fields come after it"
    return None


def logo_problem(url: str) -> str | None:
    """Return what is wrong with the address of a logo, or None."""
    if is_web_address(url) and url.startswith("https://"):
        return None
    return "is no address that mail programs show a picture from; it begins with https://"


def color_problem(color: str) -> str | None:
    """Return what is wrong with a colour, or None."""
    return None if _COLOR.fullmatch(color) else "is no colour; write one such as #0b6e4f"


def address_problem(address: str) -> str | None:
    """Return what is wrong with a postal address, or None."""
    if not address.isprintable():
        return "is more than one line, or holds characters nobody can see; write it in one line"
    if len(address) > LONGEST_ADDRESS:
        return f"is longer than {LONGEST_ADDRESS} characters; shorten it"
    return None
