"""Which of a template's languages a client is written to in."""

from __future__ import annotations

import re
from typing import Final

from fixlify.domain.automation import TemplateSource

LOCALE: Final = re.compile(r"[a-z]{2,3}(?:_[A-Z][a-z]{3})?(?:_(?:[A-Z]{2}|[0-9]{3}))?")
"""What a locale looks like: ``es``, ``es_MX``, ``zh_Hant_TW``."""


def language(locale: str) -> str:
    """Return the language of a *locale*: ``es`` of ``es_MX``."""
    return locale.replace("-", "_").partition("_")[0]


def locale_of(text: str) -> str | None:
    """Return the locale that *text* names (``es-mx``, ``ES``) as we write it, or None."""
    first, *rest = text.replace("-", "_").split("_")
    parts = [first.lower(), *(each.title() if len(each) == 4 else each.upper() for each in rest)]
    written = "_".join(parts)
    return written if LOCALE.fullmatch(written) else None


def for_company(source: TemplateSource, own: str, company: str) -> TemplateSource:
    """Return *source* with the text in the company's language in front.

    A client is then written to in their own locale, else in its language, else as the company
    speaks, else in the template's own language. ``locale`` says which of them the text is in.

    Args:
        source: The text in the template's own language, and its translations.
        own: The locale of that language.
        company: The company's locale.
    """
    own, company = own.replace("-", "_"), company.replace("-", "_")
    texts = {own: alone(source), **source.translations}
    leading = next(
        (
            locale
            for locale in (company, language(company), *sorted(texts))
            if locale in texts and language(locale) == language(company)
        ),
        own,
    )
    others = {locale: text for locale, text in texts.items() if locale != leading}
    # Who has only a language, or another country, is written to in the nearest there is.
    for locale in sorted(others):
        if language(locale) != language(leading):
            others.setdefault(language(locale), others[locale])
    return texts[leading].model_copy(update={"translations": others, "locale": leading})


def alone(source: TemplateSource) -> TemplateSource:
    """Return *source* without its translations."""
    return source.model_copy(update={"translations": {}})
