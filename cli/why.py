"""fixlify why: one timeline of what happened, what came of it, and what did not and why."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.organization import OpenOrganization, open_organization, organization_option
from cli.output import console, json_option, print_json, printable
from cli.parameters import DurationType
from cli.timeline_lines import SHORT_ID, tell
from cli.timeline_output import print_timeline, timeline_document
from fixlify.domain.durations import format_duration
from fixlify.domain.errors import NotFoundError
from fixlify.domain.timetable.zones import zone_problem
from fixlify.storage.automations import list_automations
from fixlify.storage.history import find_executions, id_range
from fixlify.storage.timeline import (
    KnownClient,
    Timeline,
    find_clients,
    job_is_there,
    listening_since,
    read_run,
    read_timeline,
    records_of_client,
    records_of_job,
)
from starter.explaining import NotSetOff, Since, why_not_set_off

_MONTH: Final = timedelta(days=30)
# Several that fit are answered with whom it may mean, up to this many.
_CANDIDATES: Final = 5


@click.command()
@click.option("--client", metavar="ID|EMAIL|PHONE", help="A client, with all their records.")
@click.option("--job", metavar="ID", help="A job such as J-2019, with what belongs to it.")
@click.option("--execution", metavar="ID", help="One run: its id, or six digits of it or more.")
@click.option(
    "--since", type=DurationType(), metavar="30d", default="30d", show_default=True, help="How far."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 5_000),
    default=200,
    show_default=True,
    help="How many events and runs; the newest are kept.",
)
@organization_option
@json_option
def why(
    client: str | None,
    job: str | None,
    execution: str | None,
    since: timedelta,
    limit: int,
    organization: str | None,
    as_json: bool,
) -> None:
    """Tell why a client was written to, or was not.

    One timeline, oldest first: what happened, which automations it set off and which not,
    what their runs waited for and decided, what went out, and what was held or skipped.
    """
    if sum(each is not None for each in (client, job, execution)) != 1:
        raise click.UsageError("say about whom: --client, --job or --execution, one of them")
    if execution is not None:
        _check_id(execution)

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            asking = _Asking(opened, connection, since, limit)
            if client is not None:
                answer = await asking.about_client(client)
            elif job is not None:
                answer = await asking.about_job(job)
            else:
                answer = await asking.about_run(str(execution))
            unmatched = await asking.unmatched(answer.timeline)
        zone = _zone(opened.organization.time_zone)
        lines = tell(answer.timeline, unmatched, zone, answer.client)
        if as_json:
            print_json(timeline_document(answer.about, answer.timeline, lines, unmatched, zone))
        elif lines:
            print_timeline(console, answer.heading, lines, zone, _note(answer.timeline, limit))
        else:
            _print_nothing(answer, since)

    asyncio.run(run())


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was asked about, and what is known of it."""

    about: Mapping[str, Any]
    heading: str
    timeline: Timeline
    client: KnownClient | None = None


class _Asking:
    """Asks in one transaction of one organization."""

    def __init__(
        self, opened: OpenOrganization, connection: AsyncConnection, since: timedelta, limit: int
    ) -> None:
        self._organization = opened.organization
        self._connection = connection
        self._since = since
        self._limit = limit

    async def about_client(self, wanted: str) -> _Answer:
        """Tell of the one client with this id, email or phone."""
        client = await self._one_client(wanted)
        subjects = await records_of_client(self._connection, self._organization.id, client.id)
        timeline = await read_timeline(
            self._connection,
            self._organization.id,
            subjects,
            since=self._since,
            limit=self._limit,
            client=client,
        )
        about = {"type": "client", "id": client.id, "name": client.name}
        return _Answer(about, f"{client.name}, client", timeline, client)

    async def about_job(self, job: str) -> _Answer:
        """Tell of a job and what belongs to it; a removed one still has its history."""
        organization_id = self._organization.id
        subjects = await records_of_job(self._connection, organization_id, job)
        timeline = await read_timeline(
            self._connection, organization_id, subjects, since=self._since, limit=self._limit
        )
        known = await job_is_there(self._connection, organization_id, job)
        if not known and not timeline.events and not timeline.runs:
            raise NotFoundError(
                f"{self._organization.name} has no job '{job}', and nothing was recorded of one; "
                "ids are written as the jobs table has them, capitals included"
            )
        gone = "" if known else ", which is not there any more"
        return _Answer({"type": "job", "id": job}, f"job {job}{gone}", timeline)

    async def about_run(self, id_or_prefix: str) -> _Answer:
        """Tell of one run, by its id or the beginning of it."""
        found = await find_executions(self._connection, id_or_prefix, _CANDIDATES)
        if not found:
            raise NotFoundError(
                f"no execution of {self._organization.name} begins with '{id_or_prefix}'; "
                "`fixlify executions list` shows those there are"
            )
        if len(found) > 1:
            listed = "\n".join(f"  {each.id}  {each.automation}" for each in found)
            raise NotFoundError(
                f"several executions begin with '{id_or_prefix}'; give more of the id:\n{listed}"
            )
        one = found[0]
        timeline = await read_run(self._connection, self._organization.id, one.id, self._limit)
        heading = f"{one.automation}, version {one.version}, for {one.subject_type} "
        heading += f"{one.subject_id}: run {str(one.id)[:SHORT_ID]}"
        return _Answer({"type": "execution", "id": one.id}, heading, timeline)

    async def unmatched(self, timeline: Timeline) -> Mapping[int, Sequence[NotSetOff]]:
        """Say of each event that set nothing off why; by the automations as they are now."""
        answered = {run.event_id for run in timeline.runs}
        silent = [event for event in timeline.events if event.id not in answered]
        if not silent:
            return {}
        stored = (await list_automations(self._connection)).automations
        rows = await listening_since(self._connection, self._organization.id)
        since = {each: Since(active, written) for each, (active, written) in rows.items()}
        return {
            event.id: why_not_set_off(event, self._organization.id, stored, since)
            for event in silent
        }

    async def _one_client(self, wanted: str) -> KnownClient:
        found = await find_clients(self._connection, self._organization.id, wanted, _CANDIDATES)
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFoundError(
                f"{self._organization.name} has no client '{printable(wanted)}'; give an id, an "
                "email, or a phone number with its area code, as the clients table has it"
            )
        listed = "\n".join(f"  {each.id}  {printable(each.name)}" for each in found)
        raise NotFoundError(f"several clients are '{printable(wanted)}'; give the id:\n{listed}")


def _check_id(execution: str) -> None:
    try:
        id_range(execution)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--execution") from None


def _zone(name: str) -> ZoneInfo:
    return ZoneInfo("UTC" if zone_problem(name) else name)


def _note(timeline: Timeline, limit: int) -> str | None:
    if not timeline.more:
        return None
    return f"There is more: these are the newest; --limit {limit * 5} shows more of it."


def _print_nothing(answer: _Answer, since: timedelta) -> None:
    console.print(f"Nothing was recorded of {printable(answer.heading)}", end=" ", markup=False)
    console.print(f"in the last {format_duration(since)}.")
    console.print(
        "Try a longer --since. If something did change, `fixlify doctor` says whether the "
        "triggers record it.",
        markup=False,
    )
