"""What `simulate` and `backtest` have in common: which automation they try, and whose clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import click

from cli.definition_files import STDIN, read_definitions
from cli.organization import OpenOrganization
from fixlify.domain.automation import PinnedDefinition, TemplateSource
from fixlify.domain.errors import DefinitionError, Problem
from fixlify.domain.timetable.zones import zone_problem
from fixlify.storage.automations import load_pinned
from starter.company_templates import template_sources
from starter.definitions import existing_automation
from starter.simulation import Rehearsed

_Command = TypeVar("_Command", bound=Callable[..., Any])
_SUFFIXES: Final = (".yaml", ".yml")


def automation_argument(command: _Command) -> _Command:
    """Add the argument that names what is tried: a file, or a stored automation."""
    return click.argument("automation", metavar="FILE|NAME")(command)


async def find_rehearsed(opened: OpenOrganization, automation: str) -> Rehearsed:
    """Return the automation in a YAML file, or the stored one of that name or id as it is now.

    Raises:
        DefinitionError: The file is not valid, or holds none or several automations.
        NotFoundError: There is none of that name.
    """
    async with opened.transaction() as connection:
        if _names_file(automation):
            templates = await template_sources(connection, opened.organization.id)
            return Rehearsed.draft(_read(Path(automation), templates))
        found = await existing_automation(connection, automation)
        return Rehearsed(found.id, await load_pinned(connection, found.id, found.version), True)


def _names_file(automation: str) -> bool:
    path = Path(automation)
    return path == STDIN or path.suffix in _SUFFIXES or path.is_file()


def _read(path: Path, templates: Mapping[str, TemplateSource]) -> PinnedDefinition:
    found = read_definitions([path], templates=templates)
    if found.refused:
        raise found.refused[0]
    if len(found.valid) != 1:
        problem = f"holds {len(found.valid)} automations; give a file with one"
        raise DefinitionError(str(path), [Problem("", problem)])
    return found.valid[0].pinned


def zone_of(opened: OpenOrganization) -> ZoneInfo:
    """Return the company's zone; UTC where it is none."""
    name = opened.organization.time_zone
    return ZoneInfo("UTC" if zone_problem(name) else name)
