"""Templates as people read them, and as programs do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
from rich.text import Text

from cli.listing import Column, Line, print_listing
from cli.output import console, counted, local, printable
from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import DefinitionError
from starter.company_templates import CompanyTemplate, as_written
from starter.templates import Imported

_TEMPLATES: Final = (
    Column("TEMPLATE"),
    Column("WHOSE"),
    Column("VERSION", right=True),
    Column("FOR"),
    Column("LANGUAGES", shrinks=True),
    Column("USED BY", shrinks=True),
)
_IMPORTED: Final = (
    Column("CHANGE"),
    Column("TEMPLATE"),
    Column("VERSION", right=True),
    Column("LANGUAGES"),
)
_PARTS: Final = ("subject", "text", "html", "sms")


def template_documents(
    templates: Mapping[str, CompanyTemplate], used: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Return *templates* for ``--json``; ``used`` are the automations by template."""
    return [
        {
            "name": name,
            "own": bool(each.own),
            "version": each.version,
            "changed_at": each.changed_at,
            "default_locale": each.default_locale,
            "locales": each.languages,
            "channels": _channels(each),
            "used_by": list(used.get(name, ())),
            "readable": as_written(each) is not None,
        }
        for name, each in templates.items()
    ]


def print_templates(
    templates: Mapping[str, CompanyTemplate], used: Mapping[str, Sequence[str]]
) -> None:
    """Print one line per template."""
    lines = [
        Line(
            (
                name,
                "own" if each.own else "shipped",
                str(each.version or ""),
                ", ".join(_channels(each)) if as_written(each) else "unreadable",
                ", ".join(each.languages),
                ", ".join(used.get(name, ())),
            )
        )
        for name, each in templates.items()
    ]
    print_listing(console, _TEMPLATES, lines)
    console.print("\nLook at one with `fixlify templates preview NAME`.", style="dim")


def parts_of(source: TemplateSource) -> dict[str, str]:
    """Return the texts of one language by part."""
    return {part: text for part in _PARTS if (text := getattr(source, part)) is not None}


def print_parts(template: CompanyTemplate, languages: Mapping[str, TemplateSource]) -> None:
    """Print the texts of a template, each under the name of its part."""
    if template.own:
        since = f"own, version {template.version}, changed {local(template.changed_at)}"
    else:
        since = "shipped"
    console.print(Text(f"{template.name}: {since}", "bold"))
    for locale, source in languages.items():
        for part, text in parts_of(source).items():
            default = " (its own language)" if locale == template.default_locale else ""
            console.print(Text(f"\n── {part}, {locale}{default}", "cyan"))
            click.echo(printable(text.rstrip("\n")))


def import_document(done: Imported, notes: Sequence[str]) -> dict[str, Any]:
    """Return what an import did for ``--json``."""
    return {
        "templates": [
            {
                "name": each.name,
                "change": each.change,
                "version": each.version,
                "locales": each.locales,
                "replaces_shipped": each.replaces_shipped,
            }
            for each in done.templates
        ],
        "automations": [
            {
                "id": each.automation.id,
                "name": each.automation.definition.name,
                "version": each.automation.version,
                "status": each.automation.status,
            }
            for each in done.automations
        ],
        "unreadable_automations": done.unreadable,
        "notes": list(notes),
        "problems": [],
    }


def print_imported(done: Imported) -> None:
    """Print what became of each template, and which automations have new texts."""
    print_listing(
        console,
        _IMPORTED,
        [
            Line(
                (each.change, each.name, str(each.version), ", ".join(each.locales)),
                "stands in place of the shipped one" if each.replaces_shipped else None,
            )
            for each in done.templates
        ],
    )
    for applied in done.automations:
        name = printable(applied.automation.definition.name)
        click.echo(f"{name} has the new text, as version {applied.automation.version}.")
    if done.automations:
        console.print("Runs under way keep the version they began with.", style="dim")
    for name in done.unreadable:
        click.secho(
            f"{printable(name)} cannot be read, and was left as it is; apply it anew.",
            err=True,
            fg="yellow",
        )


def refused_documents(refused: Sequence[DefinitionError]) -> list[dict[str, str]]:
    """Return every problem for ``--json``, each with its file and place."""
    return [
        {"source": error.source, "path": problem.path, "message": problem.message}
        for error in refused
        for problem in error.problems
    ]


def print_refused(refused: Sequence[DefinitionError], verdict: str) -> None:
    """Print every problem to standard error, as ``file: place: message``, and the *verdict*."""
    for error in refused:
        click.echo(printable(str(error)), err=True)
    count = sum(len(error.problems) for error in refused)
    click.secho(f"{verdict}: {counted(count, 'problem')}.", err=True, fg="red")


def _channels(template: CompanyTemplate) -> list[str]:
    source = as_written(template)
    if source is None:
        return []
    return [*(["email"] if source.subject else []), *(["sms"] if source.sms else [])]
