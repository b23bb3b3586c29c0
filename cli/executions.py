"""fixlify executions: see what automations did and did not, begin runs anew, and end them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import click

from cli.cancel import cancel
from cli.environment import web_ui_link
from cli.execution_names import (
    ExecutionIdType,
    automation_option,
    find_automation_named,
    find_execution,
    subject_option,
)
from cli.organization import open_organization, organization_option
from cli.output import console, json_option, print_json
from cli.parameters import DurationType
from cli.redrive import redrive
from cli.stories import (
    execution_document,
    print_executions,
    print_nothing_yet,
    print_story,
    story_document,
)
from fixlify.domain.runs import ExecutionStatus
from fixlify.storage.automations import list_automations
from fixlify.storage.history import HistoryFilter, list_executions, tell_story


@click.group()
def executions() -> None:
    """See what automations did and did not, begin runs anew, and end them."""


@executions.command(name="list")
@click.option(
    "--status", type=click.Choice([each.value for each in ExecutionStatus]), help="Only these."
)
@automation_option
@subject_option
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
    """List executions, newest first.

    Every match of an event, and what became of it.
    """

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            wanted = HistoryFilter(
                status=ExecutionStatus(status) if status else None,
                automation_id=await find_automation_named(connection, automation),
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
@click.argument("execution", metavar="ID", type=ExecutionIdType())
@organization_option
@json_option
def show(execution: str, organization: str | None, as_json: bool) -> None:
    """Tell the story of one execution.

    What set it off, each step, each message.

    ID is an execution's id, or its first six digits or more.
    """

    async def run() -> None:
        async with open_organization(organization) as opened:
            async with opened.transaction() as connection:
                found = await find_execution(connection, opened, execution)
                story = await tell_story(connection, found)
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


executions.add_command(redrive)
executions.add_command(cancel)
