"""fixlify rules: when messages to clients may go, and how many."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

import click

from cli.definition_files import STDIN, read_stdin
from cli.main import USAGE
from cli.organization import OpenOrganization, open_organization, organization_option
from cli.output import counted, json_option, local, print_json, printable
from cli.rules_check import check
from cli.rules_output import rules_document, rules_yaml
from fixlify.domain.automation import AutomationStatus
from fixlify.domain.errors import DefinitionError, Problem
from fixlify.domain.rules import Rules, contradiction, effective_rules, parse_rules
from fixlify.library import Wanted, read_yaml_file
from fixlify.storage.automations import list_automations
from fixlify.storage.rules import clear_rules, find_rules, store_rules

_WANTED: Final = Wanted(
    "a set of rules", "a mapping with quiet_hours, business_hours, holidays or caps"
)
_FILE = click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))


@click.group()
def rules() -> None:
    """Say when messages to clients may go, and how many."""


@rules.command()
@organization_option
@json_option
def show(organization: str | None, as_json: bool) -> None:
    """Print the rules as YAML, which `apply` takes."""

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            stored = await find_rules(connection, opened.organization.id)
        if as_json:
            document = stored and rules_document(stored.rules)
            print_json({"rules": document, "updated_at": stored and stored.updated_at})
        elif stored is None:
            click.echo(f"{_name(opened)} has no rules: every message may go at any time.")
            click.echo("`fixlify rules apply FILE` stores some.")
        else:
            click.echo(f"# {_name(opened)}, updated {local(stored.updated_at)}")
            click.echo(rules_yaml(stored.rules), nl=False)

    asyncio.run(run())


@rules.command()
@_FILE
@organization_option
@json_option
@click.pass_context
def apply(context: click.Context, file: Path, organization: str | None, as_json: bool) -> None:
    """Store the rules in a YAML file, in place of those that stand.

    FILE is a YAML file, or - for standard input. They bind from the next message on. What is
    held already is asked again when its time comes.
    """
    try:
        read = _read(file)
    except DefinitionError as error:
        nothing = {"rules": None, "contradictions": ()}
        _refuse(context, error, "Nothing was stored", nothing, as_json=as_json)

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            await store_rules(connection, opened.organization.id, read)
            found = await list_automations(connection)
        against = {
            each.definition.name: problem
            for each in found.automations
            if each.status is not AutomationStatus.ARCHIVED
            and (problem := contradiction(effective_rules(read, each.definition.rules)))
        }
        if as_json:
            contradictions = [
                {"automation": name, "message": problem} for name, problem in against.items()
            ]
            print_json(
                {"rules": rules_document(read), "contradictions": contradictions, "problems": []}
            )
            return
        click.echo(f"The rules of {_name(opened)} are stored; the next message is under them.")
        for name, problem in against.items():
            click.secho(f"{printable(name)}: {problem}", err=True, fg="yellow")

    asyncio.run(run())


@rules.command()
@_FILE
@json_option
@click.pass_context
def validate(context: click.Context, file: Path, as_json: bool) -> None:
    """Check a YAML file, storing nothing.

    Needs no database and no settings. FILE is as for `apply`. Exits with 2 if anything is
    wrong.
    """
    try:
        read = _read(file)
    except DefinitionError as error:
        nothing = {"valid": False, "rules": None}
        _refuse(context, error, "Not valid", nothing, as_json=as_json)
    if as_json:
        print_json({"valid": True, "rules": rules_document(read), "problems": []})
    else:
        click.echo(f"{_source(file)}: valid")


@rules.command()
@organization_option
@json_option
def clear(organization: str | None, as_json: bool) -> None:
    """Forget the rules: every message may go at any time."""

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            cleared = await clear_rules(connection, opened.organization.id)
        if as_json:
            print_json({"cleared": cleared})
        else:
            had = "has no rules any more" if cleared else "had no rules"
            click.echo(f"{_name(opened)} {had}: every message may go at any time.")

    asyncio.run(run())


rules.add_command(check)


def _read(file: Path) -> Rules:
    source = _source(file)
    documents = read_stdin(source, _WANTED) if file == STDIN else read_yaml_file(file, _WANTED)
    if len(documents) > 1:
        raise DefinitionError(
            source, [Problem("", "holds several documents; an organization has one set of rules")]
        )
    return parse_rules(source, documents[0])


def _source(file: Path) -> str:
    return "standard input" if file == STDIN else str(file)


def _refuse(
    context: click.Context,
    error: DefinitionError,
    verdict: str,
    nothing: Mapping[str, object],
    *,
    as_json: bool,
) -> NoReturn:
    """Print what is wrong, as JSON with *nothing* as its result, and leave with the code for it."""
    if as_json:
        problems = [{"path": each.path, "message": each.message} for each in error.problems]
        print_json({**nothing, "problems": problems})
    click.echo(printable(str(error)), err=True)
    click.secho(f"{verdict}: {counted(len(error.problems), 'problem')}.", err=True, fg="red")
    context.exit(USAGE)


def _name(opened: OpenOrganization) -> str:
    return printable(opened.organization.name)
