"""fixlify doctor: what is configured, reachable, migrated and polled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Final

import click
from rich.table import Table
from rich.text import Text

from cli.checks.channels import check_email, check_sms
from cli.checks.database import check_database
from cli.checks.findings import Finding, Health, collect, failed
from cli.checks.settings import SettingsReport, check_settings
from cli.checks.temporal import check_temporal
from cli.environment import adopt_running_stack, home
from cli.output import console, json_option, print_json, printable
from cli.parameters import DurationType

_MARKS: Final = {
    Health.OK: ("✓", "green"),
    Health.WARNING: ("!", "yellow"),
    Health.FAILED: ("✗", "red"),
}
_TITLES: Final = {
    "settings": "Settings",
    "database": "Database",
    "temporal": "Temporal",
    "email": "Email",
    "sms": "Text messages",
}


@click.command()
@click.option(
    "--timeout",
    type=DurationType(),
    metavar="10s",
    default="10s",
    show_default=True,
    help="How long each server may take to answer.",
)
@json_option
@click.pass_context
def doctor(context: click.Context, timeout: timedelta, as_json: bool) -> None:
    """Check what is configured, reachable, migrated and polled.

    Every failure says what to do. Nothing is changed, and nothing is sent. Exits with 1 if
    anything failed; warnings do not count.
    """
    report = check_settings(adopt_running_stack())
    findings = asyncio.run(_look(report, patience=timeout))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    if any(finding.status is Health.FAILED for finding in findings):
        context.exit(1)


async def _look(report: SettingsReport, patience: timedelta) -> list[Finding]:
    """Look at everything at once, so that what hangs keeps nobody else waiting."""
    address, namespace = report.settings.temporal_address, report.settings.temporal_namespace
    checks = {
        "database": _database(report),
        "temporal": check_temporal(address, namespace),
        "email": check_email(report.settings),
        "sms": check_sms(report.settings),
    }
    sections = await asyncio.gather(
        *(collect(section, findings, patience) for section, findings in checks.items())
    )
    return [*report.findings, *(finding for section in sections for finding in section)]


async def _database(report: SettingsReport) -> AsyncIterator[Finding]:
    if not report.has_database:
        yield failed(
            "database.reachable",
            "not checked, because FIXLIFY_DATABASE_URL cannot be used",
            f"Set it, or start the embedded stack with `make dev` (nothing runs in {home()}).",
        )
        return
    async for finding in check_database(report.settings.database_url.get_secret_value()):
        yield finding


def _print(findings: Sequence[Finding]) -> None:
    for section, title in _TITLES.items():
        console.print(Text(title, style="bold"))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column()
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for finding in findings:
            name, _, rest = finding.check.partition(".")
            if name == section:
                _add(table, rest or name, finding)
        console.print(table)
        console.print()
    console.print(_verdict(findings))


def _add(table: Table, label: str, finding: Finding) -> None:
    mark, style = _MARKS[finding.status]
    detail = Text(printable(finding.detail), style="" if finding.status is Health.OK else style)
    if finding.remedy is not None:
        detail.append(f"\n→ {printable(finding.remedy)}", "default")
    table.add_row(Text(f"  {mark}", style), label, detail)


def _verdict(findings: Sequence[Finding]) -> Text:
    failures = sum(finding.status is Health.FAILED for finding in findings)
    warnings = sum(finding.status is Health.WARNING for finding in findings)
    if failures:
        return Text(f"{failures} failed, {warnings} to look at.", style="bold red")
    if warnings:
        return Text(f"It works, with {warnings} to look at.", style="bold yellow")
    return Text("Everything is in order.", style="bold green")
