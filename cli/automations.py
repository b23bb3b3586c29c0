"""fixlify automations: apply them, see them, switch them on and off."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
from rich.syntax import Syntax

from cli.automation_output import (
    automation_document,
    definition_yaml,
    print_applied,
    print_automations,
    print_refusals,
    print_shipped,
    shipped_documents,
)
from cli.definition_files import ReadDefinitions, read_definitions
from cli.main import USAGE
from cli.organization import open_organization, organization_option
from cli.output import console, json_option, local, print_json
from fixlify.domain.automation import AutomationStatus
from fixlify.storage.automations import automation_names, find_automation, list_automations
from starter.definitions import apply_definitions, change_status, no_such_automation

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
    found = _read(files, shipped)
    if found.refused:
        if as_json:
            print_json({"applied": [], "problems": found.problem_documents()})
        print_refusals(found, "Nothing was stored")
        context.exit(USAGE)

    async def run() -> None:
        async with open_organization(organization) as opened:
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
@json_option
@click.pass_context
def validate(context: click.Context, files: tuple[Path, ...], as_json: bool) -> None:
    """Check YAML files, storing nothing.

    Needs no database and no settings. FILE is as for `apply`. Exits with 2 if anything is
    wrong.
    """
    found = _read(files, ())
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
@organization_option
@json_option
def show(automation: str, organization: str | None, as_json: bool) -> None:
    """Print an automation as YAML.

    `apply` takes what is printed; status and version stand above it as comments.
    """

    async def run() -> None:
        async with (
            open_organization(organization) as opened,
            opened.transaction() as connection,
        ):
            found = await find_automation(connection, automation)
            if found is None:
                raise no_such_automation(automation, await automation_names(connection))
        if as_json:
            print_json(automation_document(found))
            return
        about = f"# {found.status}, version {found.version}, updated {local(found.updated_at)}"
        text = f"{about}\n# {found.id}\n{definition_yaml(found.definition)}"
        if console.is_terminal:
            console.print(
                Syntax(
                    text.rstrip(),
                    "yaml",
                    # The terminal's own colours are readable on its own background.
                    theme="ansi_dark",
                    background_color="default",
                    word_wrap=True,
                )
            )
        else:
            click.echo(text, nl=False)

    asyncio.run(run())


@automations.command()
@click.argument("automation", metavar="NAME|ID")
@organization_option
@json_option
def enable(automation: str, organization: str | None, as_json: bool) -> None:
    """Make an automation listen; one without steps is refused."""
    _switch(automation, organization, AutomationStatus.ACTIVE, as_json=as_json)


@automations.command()
@click.argument("automation", metavar="NAME|ID")
@organization_option
@json_option
def disable(automation: str, organization: str | None, as_json: bool) -> None:
    """Make an automation stop listening.

    What its runs have not sent yet is not sent either.
    """
    _switch(automation, organization, AutomationStatus.PAUSED, as_json=as_json)


def _switch(
    automation: str, organization: str | None, status: AutomationStatus, *, as_json: bool
) -> None:
    async def run() -> None:
        async with open_organization(organization) as opened:
            changed = await change_status(
                opened.database, opened.organization.id, automation, status
            )
        if as_json:
            print_json(automation_document(changed))
        else:
            click.echo(f"{changed.definition.name} is {changed.status}.")

    asyncio.run(run())


def _read(files: tuple[Path, ...], shipped: tuple[str, ...]) -> ReadDefinitions:
    if not files and not shipped:
        raise click.UsageError(
            "say which: files or folders of YAML, or - for standard input; "
            "`fixlify automations list --shipped` shows some to begin with"
        )
    found = read_definitions(files, shipped)
    if not found.valid and not found.refused:
        raise click.UsageError(f"no YAML file below {', '.join(map(str, files))}")
    return found
