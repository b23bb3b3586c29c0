"""fixlify automations simulate: what one run would do, step by step; nothing is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import click

from cli.organization import OpenOrganization, open_organization, organization_option
from cli.output import console, counted, json_option, print_json
from cli.rehearsing import automation_argument, find_rehearsed, zone_of
from cli.scope import engine_database
from cli.timeline_lines import Line, Mark, Words
from cli.timeline_output import print_timeline
from fixlify.domain.errors import NotFoundError
from fixlify.domain.events import Event, SubjectType
from fixlify.domain.facts import Subject
from fixlify.storage.timeline import find_clients
from starter.simulation import (
    Fate,
    Rehearsal,
    Rehearsed,
    SimulatedMessage,
    SimulatedStep,
    read_event,
    rehearse,
)

_CANDIDATES: Final = 5
_MARKS: Final = {
    Fate.SENT: Mark.DONE,
    Fate.DONE: Mark.DONE,
    Fate.WAITED: Mark.WAITING,
    Fate.BRANCHED: Mark.NOTED,
    Fate.SKIPPED: Mark.NOT_DONE,
    Fate.FAILED: Mark.FAILED,
    Fate.ENDED: Mark.NOT_DONE,
}


@click.command()
@automation_argument
@click.option(
    "--event",
    "written",
    metavar="JSON",
    help='What happens, such as {"type": "job_status_changed", "after": "completed"}.',
)
@click.option("--job", metavar="ID", help="Whom it is about: a job such as J-2019.")
@click.option("--client", metavar="ID|EMAIL|PHONE", help="Whom it is about: a client.")
@click.option("--invoice", metavar="ID", help="Whom it is about: an invoice.")
@click.option("--at", metavar="TIME", help="When, such as 2026-11-18T09:30; now unless given.")
@organization_option
@json_option
def simulate(
    automation: str,
    written: str | None,
    job: str | None,
    client: str | None,
    invoice: str | None,
    at: str | None,
    organization: str | None,
    as_json: bool,
) -> None:
    """Walk through one run with real facts, sending nothing.

    FILE|NAME is a YAML file, which is not stored, or a stored automation. Prints of every step
    when it would come, what would be sent to whom, what a wait waits for, which way a branch
    goes, and what rules would hold. Nothing is written: Postgres itself refuses it.
    """
    if sum(each is not None for each in (job, client, invoice)) > 1:
        raise click.UsageError("--job, --client and --invoice each name whom it is about; give one")
    if written is None and job is None and client is None and invoice is None:
        raise click.UsageError("say whom it is about: --job, --client, --invoice or --event")
    document = _parsed(written)

    async def run() -> None:
        async with open_organization(organization) as opened:
            zone = zone_of(opened)
            begin = _moment(at, zone)
            rehearsed = await find_rehearsed(opened, automation)
            chosen = await _subject(opened, job, client, invoice)
            event = None
            if document is not None:
                event = read_event(document, chosen, opened.organization.id, begin)
                chosen = (event.subject_type, event.subject_id)
            assert chosen is not None  # noqa: S101 - refused above, or by read_event
            subject = Subject(opened.organization.id, *chosen)
            async with (
                engine_database(opened.settings) as database,
                database.transaction() as connection,
            ):
                rehearsal = await rehearse(connection, rehearsed, subject, begin, event)
        if as_json:
            print_json(_document(rehearsed, rehearsal, event, zone))
        else:
            _print(rehearsed, rehearsal, event, zone)

    asyncio.run(run())


def _parsed(written: str | None) -> Any:
    if written is None:
        return None
    try:
        return json.loads(written)
    except ValueError as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="--event") from None


def _moment(written: str | None, zone: ZoneInfo) -> datetime:
    if written is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        raise click.BadParameter(
            f"'{written}' is no time; write 2026-11-18T09:30, by the company's clock, or add "
            "an offset such as +02:00",
            param_hint="--at",
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


async def _subject(
    opened: OpenOrganization, job: str | None, client: str | None, invoice: str | None
) -> tuple[SubjectType, str] | None:
    if job is not None:
        return SubjectType.JOB, job
    if invoice is not None:
        return SubjectType.INVOICE, invoice
    if client is None:
        return None
    async with opened.transaction() as connection:
        found = await find_clients(connection, opened.organization.id, client, _CANDIDATES)
    if len(found) == 1:
        return SubjectType.CLIENT, str(found[0].id)
    if found:
        ids = "\n".join(f"  {each.id}  {each.name}" for each in found)
        raise NotFoundError(f"several clients are '{client}'; give the id:\n{ids}")
    raise NotFoundError(
        f"{opened.organization.name} has no client '{client}'; give an id, an email or a phone "
        "number as the clients table has it"
    )


def _print(rehearsed: Rehearsed, rehearsal: Rehearsal, event: Event | None, zone: ZoneInfo) -> None:
    name = rehearsed.pinned.definition.name
    about = f"{rehearsal.subject.type} {rehearsal.subject.id}"
    lines = [_beginning(rehearsal, event), *_lines(rehearsal.steps, zone)]
    print_timeline(console, f"{name}, for {about}: what it would do", lines, zone, None)
    if rehearsal.on_timeout is not None:
        waits = next(
            place for place, step in enumerate(rehearsal.steps) if step.kind == "wait_for_event"
        )
        console.print()
        otherwise = list(_lines(rehearsal.on_timeout[waits:], zone))
        print_timeline(console, "If what it waits for does not happen", otherwise, zone, None)
    console.print("\nNothing was sent and nothing was written.", style="dim")


def _beginning(rehearsal: Rehearsal, event: Event | None) -> Line:
    if event is None:
        detail = (Mark.ASIDE, "whether its trigger and conditions match was not asked: --event")
        return Line(rehearsal.begin, Mark.HAPPENED, "it is set off", (detail,))
    text = f"{event.type} of {event.subject_type} {event.subject_id}"
    if rehearsal.not_set_off is None:
        detail = (Mark.SET_OFF, "its trigger and conditions match")
        return Line(rehearsal.begin, Mark.HAPPENED, text, (detail,))
    details = (
        (Mark.NOT_DONE, f"it would NOT be set off: {rehearsal.not_set_off}"),
        (Mark.ASIDE, "what follows is what it would do if it were"),
    )
    return Line(rehearsal.begin, Mark.HAPPENED, text, details)


def _lines(steps: Sequence[SimulatedStep], zone: ZoneInfo) -> Iterator[Line]:
    words = Words(zone)
    for step in steps:
        sent = step.until if step.fate is Fate.SENT and step.until else step.at
        yield Line(
            sent,
            _MARKS[step.fate],
            words(f"{step.step_id}: {_said(step, words)}"),
            tuple((mark, words(text)) for mark, text in _details(step, words)),
        )


def _said(step: SimulatedStep, words: Words) -> str:
    what = _sent(step.message) if step.message else step.kind.replace("_", " ")
    match step.fate:
        case Fate.SENT:
            return f"would send {what}"
        case Fate.DONE:
            return f"would {step.told}"
        case Fate.WAITED:
            if step.kind == "wait_for_event":
                return f"waits {step.told}"
            until = f", until {words.moment(step.until)}" if step.until else ""
            return f"waits {step.told or ''}{until}".replace("waits ,", "waits")
        case Fate.BRANCHED:
            return f"goes {step.told}"
        case Fate.ENDED:
            return f"the run ends: {step.reason}"
        case Fate.FAILED:
            return f"{what} would fail: {step.reason}"
        case Fate.SKIPPED:
            return f"{what} would be skipped: {step.reason}"


def _sent(message: SimulatedMessage) -> str:
    to = f" {message.recipient}" if message.recipient else ""
    segments = f", {counted(message.segments, 'segment')}" if message.segments else ""
    html = ", with HTML" if message.html else ""
    kind = "" if message.message_class == "transactional" else f", {message.message_class}"
    return f"{message.channel} to the {message.recipient_kind}{to}{kind}{segments}{html}"


def _details(step: SimulatedStep, words: Words) -> Iterator[tuple[Mark, str]]:
    if step.fate is Fate.WAITED and step.reason:
        yield Mark.NOT_DONE, step.reason
    for held in step.held:
        since, until = words.moment(held.since), words.moment(held.until)
        yield Mark.HELD, f"held from {since} until {until}: {held.reason}"
    if step.message is not None and step.fate is Fate.SENT:
        if step.message.subject:
            yield Mark.NOTED, step.message.subject
        if step.message.text:
            yield Mark.ASIDE, step.message.text.strip()


def _document(
    rehearsed: Rehearsed, rehearsal: Rehearsal, event: Event | None, zone: ZoneInfo
) -> dict[str, Any]:
    def steps(found: Sequence[SimulatedStep]) -> list[dict[str, Any]]:
        return [step.model_dump(mode="json") for step in found]

    return {
        "automation": rehearsed.pinned.definition.name,
        "stored": rehearsed.stored,
        "subject": {"type": rehearsal.subject.type, "id": rehearsal.subject.id},
        "time_zone": zone.key,
        "begin": rehearsal.begin,
        "would_run": None if event is None else rehearsal.not_set_off is None,
        "not_set_off": rehearsal.not_set_off,
        "steps": steps(rehearsal.steps),
        "on_timeout": None if rehearsal.on_timeout is None else steps(rehearsal.on_timeout),
    }
