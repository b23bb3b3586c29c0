"""fixlify executions: what automations did, and what they did not and why."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final
from uuid import UUID

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.environment import web_ui_link
from cli.organization import OpenOrganization, open_organization, organization_option
from cli.output import console, json_option, print_json
from cli.parameters import DurationType
from cli.stories import (
    execution_document,
    print_executions,
    print_nothing_yet,
    print_story,
    story_document,
)
from fixlify.domain.errors import NotFoundError
from fixlify.domain.runs import ExecutionStatus
from fixlify.storage.automations import automation_names, find_automation_id, list_automations
from fixlify.storage.history import (
    ExecutionStory,
    HistoryFilter,
    PastExecution,
    find_executions,
    id_range,
    list_executions,
    tell_story,
)
from starter.definitions import no_such_automation

# The beginning of several ids is answered with the ids it may mean, up to this many.
_CANDIDATES: Final = 5


@click.group()
def executions() -> None:
    """See what automations did, and what they did not and why."""


@executions.command(name="list")
@click.option(
    "--status", type=click.Choice([each.value for each in ExecutionStatus]), help="Only these."
)
@click.option("--automation", metavar="NAME|ID", help="Only those of one automation.")
@click.option(
    "--job",
    "--subject",
    "subject",
    metavar="ID",
    help="Only those about one job, such as J-2019, or about another subject by its id.",
)
@click.option(
    "--since", type=DurationType(), metavar="2h", help="Only those of the last 30m, 2h, 7d …"
)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many."
)
@organization_option
@json_option
def list_(
    status: str | None,
    automation: str | None,
    subject: str | None,
    since: timedelta | None,
    limit: int,
    organization: str | None,
    as_json: bool,
) -> None:
    """List executions, newest first: every match of an event, and what became of it."""

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            wanted = HistoryFilter(
                status=ExecutionStatus(status) if status else None,
                automation_id=await _automation_id(connection, automation),
                subject_id=subject,
                since=since,
            )
            # One more than asked for tells whether there are more.
            found = await list_executions(connection, wanted, limit + 1)
            if as_json:
                print_json([execution_document(each) for each in found[:limit]])
            elif found:
                print_executions(found[:limit], more=len(found) > limit)
            elif wanted != HistoryFilter():
                console.print("No execution matches; try fewer filters, or a longer --since.")
            else:
                print_nothing_yet((await list_automations(connection)).automations)

    asyncio.run(run())


@executions.command()
@click.argument("execution", metavar="ID")
@organization_option
@json_option
def show(execution: str, organization: str | None, as_json: bool) -> None:
    """Tell the story of one execution: what set it off, each step, each message.

    ID is an execution's id, or its first six digits or more.
    """
    try:
        id_range(execution)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="ID") from None

    async def run() -> None:
        async with open_organization(organization) as opened:
            story = await _story(opened, execution)
            link = (
                web_ui_link(opened.settings, story.workflow_id, story.run_id)
                if story.workflow_id
                else None
            )
            if as_json:
                print_json(story_document(story, link))
            else:
                print_story(story, link)

    asyncio.run(run())


async def _story(opened: OpenOrganization, id_or_prefix: str) -> ExecutionStory:
    async with opened.transaction() as connection:
        found = await find_executions(connection, id_or_prefix, _CANDIDATES + 1)
        if len(found) == 1:
            return await tell_story(connection, found[0])
    if not found:
        raise NotFoundError(
            f"no execution of {opened.organization.name} begins with '{id_or_prefix}'; "
            "`fixlify executions list` shows those there are"
        )
    raise NotFoundError(
        f"several executions begin with '{id_or_prefix}'; give more of the id:\n"
        + "\n".join(map(_candidate, found[:_CANDIDATES]))
        + ("\n  …" if len(found) > _CANDIDATES else "")
    )


def _candidate(execution: PastExecution) -> str:
    return f"  {execution.id}  {execution.status}  {execution.automation}"


async def _automation_id(connection: AsyncConnection, name_or_id: str | None) -> UUID | None:
    if name_or_id is None:
        return None
    automation_id = await find_automation_id(connection, name_or_id)
    if automation_id is None:
        raise no_such_automation(name_or_id, await automation_names(connection))
    return automation_id
