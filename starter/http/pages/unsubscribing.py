"""The page to unsubscribe: what it says and offers, by what stands, in the client's language."""

from __future__ import annotations

import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from fixlify.rendering.layout.brand import Brand, brand_of, logo_of
from fixlify.rendering.variables import clean
from starter.callbacks.unsubscribing import Standing, Wish

_FALLBACK: Final = "en"
_LONGEST_NAME: Final = 120
_HOST: Final = re.compile(r"[a-z0-9.-]+", re.ASCII)
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?![a-z])")

_pages: Final = Environment(
    loader=PackageLoader("starter.http", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Page:
    """A page, and the only things that a browser may load and do for it."""

    html: str
    security_policy: str


@dataclass(frozen=True, slots=True)
class _Action:
    """A button, and where it stands apart from the first one, what it does."""

    wish: Wish
    label: str
    is_first: bool = True
    title: str | None = None
    explained: str | None = None


@dataclass(frozen=True, slots=True)
class _Told:
    title: str
    paragraphs: list[str]
    actions: list[_Action]
    said: str | None = None


def unsubscribe_page(
    standing: Standing, wish: Wish | None = None, *, is_understood: bool = True
) -> Page:
    """Return the page about what *standing* says.

    Args:
        standing: What stands, after *wish*.
        wish: What was asked for just now; None where somebody only looks.
        is_understood: False for a request that asked for nothing we know.
    """
    addressee = standing.addressee
    language = _language_in(addressee.locale)
    company = " ".join(clean(addressee.company).split())[:_LONGEST_NAME]
    names = {"company": company, "address": _masked(addressee.address)}
    words = {key: text.format(**names) for key, text in _words()[language].items()}
    told = _told(standing, wish, words)
    said = told.said if is_understood else words["not_understood"]
    logo = logo_of(addressee.logo_url)
    pictures = _origin(logo) if logo else None
    return _page(
        language,
        told,
        said=said,
        company=company,
        logo=logo if pictures else None,
        brand=brand_of(addressee.brand_color),
        pictures=pictures,
    )


def unknown_link_page(accepted_languages: str) -> Page:
    """Return the page for a link that is none of ours; the browser says in which language."""
    language = _language_in(accepted_languages)
    words = _words()[language]
    return _page(language, _Told(words["unknown_title"], [words["unknown"]], []))


def _told(standing: Standing, wish: Wish | None, words: Mapping[str, str]) -> _Told:
    wants_more = wish is not None and wish.wants
    if not standing.gets_email:
        paragraphs = [words["no_email"], words["under_way"]]
        if wants_more:
            return _Told(words["no_email_title"], paragraphs, [], words["elsewhere"])
        label = words["undo" if wish else "undo_email"]
        again = _Action(Wish.EMAIL_AGAIN, label, is_first=False)
        return _Told(words["no_email_title"], paragraphs, [again])
    done = None
    if wants_more:
        done = words["again_email" if wish is Wish.EMAIL_AGAIN else "again_marketing"]
    if not standing.has_choice:
        stop = _Action(Wish.NO_EMAIL, words["stop_marketing"])
        done = done and words["again_email"]
        return _Told(words["ask_other_title"], [words["ask_other"]], [stop], done)
    stop_all = _Action(
        Wish.NO_EMAIL,
        words["stop_all"],
        is_first=False,
        title=words["ask_all_title"],
        explained=words["ask_all"],
    )
    if not standing.gets_marketing:
        paragraphs = [words["no_marketing"], words["goes_on"], words["under_way"]]
        label = words["undo" if wish is Wish.NO_MARKETING else "undo_marketing"]
        again = _Action(Wish.MARKETING_AGAIN, label, is_first=False)
        return _Told(words["no_marketing_title"], paragraphs, [again, stop_all], done)
    stop = _Action(Wish.NO_MARKETING, words["stop_marketing"])
    return _Told(words["ask_title"], [words["ask"], words["goes_on"]], [stop, stop_all], done)


def _page(
    language: str,
    told: _Told,
    *,
    said: str | None = None,
    company: str | None = None,
    logo: str | None = None,
    brand: Brand | None = None,
    pictures: str | None = None,
) -> Page:
    nonce = secrets.token_urlsafe(16)
    html = _pages.get_template("unsubscribe.html").render(
        language=language,
        title=told.title,
        paragraphs=told.paragraphs,
        actions=told.actions,
        said=said,
        company=company,
        logo=logo,
        brand=brand or brand_of(None),
        css=_styles(),
        nonce=nonce,
    )
    pictures = pictures or "'none'"
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; img-src {pictures}; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return Page(html, policy)


def _origin(url: str) -> str | None:
    """Return the host that a picture comes from, as a policy names it; None where it cannot."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if parts.scheme != "https" or not _HOST.fullmatch(host):
        return None
    return f"https://{host}:{parts.port}" if parts.port else f"https://{host}"


def _masked(address: str) -> str:
    """Return what tells the owner which address it is, and a stranger hardly anything."""
    user, _, domain = address.rpartition("@")
    return f"{user[:1]}•••@{domain}"


def _language_in(preferences: str) -> str:
    """Return the first language of ours in a locale (``es_MX``) or an Accept-Language header."""
    ours = _words()
    wanted = _LANGUAGE.findall(preferences[:200].lower().replace("_", "-"))
    return next((each for each in wanted if each in ours), _FALLBACK)


@cache
def _words() -> Mapping[str, Mapping[str, str]]:
    words: Mapping[str, Any] = tomllib.loads(_file("words.toml"))
    return words


@cache
def _styles() -> str:
    return _file("page.css")


def _file(name: str) -> str:
    return resources.files("starter.http.pages").joinpath(name).read_text("utf-8")
