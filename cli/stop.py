"""fixlify stop: the emergency stop, and what it holds."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final

import click
from rich.text import Text

from cli.output import console, counted, json_option, local, print_json, printable
from cli.scope import Scope, open_scope, refuse_both, scope_options, stop_document
from fixlify.storage.stops import (
    OpenWork,
    Stop,
    count_open_work,
    standing_stops,
    stop_automations,
)

_LONGEST_REASON: Final = 200


@click.command()
@scope_options
@click.option("--reason", metavar="TEXT", help="Why; shown wherever something is held.")
@click.option("--yes", is_flag=True, help="Do not ask before --all.")
@json_option
def stop(
    organization: str | None, everybody: bool, reason: str | None, yes: bool, as_json: bool
) -> None:
    """Stop automations at once, and hold what is under way without losing it.

    From now on no message is handed to a provider and no run begins. What happens meanwhile
    is recorded. `fixlify resume` lets everything go on.
    """
    refuse_both(organization, everybody)
    reason = (reason or "").strip() or None
    if reason is not None and len(reason) > _LONGEST_REASON:
        raise click.BadParameter(f"at most {_LONGEST_REASON} characters", param_hint="--reason")
    if everybody and not yes and sys.stdin.isatty():
        click.confirm("Stop the automations of every organization?", abort=True, err=True)

    async def run() -> None:
        async with open_scope(organization, everybody) as scope:
            async with scope.transaction() as connection:
                written = await stop_automations(connection, scope.organization_id, reason)
            # After the commit: until then messages may still have been taken.
            async with scope.transaction() as connection:
                stops = await standing_stops(connection, scope.organization_id)
                work = await count_open_work(connection, scope.organization_id)
        own = next(each for each in stops if each.organization_id == scope.organization_id)
        if as_json:
            print_json(
                {
                    "organization": scope.document,
                    "new": written is not None,
                    **stop_document(own),
                    "work": asdict(work),
                    "stops": [stop_document(each) for each in stops],
                }
            )
        else:
            _print(scope, own, written is not None, stops, work)

    asyncio.run(run())


def _print(scope: Scope, own: Stop, new: bool, stops: Sequence[Stop], work: OpenWork) -> None:
    since = "" if new else f" already, since {local(own.stopped_at)}"
    line = Text.assemble(
        (printable(scope.name[0].upper() + scope.name[1:]), "bold"), " is ", ("stopped", "bold red")
    )
    line.append(since + (f": {printable(own.reason)}" if own.reason else "."))
    console.print(line, soft_wrap=True)
    others = [each for each in stops if each is not own]
    if others and own.organization_id is not None:
        console.print(f"Every organization is stopped too, since {local(others[0].stopped_at)}.")
    console.print("No message goes out and no run begins until `fixlify resume`. Held:")
    for amount, what in _held(work):
        console.print(f"  {amount:>7}  {what}", soft_wrap=True)
    if work.sending:
        console.print(
            f"{counted(work.sending, 'message')} in a provider's hands: nobody can call "
            f"{'it' if work.sending == 1 else 'them'} back.",
            style="yellow",
        )


def _held(work: OpenWork) -> Iterator[tuple[int, str]]:
    """Yield what is held and how much of it; the last line of the account stands alone."""
    yield work.events, "events not matched yet; they are, and then wait as executions"
    yield work.pending, "executions pending; they are not launched"
    yield work.open, "runs under way; they hold at their next message"
    yield work.queued + work.held, "messages written and not sent"
