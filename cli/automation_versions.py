"""fixlify automations diff, rollback, and the versions that show lists."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from difflib import unified_diff
from itertools import pairwise
from typing import Any, Final

import click
from rich.text import Text

from cli.automation_output import definition_yaml, plain_yaml, print_yaml
from cli.listing import Column, Line, print_listing
from cli.organization import open_organization, organization_option
from cli.output import console, counted, json_option, local, print_json, printable
from fixlify.domain.automation import PinnedDefinition, StoredAutomation
from fixlify.domain.errors import NotFoundError
from fixlify.domain.writing import what_changed, write_definition
from fixlify.storage.versions import StoredVersion, list_versions
from starter.definitions import existing_automation
from starter.versions import existing_version, roll_back

_NAME = click.argument("automation", metavar="NAME|ID")

_VERSIONS: Final = (
    Column("VERSION", right=True),
    Column(""),
    Column("STORED"),
    Column("OPEN RUNS", right=True),
    Column("WHAT CHANGED", shrinks=True),
)
_COLOURS: Final = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@_NAME
@click.argument("old", metavar="[OLD]", type=click.IntRange(min=1), required=False)
@click.argument("new", metavar="[NEW]", type=click.IntRange(min=1), required=False)
@organization_option
@json_option
def diff(
    automation: str, old: int | None, new: int | None, organization: str | None, as_json: bool
) -> None:
    """Show what differs between two versions.

    The texts of their templates are included.

    OLD is the version before the current one and NEW the current one, unless given.
    """

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = await existing_automation(connection, automation)
            before = await existing_version(connection, found, old)
            after = await existing_version(connection, found, new or found.version)
        name = found.definition.name
        was, is_ = _readable(name, before), _readable(name, after)
        lines = list(
            unified_diff(
                _text(was).splitlines(),
                _text(is_).splitlines(),
                f"version {before.version}, {local(before.created_at)}",
                f"version {after.version}, {local(after.created_at)}",
                lineterm="",
            )
        )
        if as_json:
            print_json(
                {
                    "name": name,
                    "old": before.version,
                    "new": after.version,
                    "changed": list(what_changed(was, is_)),
                    "diff": lines,
                }
            )
        elif not lines:
            click.echo(f"Versions {before.version} and {after.version} say the same.")
        for line in [] if as_json else lines:
            console.print(Text(printable(line), _COLOURS.get(line[:1], "")), soft_wrap=True)

    asyncio.run(run())


@click.command()
@_NAME
@click.option(
    "--to",
    "version",
    type=click.IntRange(min=1),
    metavar="VERSION",
    help="Which version; the one before the current where it is not given.",
)
@organization_option
@json_option
def rollback(automation: str, version: int | None, organization: str | None, as_json: bool) -> None:
    """Let an older version stand again, as a new version.

    The texts of its templates are those it had. Runs under way keep the version they began
    with; the status stays as it is.
    """

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = await existing_automation(connection, automation)
            restored, applied = await roll_back(connection, found, version)
            versions = await list_versions(connection, found.organization_id, found.id)
        now = applied.automation
        if as_json:
            print_json(
                {
                    "id": now.id,
                    "name": now.definition.name,
                    "restored": restored,
                    "version": now.version,
                    "status": now.status,
                }
            )
            return
        name = printable(now.definition.name)
        click.echo(f"{name}: what version {restored} said stands again, as version {now.version}.")
        if runs := sum(each.open_runs for each in versions if each.version != now.version):
            keep = "keeps the version it" if runs == 1 else "keep the versions they"
            click.echo(f"{counted(runs, 'run')} under way {keep} began with.")
        click.echo("Its file, if there is one, still says what was undone: change it, too.")

    asyncio.run(run())


def print_versions(versions: Sequence[StoredVersion], *, as_json: bool) -> None:
    """Print *versions*, which are the newest first, each with what it changed."""
    changes = [
        *(_changed(older, newer) for newer, older in pairwise(versions)),
        ("new",),
    ]
    if as_json:
        print_json(
            [
                {
                    "version": each.version,
                    "current": each.is_current,
                    "created_at": each.created_at,
                    "changed": list(changed),
                    "open_runs": each.open_runs,
                }
                for each, changed in zip(versions, changes, strict=True)
            ]
        )
        return
    lines = [
        Line(
            (
                str(each.version),
                "current" if each.is_current else "",
                local(each.created_at),
                str(each.open_runs),
                ", ".join(changed) or "nothing",
            )
        )
        for each, changed in zip(versions, changes, strict=True)
    ]
    print_listing(console, _VERSIONS, lines)


def print_version(automation: StoredAutomation, version: StoredVersion, *, as_json: bool) -> None:
    """Print one version as YAML that ``apply`` takes, with the names of its templates above it."""
    pinned = _readable(automation.definition.name, version)
    if as_json:
        print_json(
            {
                "id": automation.id,
                "name": automation.definition.name,
                "version": version.version,
                "current": version.is_current,
                "created_at": version.created_at,
                "open_runs": version.open_runs,
                "definition": write_definition(pinned.definition),
                "templates": _templates(pinned),
            }
        )
        return
    which = (
        "the current one" if version.is_current else f"not the current one, {automation.version}"
    )
    about = [
        f"# version {version.version}, {which}; stored {local(version.created_at)}, "
        f"{counted(version.open_runs, 'open run')}",
        f"# {automation.id}",
    ]
    if pinned.templates:
        names = ", ".join(pinned.templates)
        about.append(f"# with the texts of then: {names}; `show --version --json` has them")
    print_yaml("\n".join([*about, definition_yaml(pinned.definition)]))


def _changed(older: StoredVersion, newer: StoredVersion) -> tuple[str, ...]:
    if older.pinned is None or newer.pinned is None:
        return ("unreadable",)
    return what_changed(older.pinned, newer.pinned)


def _readable(name: str, version: StoredVersion) -> PinnedDefinition:
    if version.pinned is None:
        raise NotFoundError(
            f"version {version.version} of '{name}' can no longer be read; "
            "`fixlify automations show --versions` lists the others"
        )
    return version.pinned


def _text(pinned: PinnedDefinition) -> str:
    """Return a version as one text: what is written, then what its templates say."""
    templates = _templates(pinned)
    shown = plain_yaml({"templates": templates}) if templates else ""
    return definition_yaml(pinned.definition) + shown


def _templates(pinned: PinnedDefinition) -> dict[str, Any]:
    return {name: source.model_dump(exclude_none=True) for name, source in pinned.templates.items()}
