"""Find what a template's name stands for in one company: its own text, or the shipped one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.automation import TemplateSource
from fixlify.rendering import shipped_templates
from fixlify.rendering.languages import alone, for_company
from fixlify.storage.templates import StoredTemplate, company_locale, load_templates

SHIPPED_LOCALE: Final = "en"
"""The own language of every shipped template."""


@dataclass(frozen=True, slots=True)
class CompanyTemplate:
    """What one name stands for in one company.

    ``own`` are the languages it stored itself, as they stand; none where the template is
    shipped, or only about to be stored: then ``written`` has its texts. ``source`` is what an
    automation pins, with the company's own language first; None where no language of it can be
    read. ``default_locale`` is the language of those for whom there is no other.
    """

    name: str
    source: TemplateSource | None
    default_locale: str
    own: tuple[StoredTemplate, ...] = ()
    written: TemplateSource | None = None

    @property
    def version(self) -> int | None:
        """The newest version of any language; None where it is shipped."""
        return max((each.version for each in self.own), default=None)

    @property
    def changed_at(self) -> datetime | None:
        """When any language was last stored; None where it is shipped."""
        return max((each.created_at for each in self.own), default=None)

    @property
    def languages(self) -> tuple[str, ...]:
        """Every locale it is written in, its default first."""
        return tuple(in_languages(self))


async def company_templates(
    connection: AsyncConnection, organization_id: UUID
) -> dict[str, CompanyTemplate]:
    """Return every template of the organization by name: its own, and the shipped ones."""
    locale = await company_locale(connection, organization_id)
    found = {
        name: CompanyTemplate(
            name, for_company(source, SHIPPED_LOCALE, locale), SHIPPED_LOCALE, written=source
        )
        for name, source in shipped_templates().items()
    }
    own: dict[str, list[StoredTemplate]] = {}
    for each in await load_templates(connection, organization_id):
        own.setdefault(each.name, []).append(each)
    found |= {name: _assembled(name, languages, locale) for name, languages in own.items()}
    return dict(sorted(found.items()))


async def template_sources(
    connection: AsyncConnection, organization_id: UUID
) -> dict[str, TemplateSource]:
    """Return what the organization's automations may name, as they pin it."""
    templates = await company_templates(connection, organization_id)
    return {name: each.source for name, each in templates.items() if each.source is not None}


def _assembled(name: str, languages: Sequence[StoredTemplate], company: str) -> CompanyTemplate:
    """Return a stored template with its languages in the order in which they are asked."""
    newest_first = sorted(languages, key=lambda each: (-each.version, each.locale))
    default = next((each for each in newest_first if each.is_default), newest_first[0])
    texts = {each.locale: each.source for each in newest_first if each.source is not None}
    own = tuple(sorted(languages, key=lambda each: each.locale))
    if not texts:
        return CompanyTemplate(name, None, default.locale, own)
    root = default.locale if default.locale in texts else next(iter(texts))
    others = {locale: source for locale, source in texts.items() if locale != root}
    source = texts[root].model_copy(update={"translations": others})
    return CompanyTemplate(name, for_company(source, root, company), default.locale, own)


def in_languages(template: CompanyTemplate) -> dict[str, TemplateSource]:
    """Return the texts of a template by locale as they are written, its default first.

    What was edited by hand into something unreadable is left out.
    """
    if template.own:
        texts = {each.locale: each.source for each in template.own if each.source is not None}
    elif template.written is not None:
        texts = {template.default_locale: alone(template.written), **template.written.translations}
    else:
        texts = {}
    first = {name: text for name, text in texts.items() if name == template.default_locale}
    return first | dict(sorted(texts.items()))


def as_written(template: CompanyTemplate) -> TemplateSource | None:
    """Return the whole of a template, its own language in front; None where it is unreadable."""
    texts = in_languages(template)
    if template.default_locale not in texts:
        return None
    source = texts.pop(template.default_locale)
    return source.model_copy(update={"translations": texts})
