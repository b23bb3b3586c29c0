"""fixlify templates: what messages are made of; see, judge and import them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from cli.main import USAGE
from cli.organization import open_organization, organization_option
from cli.output import json_option, print_json, printable
from cli.template_files import ReadTexts, read_templates
from cli.template_output import (
    import_document,
    parts_of,
    print_imported,
    print_parts,
    print_refused,
    print_templates,
    refused_documents,
    template_documents,
)
from cli.template_sources import named_template, shipped_alone
from cli.templates_lint import lint
from cli.templates_preview import preview
from fixlify.domain.automation import AutomationStatus
from fixlify.domain.errors import DefinitionError, NotFoundError
from fixlify.domain.names import did_you_mean, nearest
from fixlify.rendering.languages import locale_of
from fixlify.storage.automations import list_automations
from starter.company_templates import company_templates, in_languages
from starter.incoming import assembled
from starter.templates import import_templates

_SHIPPED = click.option(
    "--shipped", is_flag=True, help="Those that come with the package; needs no database."
)


@click.group()
def templates() -> None:
    """See what messages are made of, look at them, import your own."""


@templates.command(name="list")
@_SHIPPED
@organization_option
@json_option
def list_(shipped: bool, organization: str | None, as_json: bool) -> None:
    """List templates, and who uses them."""

    async def run() -> None:
        used: dict[str, list[str]] = {}
        if shipped:
            found = shipped_alone()
        else:
            async with (
                open_organization(organization) as opened,
                opened.transaction() as connection,
            ):
                found = await company_templates(connection, opened.organization.id)
                for each in (await list_automations(connection)).automations:
                    if each.status is not AutomationStatus.ARCHIVED:
                        for name in each.definition.template_names:
                            used.setdefault(name, []).append(each.definition.name)
        if as_json:
            print_json(template_documents(found, used))
        else:
            print_templates(found, used)

    asyncio.run(run())


@templates.command()
@click.argument("name", metavar="NAME")
@click.option("--locale", metavar="LOCALE", help="In one language, such as es.")
@_SHIPPED
@organization_option
@json_option
def show(
    name: str, locale: str | None, shipped: bool, organization: str | None, as_json: bool
) -> None:
    """Print the texts of a template."""

    async def run() -> None:
        template = await named_template(name, organization, shipped=shipped)
        languages = in_languages(template)
        if locale is not None:
            wanted = locale_of(locale) or locale
            if wanted not in languages:
                raise NotFoundError(
                    f"'{name}' has no text in {locale}; {did_you_mean(wanted, languages)}",
                    nearest(wanted, languages),
                )
            languages = {wanted: languages[wanted]}
        if as_json:
            texts = {each: parts_of(source) for each, source in languages.items()}
            (document,) = template_documents({name: template}, {})
            print_json({**document, "texts": texts})
        else:
            print_parts(template, languages)

    asyncio.run(run())


@templates.command(name="import")
@click.argument(
    "paths", metavar="FOLDER|FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--locale",
    metavar="LOCALE",
    help="The language of what lies in no folder of a language; the company's unless given.",
)
@organization_option
@json_option
@click.pass_context
def import_(
    context: click.Context,
    paths: tuple[Path, ...],
    locale: str | None,
    organization: str | None,
    as_json: bool,
) -> None:
    """Store templates as your own.

    Those of the replaced system are converted into the syntax of these.

    FOLDER is a template's, or one of several; FILE is an export as JSON or CSV, or one text.
    All are converted and judged first; if anything is wrong, nothing is stored, and each problem
    is told with its file and line.

    An own template stands before the shipped one of its name. Automations that use it get the
    new text as a new version; runs that are under way keep the one they began with.
    """
    named = None if locale is None else locale_of(locale)
    if locale is not None and named is None:
        raise click.UsageError(f"'{locale}' is no language; write one such as en, es or es_MX")
    read = ReadTexts()
    for path in paths:
        more = read_templates(path)
        read.texts.extend(more.texts)
        read.refused.extend(more.refused)
    incoming = assembled(read.texts)
    refused = [*read.refused, *incoming.refused]
    if refused:
        _refuse(context, refused, as_json=as_json)

    async def run() -> None:
        async with open_organization(organization) as opened:
            try:
                async with opened.transaction() as connection:
                    done = await import_templates(
                        connection, opened.organization.id, incoming.templates, named
                    )
            except DefinitionError as error:
                _refuse(context, [error], as_json=as_json)
        if as_json:
            print_json(import_document(done, incoming.notes))
        else:
            print_imported(done)
            for note in incoming.notes:
                click.secho(printable(note), err=True, dim=True)

    asyncio.run(run())


def _refuse(context: click.Context, refused: list[DefinitionError], *, as_json: bool) -> None:
    if as_json:
        print_json({"templates": [], "automations": [], "problems": refused_documents(refused)})
    print_refused(refused, "Nothing was stored")
    context.exit(USAGE)


for _command in (lint, preview):
    templates.add_command(_command)
