"""fixlify executions redrive: set runs going again that ended badly, sending nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import click
from rich.progress import Progress
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.execution_names import (
    ExecutionIdType,
    automation_option,
    find_automation_named,
    find_named,
    refuse_ids_and_filters,
    subject_option,
)
from cli.organization import OpenOrganization, organization_option
from cli.output import console, counted, errors, json_option, print_json, printable
from cli.parameters import DurationType
from cli.scope import Scope, open_scope
from fixlify.domain.runs import ExecutionStatus
from fixlify.storage.history import HistoryFilter, list_executions
from fixlify.storage.redrive import RedriveCandidate, find_candidates
from fixlify.storage.stops import Stop, standing_stops
from starter.redrive import BATCH, redrive_executions

MOST: Final = 10_000
"""How many one command looks at; the rest is the next one's."""

_LISTED: Final = 10
_BEATEN: Final = "it was set going again meanwhile"
_LONGEST_REASON: Final = 200
_STATUSES: Final = (ExecutionStatus.FAILED, ExecutionStatus.CANCELLED, ExecutionStatus.SKIPPED)


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=ExecutionIdType())
@automation_option
@subject_option
@click.option(
    "--since", type=DurationType(), metavar="7d", help="Only those of the last 30m, 2h, 7d …"
)
@click.option(
    "--status",
    type=click.Choice([each.value for each in _STATUSES]),
    help="Which of the filtered ones; those that failed unless given.",
)
@click.option("--reason", metavar="TEXT", help="Why; kept with their story.")
@click.option("--dry-run", is_flag=True, help="Only count; change nothing.")
@organization_option
@json_option
def redrive(
    ids: tuple[str, ...],
    automation: str | None,
    subject: str | None,
    since: timedelta | None,
    status: str | None,
    reason: str | None,
    dry_run: bool,
    organization: str | None,
    as_json: bool,
) -> None:
    """Set runs going again that failed, were cancelled, or did nothing.

    What a run completed is not done again, and no message that was sent, or may have been, is
    ever sent again. The others are written anew, by the facts and the consent of then.
    """
    refuse_ids_and_filters(ids, (automation, subject, since), "--automation, --job or --since")
    if ids and status:
        raise click.UsageError("--status goes with --automation, --job or --since")
    reason = (reason or "").strip() or None
    if reason is not None and len(reason) > _LONGEST_REASON:
        raise click.BadParameter(f"at most {_LONGEST_REASON} characters", param_hint="--reason")

    async def run() -> bool:
        async with open_scope(organization, everybody=False) as scope:
            assert scope.opened is not None, "one organization was asked for"  # noqa: S101
            async with scope.transaction() as connection:
                chosen = (
                    await find_named(connection, scope.opened, ids)
                    if ids
                    else await _filtered(
                        connection,
                        ExecutionStatus(status or ExecutionStatus.FAILED),
                        automation,
                        subject,
                        since,
                    )
                )
                more = len(chosen) > MOST
                candidates = await find_candidates(
                    connection, scope.opened.organization.id, chosen[:MOST]
                )
                stops = await standing_stops(connection, scope.opened.organization.id)
            plan = _Plan(candidates, stops, more=more)
            if not dry_run:
                plan.redriven = await _redrive(scope, scope.opened, plan, reason)
        if as_json:
            print_json(plan.document(dry_run=dry_run))
        else:
            plan.print(dry_run=dry_run)
        return not (ids and plan.refused)

    if not asyncio.run(run()):
        raise click.exceptions.Exit(1)


async def _filtered(
    connection: AsyncConnection,
    status: ExecutionStatus,
    automation: str | None,
    subject: str | None,
    since: timedelta | None,
) -> list[UUID]:
    wanted = HistoryFilter(
        status=status,
        automation_id=await find_automation_named(connection, automation),
        subject_id=subject,
        since=since,
    )
    return [each.id for each in await list_executions(connection, wanted, MOST + 1)]


async def _redrive(
    scope: Scope, opened: OpenOrganization, plan: _Plan, reason: str | None
) -> set[UUID]:
    ids = [each.id for each in plan.chosen]
    with Progress(
        console=errors, transient=True, disable=not errors.is_terminal or len(ids) <= BATCH
    ) as progress:
        task = progress.add_task("Setting runs going again", total=len(ids))
        redriven = await redrive_executions(
            # People may not write executions; the engine may.
            scope.engine,
            opened.organization.id,
            ids,
            reason,
            lambda done: progress.advance(task, done),
        )
    return set(redriven)


class _Plan:
    """What is set going again, what is left alone and why, and what becomes of the messages."""

    def __init__(
        self, candidates: Sequence[RedriveCandidate], stops: Sequence[Stop], *, more: bool
    ) -> None:
        self.chosen = [each for each in candidates if each.refusal is None]
        self.redriven: set[UUID] | None = None
        self._refused = [each for each in candidates if each.refusal is not None]
        self._stops = stops
        self._more = more

    @property
    def going(self) -> list[RedriveCandidate]:
        """Those that are set going, or in a dry run would be."""
        if self.redriven is None:
            return self.chosen
        return [each for each in self.chosen if each.id in self.redriven]

    @property
    def refused(self) -> list[tuple[RedriveCandidate, str]]:
        """Those that are left alone, each with the reason."""
        beaten = [] if self.redriven is None else set(self.chosen) - set(self.going)
        return [(each, each.refusal or "") for each in self._refused] + [
            (each, _BEATEN) for each in sorted(beaten, key=lambda each: each.id)
        ]

    def document(self, *, dry_run: bool) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "dry_run": dry_run,
            "executions": [each.id for each in self.going],
            "messages": self._messages(),
            "refused": [
                {"id": each.id, "status": each.status, "reason": why} for each, why in self.refused
            ],
            "more": self._more,
        }

    def print(self, *, dry_run: bool) -> None:
        """Print it for people."""
        going = self.going
        if not going and not self.refused:
            console.print("No execution matches; try fewer filters, or a longer --since.")
            return
        if going:
            verb = "Would set going again" if dry_run else "Set going again"
            console.print(f"{verb}: {counted(len(going), 'execution')}.")
            messages = self._messages()
            for amount, what in (
                (messages["sent"], "were sent, and are not sent again"),
                (messages["again"], "are written anew, if they may still go out"),
                (messages["unknown"], "may have gone out; nobody knows, so they never do again"),
            ):
                if amount:
                    console.print(f"  {amount:>7}  messages that {what}", soft_wrap=True)
            if self._stops:
                console.print(
                    "Automations are stopped; the runs begin after `fixlify resume`.",
                    style="yellow",
                )
        self._print_refused()
        if self._more:
            console.print(f"There are more than {MOST:,}; run it again for the rest.")

    def _print_refused(self) -> None:
        refused = self.refused
        if refused:
            console.print(f"Left alone: {counted(len(refused), 'execution')}.", style="yellow")
        for each, why in refused[:_LISTED]:
            console.print(f"  {each.id}  {printable(why)}", markup=False, soft_wrap=True)
        if len(refused) > _LISTED:
            console.print(f"  … and {len(refused) - _LISTED} more; --json names them all")

    def _messages(self) -> dict[str, int]:
        return {
            "sent": sum(each.sent for each in self.going),
            "again": sum(each.again for each in self.going),
            "unknown": sum(each.unknown for each in self.going),
        }
