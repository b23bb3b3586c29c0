"""fixlify templates lint: what is wrong with templates, stored, shipped or in files."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import click
from rich.text import Text

from cli.main import USAGE
from cli.organization import organization_option
from cli.output import console, counted, json_option, print_json, printable
from cli.template_output import print_refused, refused_documents
from cli.template_sources import Found, find_templates
from fixlify.rendering.linting import Company, Finding
from fixlify.rendering.linting import lint as lint_template
from fixlify.rendering.samples import sample_facts
from fixlify.storage.organizations import Appearance
from starter.company_templates import CompanyTemplate, as_written


@click.command()
@click.argument("wanted", metavar="[NAME|FOLDER|FILE]...", nargs=-1)
@click.option(
    "--shipped", is_flag=True, help="Those that come with the package; needs no database."
)
@organization_option
@json_option
@click.pass_context
def lint(
    context: click.Context,
    wanted: tuple[str, ...],
    shipped: bool,
    organization: str | None,
    as_json: bool,
) -> None:
    """Say what is wrong with templates.

    And what their readers would mind. Without a name all of the company's. Files are read as
    `import` reads them, and nothing is stored; they need no database, unless --organization says
    whose links they lead to. Exits with 2 if anything would keep a message from being sent;
    warnings do not count.
    """
    found = asyncio.run(find_templates(wanted, organization, shipped=shipped))
    findings = {name: _findings(each, found.company) for name, each in found.templates.items()}
    errors = sum(len(error.problems) for error in found.refused)
    errors += sum(each.is_error for of_one in findings.values() for each in of_one)
    if as_json:
        print_json(_document(findings, found, valid=not errors))
    else:
        _print(findings)
    if found.refused and not as_json:
        print_refused(found.refused, "Not valid")
    if errors:
        context.exit(USAGE)


def _findings(template: CompanyTemplate, company: Appearance | None) -> list[Finding]:
    source = as_written(template)
    if source is None:
        return [Finding("", "cannot be read; import it anew", True)]
    if company is None:
        return lint_template(source, template.default_locale, Company("en_US", sample_locale))
    sample = partial(_sample_of, company)
    judged = Company(company.organization.locale, sample, frozenset(company.links))
    return lint_template(source, template.default_locale, judged)


def sample_locale(locale: str) -> Any:
    """Return invented facts for a client who reads *locale*."""
    return sample_facts(locale=locale)


def _sample_of(company: Appearance, locale: str) -> Any:
    # Of a link that is not set, what is said is that it is not; the sample has them all.
    return sample_facts(locale=locale, organization=company.organization)


def _document(findings: dict[str, list[Finding]], found: Found, *, valid: bool) -> dict[str, Any]:
    return {
        "valid": valid,
        "templates": [
            {
                "name": name,
                "findings": [
                    {
                        "severity": "error" if each.is_error else "warning",
                        "path": each.place,
                        "message": each.message,
                    }
                    for each in of_one
                ],
            }
            for name, of_one in findings.items()
        ],
        "problems": refused_documents(found.refused),
    }


def _print(findings: dict[str, list[Finding]]) -> None:
    for name, of_one in findings.items():
        if not of_one:
            console.print(Text.assemble(("✓ ", "green"), name))
        for each in of_one:
            mark = ("✗ ", "red") if each.is_error else ("! ", "yellow")
            place = f" {each.place}" if each.place else ""
            said = Text.assemble(mark, f"{name}{place}: {printable(each.message)}")
            console.print(said, soft_wrap=True)
    warnings = sum(not each.is_error for of_one in findings.values() for each in of_one)
    errors = sum(each.is_error for of_one in findings.values() for each in of_one)
    console.print(
        f"\n{counted(len(findings), 'template')}: {counted(errors, 'error')}, "
        f"{counted(warnings, 'warning')}."
    )
