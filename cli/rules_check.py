"""fixlify rules check: whether a message may go, or until when the rules hold it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.clients import find_client
from cli.organization import open_organization, organization_option
from cli.output import json_option, print_json
from cli.rules_output import there
from fixlify.domain.automation import StoredAutomation
from fixlify.domain.facts import Organization
from fixlify.domain.rules import (
    Channel,
    Hold,
    MessageClass,
    Sent,
    effective_rules,
    hold_for_rules,
)
from fixlify.domain.timetable.zones import first_zone, zone_problem
from fixlify.storage.automations import automation_names, find_automation
from fixlify.storage.rules import find_zone, list_sent, load_rules
from starter.definitions import no_such_automation


@click.command()
@click.option("--at", metavar="TIME", help="When; now unless given. On the client's clock.")
@click.option("--zone", metavar="ZONE", help="The client's time zone, such as Europe/Berlin.")
@click.option(
    "--client", metavar="ID|EMAIL|PHONE", help="Whose zone, and whose messages caps count."
)
@click.option("--channel", type=click.Choice(["email", "sms"]), default="sms", show_default=True)
@click.option(
    "--class",
    "message_class",
    type=click.Choice([each.value for each in MessageClass]),
    help="Of the message; the automation's, or transactional, unless given.",
)
@click.option("--automation", metavar="NAME|ID", help="With what it says for itself.")
@organization_option
@json_option
def check(
    at: str | None,
    zone: str | None,
    client: str | None,
    channel: Channel,
    message_class: str | None,
    automation: str | None,
    organization: str | None,
    as_json: bool,
) -> None:
    """Tell whether a message may go, or until when it is held and why.

    Says nothing of consent, and sends nothing. Caps are only asked with --client: they count
    what that client got.
    """
    if zone is not None and (problem := zone_problem(zone)) is not None:
        raise click.BadParameter(problem, param_hint="--zone")
    wanted = MessageClass(message_class) if message_class else None
    asked = _Asked(at, zone, client, channel, wanted)

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = automation and await find_automation(connection, automation)
            if automation and not found:
                raise no_such_automation(automation, await automation_names(connection))
            answer = await _ask(connection, opened.organization, asked, found or None)
        if as_json:
            print_json(
                {
                    "at": answer.at,
                    "time_zone": answer.zone.key,
                    "channel": channel,
                    "message_class": answer.message_class,
                    "automation": found.definition.name if found else None,
                    "may_go": answer.hold is None,
                    "held_until": answer.hold and answer.hold.until,
                    "reason": answer.hold and answer.hold.reason,
                }
            )
        elif answer.hold is None:
            click.echo(f"{answer.subject} may go at {there(answer.at, answer.zone)}.")
        else:
            click.echo(
                f"{answer.subject} of {there(answer.at, answer.zone)} is held until "
                f"{there(answer.hold.until, answer.zone)}: {answer.hold.reason}"
            )

    asyncio.run(run())


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the options say."""

    at: str | None
    zone: str | None
    client: str | None
    channel: Channel
    message_class: MessageClass | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """Whether such a message may go at that moment."""

    at: datetime
    zone: ZoneInfo
    channel: Channel
    message_class: MessageClass
    hold: Hold | None

    @property
    def subject(self) -> str:
        """What is asked about, in words."""
        channel = "email" if self.channel == "email" else "text message"
        article = "An" if self.message_class is MessageClass.URGENT else "A"
        return f"{article} {self.message_class} {channel}"


async def _ask(
    connection: AsyncConnection,
    organization: Organization,
    asked: _Asked,
    automation: StoredAutomation | None,
) -> _Answer:
    own = effective_rules(
        await load_rules(connection, organization.id),
        automation.definition.rules if automation else None,
    )
    message_class = asked.message_class or (
        automation.definition.message_class if automation else MessageClass.TRANSACTIONAL
    )
    zone_name = asked.zone
    client = asked.client and await find_client(connection, organization, asked.client)
    if client:
        zone_name = zone_name or await find_zone(connection, organization.id, client.id)
    zone = first_zone(zone_name, organization.time_zone)
    at = _moment(asked.at, zone)
    sent: list[Sent] = []
    if client and own.caps:
        since = at - max(cap.per for cap in own.caps)
        sent = await list_sent(connection, organization.id, client.id, since)
    hold = hold_for_rules(own, asked.channel, message_class, sent, at, zone)
    return _Answer(at, zone, asked.channel, message_class, hold)


def _moment(written: str | None, zone: ZoneInfo) -> datetime:
    if written is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(written.strip())
    except ValueError:
        raise click.BadParameter(
            f"'{written}' is no moment; write it such as 2026-11-26T21:30", param_hint="--at"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
