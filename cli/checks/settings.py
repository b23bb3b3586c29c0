"""Look at every setting: whether it is set, where it comes from, whether it can be used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cli.checks.findings import Finding, failed, ok
from fixlify.domain.errors import ConfigurationError
from fixlify.settings import SECRETS, Settings, load_settings, variables

_DATABASE_URL: Final = "FIXLIFY_DATABASE_URL"
# Takes the place of a database URL that is missing or wrong, so that the rest can be read.
_NOWHERE: Final = "postgresql://"


@dataclass(frozen=True, slots=True)
class SettingsReport:
    """What was found, and settings to go on with.

    Where a variable is missing or wrong, ``settings`` has its default; ``has_database`` says
    whether the database's is usable.
    """

    findings: list[Finding]
    settings: Settings
    has_database: bool


def check_settings(adopted: frozenset[str]) -> SettingsReport:
    """Look at every variable; *adopted* are those that the running stack has provided."""
    problems = _problems()
    return SettingsReport(
        findings=list(_findings(problems, adopted)),
        settings=_usable(problems),
        has_database=_DATABASE_URL not in problems,
    )


def _problems() -> Mapping[str, str]:
    """Return what is wrong with each variable, by name; every line begins with one."""
    try:
        load_settings()
    except ConfigurationError as error:
        parts = [line.partition(" ") for line in str(error).splitlines()]
        return {name.rstrip(":"): words for name, _, words in parts}
    return {}


def _findings(problems: Mapping[str, str], adopted: frozenset[str]) -> Iterator[Finding]:
    for name, purpose in variables().items():
        check = f"settings.{name}"
        value = os.environ.get(name)
        default = _field(name)[1]
        if name in problems:
            yield failed(check, problems[name], f"{name} is: {purpose}")
        elif value:
            shown = "set" if name in SECRETS else value
            yield ok(check, f"{shown} (by the running stack)" if name in adopted else shown)
        else:
            yield ok(check, "not set" if default is None else f"{default} (default)")


def _usable(problems: Mapping[str, str]) -> Settings:
    """Return the settings with defaults in place of what is wrong."""
    fallbacks: dict[str, Any] = {
        field: _NOWHERE if name == _DATABASE_URL else default
        for name in problems
        for field, default in [_field(name)]
    }
    return Settings(**fallbacks)


def _field(variable: str) -> tuple[str, Any]:
    """Return the name and the default of the field that reads *variable*."""
    return next(
        (name, field.default)
        for name, field in Settings.model_fields.items()
        if field.validation_alias == variable
    )
