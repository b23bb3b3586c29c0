"""fixlify automations enable, disable, archive: who listens, and what becomes of the runs."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from cli.automation_output import automation_document
from cli.organization import OpenOrganization, open_organization, organization_option
from cli.output import counted, json_option, print_json, printable
from cli.scope import engine_database
from fixlify.domain.automation import AutomationStatus, PausedRuns, StoredAutomation
from fixlify.settings import Settings
from fixlify.storage.pausing import RunsUnderWay, runs_under_way, wake_paused_runs
from starter.definitions import change_status

_NAME = click.argument("automation", metavar="NAME|ID")


@click.command()
@_NAME
@organization_option
@json_option
def enable(automation: str, organization: str | None, as_json: bool) -> None:
    """Make an automation listen; one without steps is refused.

    Runs that were held while it was paused go on.
    """
    _switch(automation, organization, AutomationStatus.ACTIVE, as_json=as_json)


@click.command()
@_NAME
@click.option(
    "--runs",
    type=click.Choice([each.value for each in PausedRuns]),
    default=PausedRuns.HOLD.value,
    show_default=True,
    help="What becomes of the runs under way.",
)
@organization_option
@json_option
def disable(automation: str, runs: str, organization: str | None, as_json: bool) -> None:
    """Pause an automation, and decide about its runs.

    `hold` lets them wait where they are about to act until it is enabled again, `finish` lets
    them go on to their end, `cancel` ends them.
    """
    _switch(automation, organization, AutomationStatus.PAUSED, PausedRuns(runs), as_json=as_json)


@click.command()
@_NAME
@organization_option
@json_option
def archive(automation: str, organization: str | None, as_json: bool) -> None:
    """Put an automation away.

    It listens no more, and its runs end as cancelled.
    """
    _switch(automation, organization, AutomationStatus.ARCHIVED, as_json=as_json)


def _switch(
    automation: str,
    organization: str | None,
    status: AutomationStatus,
    paused_runs: PausedRuns = PausedRuns.HOLD,
    *,
    as_json: bool,
) -> None:
    async def run() -> None:
        async with open_organization(organization) as opened:
            changed = await change_status(
                opened.database, opened.organization.id, automation, status, paused_runs
            )
            # After the commit: until then runs may still have come to be held.
            under_way, told = await _affected(opened, changed)
            heard, problem = await _tell(opened.settings, told)
        if as_json:
            print_json({**automation_document(changed), "runs": _document(under_way, heard)})
            return
        click.echo(f"{printable(changed.definition.name)} is {changed.status}.")
        for line in _sentences(changed, under_way, len(told) - heard, problem):
            click.echo(line)

    asyncio.run(run())


async def _tell(settings: Settings, workflow_ids: tuple[str, ...]) -> tuple[int, str | None]:
    """Tell them to look again; return how many heard it, and what kept Temporal from it."""
    if not workflow_ids:
        return 0, None
    # Temporal's client takes its time to load, and mostly nobody is to be told.
    from cli.telling import tell_runs

    return await tell_runs(settings, workflow_ids, "fixlify-automations")


async def _affected(
    opened: OpenOrganization, changed: StoredAutomation
) -> tuple[RunsUnderWay, tuple[str, ...]]:
    """Return the runs under way, and those of them that have something to hear of."""
    key = changed.organization_id, changed.id
    async with opened.transaction() as connection:
        under_way = await runs_under_way(connection, *key)
    if _ends_runs(changed):
        return under_way, under_way.begun
    if _holds_runs(changed):
        # They find out where they are about to act.
        return under_way, ()
    # Waking is the engine's act: people may not write executions.
    async with (
        engine_database(opened.settings) as engine,
        engine.transaction() as connection,
    ):
        return under_way, await wake_paused_runs(connection, *key)


def _ends_runs(changed: StoredAutomation) -> bool:
    return changed.status is AutomationStatus.ARCHIVED or (
        changed.status is AutomationStatus.PAUSED and changed.paused_runs is PausedRuns.CANCEL
    )


def _holds_runs(changed: StoredAutomation) -> bool:
    return changed.status is AutomationStatus.PAUSED and changed.paused_runs is PausedRuns.HOLD


def _sentences(
    changed: StoredAutomation, under_way: RunsUnderWay, unheard: int, problem: str | None
) -> list[str]:
    """Return what becomes of the runs, and of those that did not hear it."""
    lines = []
    if under_way.total:
        runs = f"{counted(under_way.total, 'run')} under way"
        one = under_way.total == 1
        if _ends_runs(changed):
            lines.append(f"{runs} {'ends' if one else 'end'} as cancelled.")
        elif _holds_runs(changed):
            lines.append(
                f"{runs} {'is' if one else 'are'} held before the next thing "
                f"{'it does' if one else 'they do'}, until it is enabled again."
            )
        else:
            lines.append(f"{runs} {'goes' if one else 'go'} on.")
    if unheard:
        why = problem or "Not every run heard it"
        lines.append(
            f"{why}: one run notices when it looks next."
            if unheard == 1
            else f"{why}: {unheard} runs notice when they look next."
        )
    return lines


def _document(under_way: RunsUnderWay, heard: int) -> dict[str, Any]:
    return {
        "pending": under_way.pending,
        "begun": len(under_way.begun),
        "told": heard,
    }
