"""fixlify automations: apply them, see them, switch them on and off."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import click

from cli.automation_output import (
    about_automation,
    automation_document,
    definition_yaml,
    print_applied,
    print_automations,
    print_refusals,
    print_shipped,
    print_yaml,
    shipped_documents,
)
from cli.automation_switches import archive, disable, enable
from cli.automation_versions import diff, print_version, print_versions, rollback
from cli.backtest import backtest
from cli.definition_files import ReadDefinitions, read_definitions
from cli.main import USAGE
from cli.organization import open_organization, organization_option
from cli.output import json_option, print_json
from cli.simulate import simulate
from fixlify.domain.automation import TemplateSource
from fixlify.storage.automations import list_automations
from fixlify.storage.versions import list_versions
from starter.company_templates import template_sources
from starter.definitions import apply_definitions, existing_automation
from starter.versions import existing_version

_FILES = click.argument(
    "files", metavar="FILE...", nargs=-1, type=click.Path(path_type=Path, allow_dash=True)
)


@click.group()
def automations() -> None:
    """Apply automations, see them, switch them on and off."""


@automations.command()
@_FILES
@click.option("--shipped", metavar="NAME", multiple=True, help="Apply one that is shipped.")
@organization_option
@json_option
@click.pass_context
def apply(
    context: click.Context,
    files: tuple[Path, ...],
    shipped: tuple[str, ...],
    organization: str | None,
    as_json: bool,
) -> None:
    """Store automations from YAML files.

    Makes a new automation, or a new version of the one with the same name.

    FILE is a YAML file (several automations are divided by ---), a folder of them, or - for
    standard input. All are validated first; if anything is wrong, nothing is stored.

    A new automation becomes active at once, unless its file says `status: draft`. An
    existing one keeps its status. Runs that are under way keep the version they began with.
    """
    _require(files, shipped)

    async def run() -> None:
        async with open_organization(organization) as opened:
            async with opened.transaction() as connection:
                templates = await template_sources(connection, opened.organization.id)
            found = _read(files, shipped, templates)
            if found.refused:
                if as_json:
                    print_json({"applied": [], "problems": found.problem_documents()})
                print_refusals(found, "Nothing was stored")
                context.exit(USAGE)
            applied = await apply_definitions(
                opened.database, opened.organization.id, [each.pinned for each in found.valid]
            )
        results = list(zip(found.valid, applied, strict=True))
        if as_json:
            documents = [
                {
                    "source": read.source,
                    "id": result.automation.id,
                    "name": result.automation.definition.name,
                    "change": result.change,
                    "version": result.automation.version,
                    "status": result.automation.status,
                }
                for read, result in results
            ]
            print_json({"applied": documents, "problems": []})
        else:
            print_applied(applied, opened.organization.name)

    asyncio.run(run())


@automations.command()
@_FILES
@click.option(
    "--organization",
    metavar="NAME|ID",
    help="Whose templates they may name, beside the shipped ones; needs the database.",
)
@json_option
@click.pass_context
def validate(
    context: click.Context, files: tuple[Path, ...], organization: str | None, as_json: bool
) -> None:
    """Check YAML files, storing nothing.

    Needs no database and no settings, unless they name templates of your own. FILE is as for
    `apply`. Exits with 2 if anything is wrong.
    """
    _require(files, ())
    templates = None if organization is None else asyncio.run(_templates_of(organization))
    found = _read(files, (), templates)
    if as_json:
        valid = [
            {"source": each.source, "name": each.pinned.definition.name} for each in found.valid
        ]
        print_json(
            {
                "valid": not found.refused,
                "automations": valid,
                "problems": found.problem_documents(),
            }
        )
    else:
        for each in found.valid:
            click.echo(f"{each.source}: valid: {each.pinned.definition.name}")
    if found.refused:
        print_refusals(found, "Not valid")
        context.exit(USAGE)


@automations.command(name="list")
@click.option("--shipped", is_flag=True, help="List those that come with the package instead.")
@organization_option
@json_option
def list_(shipped: bool, organization: str | None, as_json: bool) -> None:
    """List automations, with status and trigger."""
    if shipped:
        if as_json:
            print_json(shipped_documents())
        else:
            print_shipped()
        return

    async def run() -> None:
        async with open_organization(organization) as opened:
            async with opened.transaction() as connection:
                found = await list_automations(connection)
            if as_json:
                print_json(
                    [
                        *(automation_document(each) for each in found.automations),
                        *(automation_document(error) for error in found.unreadable),
                    ]
                )
            else:
                print_automations(found, opened.organization.name)

    asyncio.run(run())


@automations.command()
@click.argument("automation", metavar="NAME|ID")
@click.option("--versions", is_flag=True, help="List its versions instead.")
@click.option("--version", type=click.IntRange(min=1), metavar="NUMBER", help="As it was then.")
@organization_option
@json_option
def show(
    automation: str, versions: bool, version: int | None, organization: str | None, as_json: bool
) -> None:
    """Print an automation as YAML.

    `apply` takes what is printed; status and version stand above it as comments.
    """
    if versions and version is not None:
        raise click.UsageError("--versions lists all, --version prints one; give one of them")

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = await existing_automation(connection, automation)
            if versions:
                listed = await list_versions(connection, found.organization_id, found.id)
                print_versions(listed, as_json=as_json)
            elif version is not None:
                chosen = await existing_version(connection, found, version)
                print_version(found, chosen, as_json=as_json)
            elif as_json:
                print_json(automation_document(found))
            else:
                print_yaml(about_automation(found) + definition_yaml(found.definition))

    asyncio.run(run())


for _command in (diff, rollback, enable, disable, archive, simulate, backtest):
    automations.add_command(_command)


async def _templates_of(organization: str) -> Mapping[str, TemplateSource]:
    async with open_organization(organization) as opened, opened.transaction() as connection:
        return await template_sources(connection, opened.organization.id)


def _require(files: tuple[Path, ...], shipped: tuple[str, ...]) -> None:
    if not files and not shipped:
        raise click.UsageError(
            "say which: files or folders of YAML, or - for standard input; "
            "`fixlify automations list --shipped` shows some to begin with"
        )


def _read(
    files: tuple[Path, ...],
    shipped: tuple[str, ...],
    templates: Mapping[str, TemplateSource] | None,
) -> ReadDefinitions:
    found = read_definitions(files, shipped, templates)
    if not found.valid and not found.refused:
        raise click.UsageError(f"no YAML file below {', '.join(map(str, files))}")
    return found
