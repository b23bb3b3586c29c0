"""fixlify schedules: when everything runs by itself, and steering it."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import click
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError

from cli.main import Failure
from cli.open_schedules import open_schedules
from cli.output import console, counted, json_option, print_json, printable
from cli.schedule_output import (
    detailed_document,
    print_schedule,
    print_schedules,
    print_synced,
    schedule_document,
    sync_document,
)
from fixlify.storage.schedules import StoredSchedule, past_runs
from starter.schedules import steering, sync

_RUNS_SHOWN: Final = 20
# A sweep gives up by itself after half an hour.
_PATIENCE: Final = timedelta(minutes=31)

_NAME = click.argument("schedule", metavar="NAME|ID")
_ORGANIZATION = click.option(
    "--organization", metavar="NAME|ID", help="Only its own schedules and the shared ones."
)


@click.group()
def schedules() -> None:
    """See when everything runs by itself, and pause, resume or run it."""


@schedules.command(name="list")
@_ORGANIZATION
@json_option
def list_(organization: str | None, as_json: bool) -> None:
    """List schedules.

    When each runs, how it does, and whether it is paused.
    """

    async def run() -> None:
        async with open_schedules(organization) as opened:
            found = await opened.seen(await opened.all())
            for problem in await opened.missing():
                click.echo(f"{printable(str(problem))}", err=True)
            if as_json:
                print_json([schedule_document(each) for each in found])
            elif found:
                print_schedules(found)
            else:
                console.print("There are no schedules yet; `fixlify schedules sync` makes them.")

    asyncio.run(run())


@schedules.command()
@_NAME
@json_option
def show(schedule: str, as_json: bool) -> None:
    """Tell everything about one schedule.

    Why it is as it is, and its newest runs.
    """

    async def run() -> None:
        async with open_schedules() as opened:
            (seen,) = await opened.seen([await opened.one(schedule)])
            async with opened.database.transaction() as connection:
                runs = await past_runs(connection, seen.stored.id, _RUNS_SHOWN)
            if as_json:
                print_json(detailed_document(seen, runs))
            else:
                print_schedule(seen, runs)

    asyncio.run(run())


@schedules.command()
@_NAME
@click.option("--reason", metavar="TEXT", help="Why; the list and Temporal's Web UI show it.")
def pause(schedule: str, reason: str | None) -> None:
    """Keep a schedule from running until it is resumed.

    Nothing else resumes it.
    """

    async def run() -> None:
        async with open_schedules() as opened:
            found = await opened.one(schedule)
            note = (reason or "").strip() or "Paused by an operator."
            await steering.pause(await opened.client(), opened.database, found.id, note)
        click.echo(f"{printable(found.name)} is paused.")

    asyncio.run(run())


@schedules.command()
@_NAME
def resume(schedule: str) -> None:
    """Let a paused schedule run again, from its next time on."""

    async def run() -> None:
        async with open_schedules() as opened:
            found = await opened.one(schedule)
            _require_active(found)
            await steering.resume(await opened.client(), opened.database, found.id)
        click.echo(f"{printable(found.name)} runs again.")

    asyncio.run(run())


@schedules.command()
@_NAME
def trigger(schedule: str) -> None:
    """Run a schedule now, and wait for what it finds.

    It does what was due last; what it did already is not done twice. A paused one runs too,
    unless its automation is paused.
    """

    async def run() -> None:
        async with open_schedules() as opened:
            found = await opened.one(schedule)
            _require_active(found)
            client = await opened.client()
            await _require_workers(client)
            try:
                async with asyncio.timeout(_PATIENCE.total_seconds()):
                    handle = await steering.trigger(client, found.id)
                    findings = await handle.result()
            except TimeoutError:
                raise Failure(
                    f"it still runs; `fixlify schedules show {found.id}` will tell"
                ) from None
            except WorkflowFailureError as failure:
                raise Failure(f"it failed: {_words(failure)}") from failure
        new = "nothing new" if not findings.found else f"{findings.found} new"
        click.echo(f"{printable(found.name)}: looked at {findings.looked_at}, found {new}.")
        for problem in findings.problems:
            click.echo(f"  {printable(problem)}")

    asyncio.run(run())


@schedules.command()
@_NAME
@click.option("--from", "since", metavar="WHEN", required=True, help="The first day or moment.")
@click.option("--to", "until", metavar="WHEN", required=True, help="The last day or moment.")
def backfill(schedule: str, since: str, until: str) -> None:
    """Run a schedule for each time it was due.

    In the past, one after the other.

    WHEN is a day (2026-03-14, all of it) or a moment (2026-03-14T09:00, or with its offset
    2026-03-14T09:00-04:00) on the schedule's own clock. What was done already is not done twice.
    """

    async def run() -> None:
        async with open_schedules() as opened:
            found = await opened.one(schedule)
            _require_active(found)
            begin = _instant(since, found.time_zone, "--from", last=False)
            end = _instant(until, found.time_zone, "--to", last=True)
            # A whole day may be today: what is not due yet is not run.
            end = min(end, datetime.now(UTC))
            if begin > end:
                raise click.BadParameter(
                    "must not be after --to, nor in the future", param_hint="--from"
                )
            clock = ZoneInfo(found.time_zone)
            due = steering.due_between(found, begin, end)
            if not due:
                click.echo(f"{printable(found.name)} was not due in that time.")
                return
            if len(due) > steering.MOST_BACKFILLED:
                raise click.BadParameter(
                    f"more than {steering.MOST_BACKFILLED} runs; take a shorter time",
                    param_hint="--from and --to",
                )
            client = await opened.client()
            await _require_workers(client)
            await steering.backfill(client, found.id, begin, end)
        first, last = (f"{each.astimezone(clock):%Y-%m-%d %H:%M}" for each in (due[0], due[-1]))
        times = first if len(due) == 1 else f"{first} to {last}"
        click.echo(
            f"{printable(found.name)}: {counted(len(due), 'run')} began, for {times} "
            f"({found.time_zone}). `fixlify schedules show {found.id}` tells what they find."
        )

    asyncio.run(run())


@schedules.command(name="sync")
@json_option
@click.pass_context
def sync_(context: click.Context, as_json: bool) -> None:
    """Bring Temporal's schedules to what there should be.

    A second time changes nothing.

    Workers and starters do so by themselves. Exits with 1 if a schedule is not as it should be.
    """

    async def run() -> bool:
        async with open_schedules() as opened:
            result = await sync(await opened.client(), opened.database)
        if as_json:
            print_json(sync_document(result))
        else:
            print_synced(result)
        for problem in result.problems:
            click.echo(f"{printable(str(problem))}", err=True)
        return bool(result.problems)

    if asyncio.run(run()):
        context.exit(1)


def _require_active(schedule: StoredSchedule) -> None:
    """Refuse what would find nobody: an automation that is paused is not swept for."""
    if schedule.content_hash.endswith("/paused"):
        raise Failure(
            f"the automation '{schedule.name}' is paused, and its schedule with it; "
            f"`fixlify automations enable {schedule.automation_id}` resumes both within seconds"
        )


async def _require_workers(client: Client) -> None:
    if not await steering.is_worked_on(client):
        raise Failure("no worker asks for sweeps, so nothing would run; start `fixlify worker`")


def _instant(written: str, zone: str, option: str, *, last: bool) -> datetime:
    """Return the moment, or a day's first or *last*; without an offset on the zone's clock."""
    clock = ZoneInfo(zone)
    try:
        day = date.fromisoformat(written.strip())
    except ValueError:
        pass
    else:
        edge = day + timedelta(days=1) if last else day
        begins = datetime.combine(edge, time(), tzinfo=clock).astimezone(UTC)
        return begins - timedelta(seconds=1) if last else begins
    try:
        moment = datetime.fromisoformat(written.strip())
    except ValueError:
        raise click.BadParameter(
            f"'{written}' is neither a day (2026-03-14) nor a moment (2026-03-14T09:00)",
            param_hint=option,
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=clock)).astimezone(UTC)


def _words(failure: WorkflowFailureError) -> Any:
    cause: BaseException | None = failure.cause
    while isinstance(cause, ActivityError) and cause.cause is not None:
        cause = cause.cause
    return cause.message if isinstance(cause, ApplicationError) else cause
