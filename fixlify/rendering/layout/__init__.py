"""The page an html part is put on: the company's head and foot, the same in every email."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Final
from urllib.parse import unquote, urlsplit

from jinja2 import Environment, StrictUndefined, Template, nodes
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from fixlify.domain.models import Frozen
from fixlify.rendering.layout.brand import Brand, brand_of, logo_of, website_of
from fixlify.rendering.layout.inlining import UnsafeMarkupError, inlined

__all__ = [
    "BRAND_VARIABLES",
    "Brand",
    "ColorsOfBrand",
    "Letterhead",
    "UnsafeMarkupError",
    "brand_of",
    "is_document",
    "on_page",
    "styled",
    "unsubscribe_line",
]

BRAND_VARIABLES: Final = {"brand-color": "_brand_color", "brand-text": "_brand_text"}
"""What the stylesheet calls the company's colours, and the variables that hold them."""

_AROUND: Final = (
    '<html><body><table class="letter"><tr><td class="content">',
    "</td></tr></table></body></html>",
)
_DOCUMENT: Final = re.compile(r"<(?:!doctype|html)\b", re.IGNORECASE)
_RIGHT_TO_LEFT: Final = frozenset({"ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})
_LOCALE: Final = re.compile(r"([a-z]{2,3})(?:[-_]([A-Za-z0-9]{2,8}))*")
_COLORS: Final = re.compile("(" + "|".join(BRAND_VARIABLES) + ")")
_PREHEADER_LENGTH: Final = 120


class Letterhead(Frozen):
    """What a page says of the company; what is None, or no valid colour or address, is left out."""

    name: str | None = None
    address: str | None = None
    phone: str | None = None
    email: str | None = None
    website: str | None = None
    logo_url: str | None = None
    brand_color: str | None = None


def is_document(source: str) -> bool:
    """Whether the html part *source* is a whole document, which stands on no page of ours."""
    return _DOCUMENT.search(source) is not None


def styled(source: str) -> str:
    """Return the html part *source* with the layout's styles in its tags, on the same lines.

    Raises:
        UnsafeMarkupError: Its markup cannot be taken.
        TemplateSyntaxError: It is no template.
    """
    return inlined(source, _file("email.css"), inside=_AROUND)


class ColorsOfBrand(NodeTransformer):
    """Puts the company's colours, known when a message is rendered, where the styles name them."""

    def visit_TemplateData(self, node: nodes.TemplateData) -> list[nodes.Expr]:  # noqa: N802
        """Return the text cut at every such place, with the variables between."""
        return [
            nodes.Name(BRAND_VARIABLES[piece], "load", lineno=node.lineno)
            if piece in BRAND_VARIABLES
            else nodes.TemplateData(piece, lineno=node.lineno)
            for piece in _COLORS.split(node.data)
            if piece
        ]


def on_page(
    content: str,
    *,
    subject: str,
    text: str,
    head: Letterhead,
    locale: str,
    unsubscribe_url: str | None = None,
) -> str:
    """Return the whole document of an email.

    Args:
        content: The rendered html part; markup, not escaped again.
        subject: Becomes the document's title.
        text: The text part; its beginning is what an inbox shows beside the subject.
        head: Of the company that writes.
        locale: The language of the content, for readers aloud, hyphens and the direction.
        unsubscribe_url: Where the foot leads who wants no more of these; None without.
    """
    language, tag = _language(locale)
    brand = brand_of(head.brand_color)
    return _page().render(
        {
            "lang": tag,
            "dir": "rtl" if language in _RIGHT_TO_LEFT else "ltr",
            "subject": subject,
            "preheader": _beginning(text),
            "content": Markup(content),  # noqa: S704 - the escaping template's own output
            "name": head.name or "",
            "logo": logo_of(head.logo_url),
            "address": head.address,
            "phone": head.phone,
            "email": head.email,
            "website": website_of(head.website),
            "unsubscribe_url": unsubscribe_url,
            "unsubscribe": _words(language)["unsubscribe"],
            BRAND_VARIABLES["brand-color"]: brand.color,
            BRAND_VARIABLES["brand-text"]: brand.text,
        }
    )


def unsubscribe_line(url: str, locale: str) -> str:
    """Return the last line of a text part that may be unsubscribed from at *url*.

    Nobody clicks on ``mailto:`` in a text: there the line says whom to write to.
    """
    words = _words(_language(locale)[0])
    if url.startswith("mailto:"):
        address = unquote(urlsplit(url).path)
        return words["unsubscribe_mail"].replace("{address}", address)
    return words["unsubscribe_text"].replace("{url}", url)


def _language(locale: str) -> tuple[str, str]:
    """Return the language of *locale*, ``es``, and its tag in HTML, ``es-MX``; else English."""
    if _LOCALE.fullmatch(locale):
        return re.split("[-_]", locale)[0], locale.replace("_", "-")
    return "en", "en"


def _beginning(text: str) -> str:
    """Return the first words of *text* that say something: not the line that greets."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text[:4_000].split("\n\n")]
    words = paragraphs[1] if len(paragraphs) > 1 and len(paragraphs[0]) < 40 else paragraphs[0]
    return words[:_PREHEADER_LENGTH]


def _words(language: str) -> dict[str, str]:
    words = _all_words()
    return words.get(language, words["en"])


@cache
def _all_words() -> dict[str, dict[str, str]]:
    return tomllib.loads(_file("words.toml"))


@cache
def _page() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = inlined(_file("email.html"), _file("email.css"))
    return environment.from_string(ColorsOfBrand().visit(environment.parse(source)))


@cache
def _file(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
