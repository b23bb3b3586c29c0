"""Automations as people read them, and as programs do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
import yaml
from rich.syntax import Syntax

from cli.definition_files import ReadDefinitions
from cli.listing import Column, Line, print_listing
from cli.output import console, local, printable
from fixlify.domain.automation import AutomationDefinition, AutomationStatus, StoredAutomation
from fixlify.domain.errors import DefinitionError
from fixlify.domain.writing import write_definition
from fixlify.library import shipped_automations
from fixlify.storage.automations import Applied, StoredAutomations

_STORED: Final = (
    Column("AUTOMATION", shrinks=True),
    Column("STATUS"),
    Column("VERSION", right=True),
    Column("UPDATED"),
)
_APPLIED: Final = (
    Column("CHANGE"),
    Column("AUTOMATION", shrinks=True),
    Column("VERSION", right=True),
    Column("STATUS"),
)
_SHIPPED: Final = (
    Column("NAME"),
    Column("SET OFF BY", shrinks=True),
    Column("STEPS", shrinks=True),
)


class _Dumper(yaml.SafeDumper):
    """Writes as people do: lists below their key, texts of several lines without quotes."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)


def definition_yaml(definition: AutomationDefinition) -> str:
    """Return *definition* as a file that ``apply`` takes and finds unchanged."""
    return plain_yaml(write_definition(definition))


def plain_yaml(document: Any) -> str:
    """Return *document* as YAML that is pleasant to read and to edit."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def print_yaml(text: str) -> None:
    """Print YAML, coloured on a terminal."""
    if not console.is_terminal:
        click.echo(text, nl=False)
        return
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


def automation_document(automation: StoredAutomation | DefinitionError) -> dict[str, Any]:
    """Return one automation for ``--json``; for an unreadable row what is wrong with it."""
    if isinstance(automation, DefinitionError):
        problems = [{"path": each.path, "message": each.message} for each in automation.problems]
        unknown = ("id", "status", "paused_runs", "version", "updated_at", "definition")
        return dict.fromkeys(unknown) | {
            "name": automation.source,
            "problems": problems,
        }
    return {
        "id": automation.id,
        "name": automation.definition.name,
        "status": automation.status,
        "paused_runs": automation.paused_runs if _is_paused(automation) else None,
        "version": automation.version,
        "updated_at": automation.updated_at,
        "definition": write_definition(automation.definition),
        "problems": [],
    }


def about_automation(automation: StoredAutomation) -> str:
    """Return what is said above its YAML: how it stands, since when, and its id."""
    held = f" (runs: {automation.paused_runs})" if _is_paused(automation) else ""
    return (
        f"# {automation.status}{held}, version {automation.version}, "
        f"updated {local(automation.updated_at)}\n# {automation.id}\n"
    )


def _is_paused(automation: StoredAutomation) -> bool:
    return automation.status is AutomationStatus.PAUSED


def shipped_documents() -> list[dict[str, Any]]:
    """Return the shipped automations for ``--json``."""
    return [
        {"shipped": name, "definition": definition}
        for name, definition in shipped_automations().items()
    ]


def print_automations(found: StoredAutomations, organization: str) -> None:
    """Print one line per automation, or what to do while there is none."""
    if not found.automations and not found.unreadable:
        console.print(f"{organization} has no automations yet.", markup=False)
        console.print("`fixlify automations list --shipped` shows some to begin with.")
        return
    lines = [_line(each) for each in found.automations]
    lines += [
        Line((error.source, "unreadable", "", ""), "; ".join(map(str, error.problems)))
        for error in found.unreadable
    ]
    print_listing(console, _STORED, lines)


def print_shipped() -> None:
    """Print the automations that come with the package, each with what it does."""
    print_listing(
        console,
        _SHIPPED,
        [
            Line((name, *_gist(definition)), definition.get("description"))
            for name, definition in shipped_automations().items()
        ],
    )
    console.print("\nApply one with `fixlify automations apply --shipped NAME`.", style="dim")


def print_applied(applied: Sequence[Applied], organization: str) -> None:
    """Print what became of each automation, and what an active one means."""
    print_listing(console, _APPLIED, [_result(each) for each in applied])
    if any(
        each.change == "created" and each.automation.status is AutomationStatus.ACTIVE
        for each in applied
    ):
        console.print(
            f"\nWhat is new is active: it runs for {organization} from the next change on. "
            "`fixlify automations disable NAME` stops one; `status: draft` in a file keeps one "
            "from starting.",
            style="dim",
            markup=False,
        )


def print_refusals(found: ReadDefinitions, verdict: str) -> None:
    """Print every problem to standard error, as ``file: path: message``, and the *verdict*."""
    for error in found.refused:
        click.echo(printable(str(error)), err=True)
    problems = sum(len(error.problems) for error in found.refused)
    counted = "one problem" if problems == 1 else f"{problems} problems"
    click.secho(f"{verdict}: {counted}.", err=True, fg="red")


def _line(automation: StoredAutomation) -> Line:
    set_off_by, steps = _gist(write_definition(automation.definition))
    return Line(
        (
            automation.definition.name,
            automation.status.value,
            str(automation.version),
            local(automation.updated_at),
        ),
        f"{set_off_by}: {steps}",
    )


def _result(applied: Applied) -> Line:
    automation = applied.automation
    idle = automation.status is not AutomationStatus.ACTIVE
    note = "`fixlify automations enable` makes it listen" if idle else None
    return Line(
        (
            applied.change,
            automation.definition.name,
            str(automation.version),
            automation.status.value,
        ),
        note,
    )


def _gist(definition: Mapping[str, Any]) -> tuple[str, str]:
    """Return what sets it off, and the kinds of its steps."""
    return (
        _set_off_by(definition["trigger"]),
        ", ".join(step["type"] for step in definition["steps"]) or "no steps",
    )


def _set_off_by(trigger: Mapping[str, Any]) -> str:
    """Return a trigger in a few words: ``invoice_overdue (days 3, 7)``."""
    keys = {key: value for key, value in trigger.items() if key not in ("type", "catch_up")}
    words = [f"{key.replace('_', ' ')} {_words(value)}" for key, value in keys.items()]
    return f"{trigger['type']} ({'; '.join(words)})" if words else str(trigger["type"])


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key.replace('_', ' ')} {_words(each)}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
