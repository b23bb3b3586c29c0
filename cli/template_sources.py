"""Where a command finds the template it is about: in the company, in the package, or in files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.organization import open_organization
from cli.template_files import read_templates
from fixlify.domain.errors import DefinitionError, NotFoundError
from fixlify.domain.names import did_you_mean, nearest
from fixlify.rendering import shipped_templates
from fixlify.storage.organizations import Appearance, load_appearance
from starter.company_templates import SHIPPED_LOCALE, CompanyTemplate, company_templates
from starter.incoming import assembled


@dataclass(frozen=True, slots=True)
class Found:
    """Templates, and the company they are judged for; None where none is known.

    ``refused`` says what is wrong with those that cannot be read.
    """

    templates: Mapping[str, CompanyTemplate]
    company: Appearance | None = None
    refused: tuple[DefinitionError, ...] = ()


async def find_templates(
    wanted: tuple[str, ...], organization: str | None, *, shipped: bool
) -> Found:
    """Return what *wanted* names: files and folders that are there, else templates by name.

    With nothing wanted, all of the company's. Files need no database, unless *organization*
    says whose they are to be.

    Raises:
        NotFoundError: There is no template of a name; the message has the nearest.
    """
    paths = [Path(each) for each in wanted if _is_path(each)]
    names = [each for each in wanted if not _is_path(each)]
    found: dict[str, CompanyTemplate] = {}
    refused: list[DefinitionError] = []
    company: Appearance | None = None
    if shipped:
        found |= _named(names, shipped_alone())
    elif names or organization is not None or not wanted:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            company = await load_appearance(connection, opened.organization.id)
            stored = await company_templates(connection, opened.organization.id)
        if names or not paths:
            found |= _named(names, stored)
    for path in paths:
        read = read_templates(path)
        incoming = assembled(read.texts)
        refused += [*read.refused, *incoming.refused]
        default = company.organization.locale.replace("-", "_") if company else SHIPPED_LOCALE
        for each in incoming.templates:
            locale = None if None in each.sources else next(iter(each.sources))
            others = {name: text for name, text in each.sources.items() if name and name != locale}
            source = each.sources[locale].model_copy(update={"translations": others})
            found[each.name] = CompanyTemplate(each.name, source, locale or default, written=source)
    return Found(found, company, tuple(refused))


async def named_template(name: str, organization: str | None, *, shipped: bool) -> CompanyTemplate:
    """Return the company's template called *name*, or the shipped one.

    Raises:
        NotFoundError: There is none; the message has the nearest name.
    """
    if shipped:
        return _named([name], shipped_alone())[name]
    async with open_organization(organization) as opened, opened.transaction() as connection:
        found = await company_templates(connection, opened.organization.id)
    return _named([name], found)[name]


def shipped_alone() -> dict[str, CompanyTemplate]:
    """Return every shipped template, for nobody in particular."""
    return {
        name: CompanyTemplate(name, source, SHIPPED_LOCALE, written=source)
        for name, source in shipped_templates().items()
    }


def _named(
    names: list[str], templates: Mapping[str, CompanyTemplate]
) -> dict[str, CompanyTemplate]:
    for name in names:
        if name not in templates:
            raise NotFoundError(
                f"there is no template '{name}', and no such file or folder; "
                f"{did_you_mean(name, templates)}",
                nearest(name, templates),
            )
    return {name: templates[name] for name in names or templates}


def _is_path(wanted: str) -> bool:
    return "/" in wanted or "." in wanted or Path(wanted).exists()
