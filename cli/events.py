"""fixlify events: report what happened elsewhere, and see what was recorded."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from cli.event_files import STDIN, event_of_options, read_events
from cli.listing import Column, Line, print_listing
from cli.main import Refusal
from cli.organization import open_organization, organization_option
from cli.output import console, json_option, local, print_json
from cli.parameters import DurationType
from fixlify.domain.errors import EventsRefusedError
from fixlify.domain.events import EventType
from fixlify.domain.intake import CustomEvent
from fixlify.storage.database import Database, Role
from fixlify.storage.recorded_events import PastEvent, list_events
from starter.intake import Intake, Receipt

_COLUMNS: Final = (
    Column("TIME"),
    Column("EVENT", right=True),
    Column("TYPE", shrinks=True),
    Column("SUBJECT", shrinks=True),
    Column("OUTCOME"),
)


@click.group()
def events() -> None:
    """Report what happened elsewhere, and see what was recorded."""


@events.command()
@click.argument("name", required=False)
@click.option("--job", metavar="ID", help="It is about this job, such as J-2019.")
@click.option("--client", metavar="ID", help="It is about this client.")
@click.option("--invoice", metavar="ID", help="It is about this invoice.")
@click.option(
    "--subject", metavar="TYPE:ID", help="It is about this; the organization without any of these."
)
@click.option(
    "--data", "pairs", multiple=True, metavar="KEY=VALUE", help="A fact about it; may be repeated."
)
@click.option("--data-json", metavar="JSON", help="All facts about it, as one JSON object.")
@click.option("--id", "event_id", metavar="ID", help="Your own id; the same one again is nothing.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Events as the API takes them, or one per line; - for standard input.",
)
@organization_option
@json_option
def send(
    name: str | None,
    job: str | None,
    client: str | None,
    invoice: str | None,
    subject: str | None,
    pairs: tuple[str, ...],
    data_json: str | None,
    event_id: str | None,
    path: Path | None,
    organization: str | None,
    as_json: bool,
) -> None:
    """Report that NAME happened, or the events of a file, all or none.

    What automations with a trigger of type custom and this name do follows from it.
    """
    subjects = {"job": job, "client": client, "invoice": invoice, "subject": subject}
    given = {kind: value for kind, value in subjects.items() if value is not None}
    if path is not None and (name or given or pairs or data_json is not None or event_id):
        raise click.UsageError("A file says everything about its events; give nothing but --file.")
    if path is None and name is None:
        raise click.UsageError("Give the NAME of what happened, or a --file of events.")
    now = datetime.now(UTC)
    try:
        if path is not None:
            reported = read_events(path, now)
        else:
            reported = event_of_options(
                name or "", _subject(given), pairs, data_json, event_id, now
            )
        receipt = asyncio.run(_accept(reported, organization))
    except EventsRefusedError as error:
        source = "" if path is None else "standard input: " if path == STDIN else f"{path}: "
        told = [f"{source}{problem}" for problem in error.problems]
        raise Refusal("\n".join([*told, "Nothing was recorded."])) from None
    if as_json:
        print_json(receipt.model_dump())
    else:
        _print(receipt)


def _subject(given: dict[str, str]) -> dict[str, str] | None:
    if len(given) > 1:
        raise click.UsageError(f"Give one of {', '.join(f'--{kind}' for kind in given)}.")
    for kind, value in given.items():
        if kind != "subject":
            return {"type": kind, "id": value}
        kind, colon, subject_id = value.partition(":")
        if not colon:
            raise click.BadParameter(
                f"'{value}' is not TYPE:ID, such as estimate:0b0f…", param_hint="--subject"
            )
        return {"type": kind, "id": subject_id}
    return None


async def _accept(reported: dict[str, CustomEvent], organization: str | None) -> Receipt:
    async with open_organization(organization) as opened:
        # People may not write into the outbox; the engine does, for the one they chose.
        database = Database(
            opened.settings.database_url.get_secret_value(), Role.ENGINE, pool_size=1
        )
        try:
            return await Intake(database).accept(opened.organization.id, reported)
        finally:
            await database.close()


def _print(receipt: Receipt) -> None:
    if len(receipt.events) == 1:
        (event,) = receipt.events
        said = "was recorded before" if event.status == "duplicate" else "is recorded"
        console.print(Text(f"Event {event.id} {said}."))
    else:
        console.print(
            f"{receipt.accepted} events are recorded, {receipt.duplicates} were there before."
        )
    console.print("`fixlify events list` shows what became of it.", style="dim", markup=False)


@events.command(name="list")
@click.option(
    "--since", type=DurationType(), metavar="2h", help="Only those of the last 30m, 2h, 7d …"
)
@click.option(
    "--type",
    "event_type",
    type=click.Choice([each.value for each in EventType]),
    metavar="TYPE",
    help="Only these, such as custom or job_status_changed.",
)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many."
)
@organization_option
@json_option
def list_(
    since: timedelta | None,
    event_type: str | None,
    limit: int,
    organization: str | None,
    as_json: bool,
) -> None:
    """List what was recorded, newest first, and what came of it."""

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            # One more than asked for tells whether there are more.
            found = await list_events(
                connection,
                opened.organization.id,
                limit + 1,
                event_type=event_type,
                since=since,
            )
        if as_json:
            print_json([_document(event) for event in found[:limit]])
        elif found:
            print_listing(console, _COLUMNS, [_line(event) for event in found[:limit]])
            if len(found) > limit:
                console.print(f"\nThe newest {limit}; --limit {limit * 5} shows more.", style="dim")
        elif since is not None or event_type is not None:
            console.print("No event matches; try another --type, or a longer --since.")
        else:
            console.print(
                "Nothing was recorded yet; change a job's status, or `fixlify events send NAME`.",
                markup=False,
            )

    asyncio.run(run())


def _line(event: PastEvent) -> Line:
    return Line(
        (
            local(event.occurred_at),
            str(event.id),
            f"custom: {event.name}" if event.name else event.event_type,
            f"{event.subject_type} {event.subject_id or ''}",
            event.outcome or "waiting for a relay",
        )
    )


def _document(event: PastEvent) -> dict[str, Any]:
    return {
        "id": str(event.id),
        "event_type": event.event_type,
        "name": event.name,
        "subject_type": event.subject_type,
        "subject_id": event.subject_id,
        "source_id": event.source_key,
        "automation_id": event.automation_id,
        "data": event.data,
        "occurred_at": event.occurred_at,
        "processed_at": event.processed_at,
        "outcome": event.outcome,
    }
