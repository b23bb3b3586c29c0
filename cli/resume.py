"""fixlify resume: lift the emergency stop, and decide about what it held."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import click
from rich.text import Text

from cli.output import console, counted, json_option, local, print_json, printable
from cli.parameters import DurationType
from cli.scope import Scope, open_scope, refuse_both, scope_options, stop_document
from cli.telling import tell_runs
from fixlify.domain.durations import format_duration
from fixlify.domain.limits import LimitedChannel
from fixlify.storage.channels import channel_settings
from fixlify.storage.stops import Resumption, resume_automations, wake_held_runs
from workflows.holding import HELD_CHECK_LATER


@click.command()
@scope_options
@click.option(
    "--cancel-older-than",
    type=DurationType(),
    metavar="2h",
    help="Cancel what was held and is older than 30m, 2h, 3d …",
)
@click.option("--send-everything", is_flag=True, help="Send what is older than 24h, too.")
@json_option
def resume(
    organization: str | None,
    everybody: bool,
    cancel_older_than: timedelta | None,
    send_everything: bool,
    as_json: bool,
) -> None:
    """Lift a stop, and let go on what it held.

    Work older than 24 hours is never sent quietly: where there is some, say with
    --cancel-older-than or --send-everything what is to become of it.
    """
    refuse_both(organization, everybody)
    if cancel_older_than is not None and send_everything:
        raise click.UsageError("--cancel-older-than leaves out what --send-everything would send")

    async def run() -> None:
        async with open_scope(organization, everybody) as scope:
            # Cancelling is the engine's act: people may not write executions or messages.
            async with scope.engine.transaction() as connection:
                resumption = await resume_automations(
                    connection,
                    scope.organization_id,
                    cancel_older_than=cancel_older_than,
                    send_everything=send_everything,
                )
            # After the commit: until then messages may still have come to be held.
            async with scope.engine.transaction() as connection:
                late = await wake_held_runs(connection, scope.organization_id)
                channels = (await channel_settings(connection)).values()
            runs = tuple(dict.fromkeys((*resumption.runs, *late)))
            resumption = replace(resumption, runs=runs)
            woken, problem = await tell_runs(scope.settings, resumption.runs, "fixlify-resume")
        if as_json:
            _print_document(scope, resumption, woken)
        else:
            _print(scope, resumption, woken, problem)
            _print_paused(each.channel for each in channels if each.paused_at is not None)

    asyncio.run(run())


def _print_document(scope: Scope, resumption: Resumption, woken: int) -> None:
    lifted = resumption.lifted
    print_json(
        {
            "organization": scope.document,
            "resumed": lifted is not None,
            "lifted": stop_document(lifted) if lifted else None,
            "executions": resumption.executions,
            "messages": resumption.messages,
            "cancelled": {
                "executions": resumption.cancelled_executions,
                "messages": resumption.cancelled_messages,
            },
            "runs": len(resumption.runs),
            "woken": woken,
            "still_stopped": [stop_document(stop) for stop in resumption.standing],
        }
    )


def _print(scope: Scope, resumption: Resumption, woken: int, problem: str | None) -> None:
    name = Text(printable(scope.name[0].upper() + scope.name[1:]), style="bold")
    keeps_everything = _keeps_everything(scope, resumption)
    lifted = resumption.lifted
    if lifted and keeps_everything:
        name.append(f": its own stop of {local(lifted.stopped_at)} is lifted.", "not bold")
    elif lifted:
        name.append(f" goes on, stopped since {local(lifted.stopped_at)}.", "not bold")
    else:
        name.append(" was not stopped.", "not bold")
    console.print(name, soft_wrap=True)
    _print_what_stays(scope, resumption)
    if resumption.cancelled_executions or resumption.cancelled_messages:
        console.print(
            f"Cancelled: {counted(resumption.cancelled_executions, 'execution')}, "
            f"{counted(resumption.cancelled_messages, 'message')}."
        )
    if not keeps_everything and (lifted or resumption.executions or resumption.messages):
        console.print(
            f"Going on: {counted(resumption.executions, 'execution')} to launch, "
            f"{counted(resumption.messages, 'message')} to send."
        )
    if asleep := len(resumption.runs) - woken:
        console.print(
            f"{problem or 'Some runs did not hear it'}: {counted(asleep, 'held run')} "
            f"{'looks' if asleep == 1 else 'look'} again within "
            f"{format_duration(HELD_CHECK_LATER)}.",
            style="yellow",
            soft_wrap=True,
        )


def _print_paused(channels: Iterable[LimitedChannel]) -> None:
    """Print which channels hold their own all the same."""
    for channel in channels:
        console.print(
            f"The {channel} channel stays paused; `fixlify channels resume {channel}` lifts that.",
            style="yellow",
            soft_wrap=True,
        )


def _print_what_stays(scope: Scope, resumption: Resumption) -> None:
    if _keeps_everything(scope, resumption):
        (stop,) = resumption.standing
        console.print(
            f"Every organization is stopped since {local(stop.stopped_at)}, so nothing goes on; "
            "`fixlify resume --all` lifts that.",
            style="yellow",
            soft_wrap=True,
        )
    elif resumption.standing:
        console.print(
            f"{counted(len(resumption.standing), 'organization')} stopped on "
            "their own stay so; `fixlify resume --organization ID` lifts that:",
            style="yellow",
            soft_wrap=True,
        )
        for stop in resumption.standing:
            reason = f"  {printable(stop.reason)}" if stop.reason else ""
            console.print(f"  {stop.organization_id}{reason}", markup=False, soft_wrap=True)


def _keeps_everything(scope: Scope, resumption: Resumption) -> bool:
    """Whether the stop of all stands in the way of one organization's resume."""
    return scope.organization_id is not None and bool(resumption.standing)
