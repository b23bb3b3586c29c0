"""fixlify executions cancel: end runs, and what waits to become one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import click
from rich.progress import Progress
from temporalio.service import RPCError

from cli.execution_names import (
    ExecutionIdType,
    automation_option,
    find_automation_named,
    find_named,
    refuse_ids_and_filters,
    subject_option,
)
from cli.organization import organization_option
from cli.output import console, counted, errors, json_option, print_json
from cli.scope import Scope, open_scope
from fixlify import temporal
from fixlify.domain.runs import ExecutionStatus
from fixlify.settings import Settings
from fixlify.storage.cancellation import Standing, find_open, look_at
from starter.cancel import cancel_runs, cancel_waiting

_CONNECT_TIMEOUT: Final = timedelta(seconds=10)
_LISTED: Final = 10


@dataclass(slots=True)
class _Result:
    """What becomes of each execution; ``problem`` is why Temporal could not be asked."""

    cancelled: list[UUID] = field(default_factory=list)
    asked: list[UUID] = field(default_factory=list)
    over: list[Standing] = field(default_factory=list)
    unreached: list[UUID] = field(default_factory=list)
    problem: str | None = None


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=ExecutionIdType())
@automation_option
@subject_option
@click.option("--dry-run", is_flag=True, help="Only count; change nothing.")
@organization_option
@json_option
def cancel(
    ids: tuple[str, ...],
    automation: str | None,
    subject: str | None,
    dry_run: bool,
    organization: str | None,
    as_json: bool,
) -> None:
    """End runs under way, and executions not begun.

    What was sent stands; nothing more is. `fixlify executions redrive` begins them anew.
    """
    refuse_ids_and_filters(ids, (automation, subject), "--automation or --job")

    async def run() -> bool:
        async with open_scope(organization, everybody=False) as scope:
            assert scope.opened is not None, "one organization was asked for"  # noqa: S101
            async with scope.transaction() as connection:
                chosen = (
                    await find_named(connection, scope.opened, ids)
                    if ids
                    else await find_open(
                        connection,
                        scope.opened.organization.id,
                        await find_automation_named(connection, automation),
                        subject,
                    )
                )
                standing = await look_at(connection, scope.opened.organization.id, chosen)
            if dry_run:
                _tell_plan(standing, as_json)
                return True
            result = await _cancel(scope, scope.opened.organization.id, standing)
        if as_json:
            print_json(_document(result))
        else:
            _print(result)
        return not result.unreached

    if not asyncio.run(run()):
        raise click.exceptions.Exit(1)


async def _cancel(scope: Scope, organization_id: UUID, standing: Sequence[Standing]) -> _Result:
    result = _Result()
    # Ending them is the engine's act: people may not write executions or messages.
    result.cancelled, rest = await cancel_waiting(
        scope.engine, organization_id, [each.id for each in standing]
    )
    runs = [each for each in rest if each.is_open]
    result.over = [each for each in rest if not each.is_open]
    if not runs:
        return result
    address = scope.settings.temporal_address
    try:
        client = await _connect(scope.settings)
        with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
            task = progress.add_task("Ending runs", total=len(runs))
            ended = await cancel_runs(
                client,
                scope.engine,
                organization_id,
                runs,
                on_each=lambda: progress.advance(task),
            )
    except (TimeoutError, *temporal.CONNECTION_ERRORS) as error:
        reason = "does not know the namespace" if isinstance(error, RPCError) else "does not answer"
        result.problem = f"Temporal {reason} at {address}"
        result.unreached = [run.id for run in runs]
        return result
    result.cancelled += [each.id for each in ended.cancelled]
    result.asked = [each.id for each in ended.asked]
    result.over += ended.over
    result.unreached = [each.id for each in ended.unreached]
    return result


async def _connect(settings: Settings) -> Any:
    async with asyncio.timeout(_CONNECT_TIMEOUT.total_seconds()):
        return await temporal.connect(
            settings.temporal_address, settings.temporal_namespace, identity="fixlify-cancel"
        )


def _tell_plan(standing: Sequence[Standing], as_json: bool) -> None:
    pending = [each for each in standing if each.status is ExecutionStatus.PENDING]
    runs = [each for each in standing if each.is_open and each not in pending]
    over = [each for each in standing if not each.is_open]
    if as_json:
        print_json(
            {
                "dry_run": True,
                "pending": [each.id for each in pending],
                "running": [each.id for each in runs],
                "over": [{"id": each.id, "status": each.status} for each in over],
            }
        )
    elif not standing:
        _print_nothing()
    else:
        console.print("Would end:")
        console.print(f"  {len(pending):>7}  executions that have not begun")
        console.print(f"  {len(runs):>7}  runs under way")
        _print_over(over)


def _document(result: _Result) -> dict[str, Any]:
    return {
        "dry_run": False,
        "cancelled": result.cancelled,
        "asked": result.asked,
        "over": [{"id": each.id, "status": each.status} for each in result.over],
        "unreached": result.unreached,
        "problem": result.problem,
    }


def _print(result: _Result) -> None:
    if result.cancelled:
        console.print(f"Cancelled: {counted(len(result.cancelled), 'execution')}.")
    if result.asked:
        console.print(
            f"{counted(len(result.asked), 'run')} told to end, and not over yet: a worker ends "
            "them as soon as it comes to it; `fixlify doctor` says whether one runs.",
            style="yellow",
            soft_wrap=True,
        )
    if result.unreached:
        count = counted(len(result.unreached), "run")
        console.print(
            f"{result.problem or 'Temporal did not take it'}, so {count} could not be told to "
            "end; start it, or correct TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, and run this "
            "again. `fixlify stop` holds their messages meanwhile.",
            style="red",
            soft_wrap=True,
        )
    _print_over(result.over)
    if not (result.cancelled or result.asked or result.unreached or result.over):
        _print_nothing()


def _print_over(over: Sequence[Standing]) -> None:
    if over:
        console.print(f"Over already: {counted(len(over), 'execution')}.")
    for each in over[:_LISTED]:
        console.print(f"  {each.id}  {each.status}", markup=False)
    if len(over) > _LISTED:
        console.print(f"  … and {len(over) - _LISTED} more; --json names them all")


def _print_nothing() -> None:
    console.print("Nothing is pending or under way there; `fixlify executions list` shows what is.")
