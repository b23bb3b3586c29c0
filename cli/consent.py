"""fixlify consent: what a client does not want to get, and how we know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar
from uuid import UUID

import click
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.addresses import CHANNELS, as_channel, region_of
from cli.clients import find_client
from cli.consent_history import (
    MOST_RECORDS,
    SOURCE,
    keep_evidence,
    print_history,
    record_document,
    what_of,
)
from cli.listing import Column, Line, print_listing
from cli.organization import open_organization, organization_option
from cli.output import console, json_option, local, print_json, printable
from fixlify.channels.addresses import email_address, phone_number
from fixlify.domain.errors import RecipientError
from fixlify.domain.rules import MessageClass
from fixlify.storage.consent import (
    OptOut,
    Suppression,
    allow_channel,
    list_consent_records,
    list_opt_outs,
    list_suppressions,
    opt_in,
    opt_out,
)
from fixlify.storage.messages import Channel
from fixlify.storage.timeline import KnownClient

_Command = TypeVar("_Command", bound=Callable[..., Any])

_COLUMNS: Final = (
    Column("CHANNEL"),
    Column("CLASS"),
    Column("SAID BY"),
    Column("SINCE"),
)


@click.group()
def consent() -> None:
    """See what a client does not want to get; opt them out, or in again."""


def _what_options(command: _Command) -> _Command:
    """Add CLIENT, ``--channel`` and ``--class``."""
    channel = click.option(
        "--channel",
        type=CHANNELS,
        callback=as_channel,
        required=True,
        help="Of which messages.",
    )
    message_class = click.option(
        "--class",
        "message_class",
        type=click.Choice([each.value for each in MessageClass]),
        callback=lambda _, __, value: value and MessageClass(value),
        help="Of that class only; all of the channel unless given.",
    )
    return click.argument("client")(channel(message_class(command)))


@consent.command()
@click.argument("client")
@organization_option
@json_option
def show(client: str, organization: str | None, as_json: bool) -> None:
    """Tell what CLIENT does not want, and all that was said about it.

    CLIENT is an id, an email or a phone number.
    """

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = await find_client(connection, opened.organization, client)
            refused = await list_opt_outs(connection, opened.organization.id, found.id)
            addresses = await _addresses(connection, opened.organization.id, found)
            suppressed = await _suppressed(connection, opened.organization.id, addresses)
            history = await list_consent_records(
                connection,
                opened.organization.id,
                client_id=found.id,
                addresses=list(addresses.values()),
                limit=MOST_RECORDS,
            )
        if as_json:
            print_json(
                {
                    "client": {"id": found.id, "name": found.name},
                    "opt_outs": [opt_out_document(each) for each in refused],
                    "suppressions": [suppression_document(each) for each in suppressed],
                    "history": [record_document(each) for each in history],
                }
            )
            return
        if refused:
            print_listing(console, _COLUMNS, [_line(each) for each in refused])
        else:
            console.print(Text(f"{printable(found.name)} opted out of nothing."))
        for each in suppressed:
            console.print(
                Text(
                    f"{printable(each.address)} gets nothing, whoever it belongs to: "
                    f"{printable(each.reason)}, {local(each.created_at)}."
                )
            )
        print_history(history)

    asyncio.run(run())


@consent.command(name="opt-out")
@_what_options
@organization_option
@json_option
def opt_out_(
    client: str,
    channel: Channel,
    message_class: MessageClass | None,
    organization: str | None,
    as_json: bool,
) -> None:
    """Let CLIENT get no more of a channel, from the next message on."""

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = await find_client(connection, opened.organization, client)
            is_new = await opt_out(
                connection,
                opened.organization.id,
                found.id,
                channel,
                message_class=message_class,
                source=SOURCE,
            )
            if is_new:
                await keep_evidence(
                    connection,
                    opened.organization.id,
                    channel=channel,
                    wants=False,
                    client_id=found.id,
                    message_class=message_class,
                )
        if as_json:
            print_json({"client": {"id": found.id, "name": found.name}, "changed": is_new})
            return
        had = "is opted out of" if is_new else "had opted out before of"
        console.print(Text(f"{printable(found.name)} {had} {what_of(channel, message_class)}."))

    asyncio.run(run())


@consent.command(name="opt-in")
@_what_options
@organization_option
@json_option
def opt_in_(
    client: str,
    channel: Channel,
    message_class: MessageClass | None,
    organization: str | None,
    as_json: bool,
) -> None:
    """Let CLIENT get messages again that they had opted out of.

    Only with their word. What else still keeps messages from them is told.
    """

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = await find_client(connection, opened.organization, client)
            about = (connection, opened.organization.id, found.id, channel)
            changed = await opt_in(*about, message_class=message_class)
            if message_class is None:
                changed = await allow_channel(*about) or changed
            if changed:
                await keep_evidence(
                    connection,
                    opened.organization.id,
                    channel=channel,
                    wants=True,
                    client_id=found.id,
                    message_class=message_class,
                )
            left = [
                each
                for each in await list_opt_outs(connection, opened.organization.id, found.id)
                if each.channel is channel
            ]
            addresses = await _addresses(connection, opened.organization.id, found)
            suppressed = [
                each
                for each in await _suppressed(connection, opened.organization.id, addresses)
                if each.channel is channel
            ]
        if as_json:
            print_json(
                {
                    "client": {"id": found.id, "name": found.name},
                    "changed": changed,
                    "opt_outs": [opt_out_document(each) for each in left],
                    "suppressions": [suppression_document(each) for each in suppressed],
                }
            )
            return
        had = "may get" if changed else "had not opted out of"
        console.print(Text(f"{printable(found.name)} {had} {what_of(channel, message_class)}."))
        for refused in left:
            what = what_of(channel, refused.message_class)
            console.print(Text(f"Still opted out of {what} (said by {refused.source})."))
        for each in suppressed:
            console.print(
                Text(
                    f"Their address still gets nothing: {printable(each.reason)}. "
                    f"`fixlify suppressions remove {printable(each.address)}` lifts that."
                )
            )

    asyncio.run(run())


async def _addresses(
    connection: AsyncConnection, organization_id: UUID, client: KnownClient
) -> dict[Channel, str]:
    """Return the client's own addresses, as they are now and as messages go there."""
    region = await region_of(connection, organization_id)
    found: dict[Channel, str] = {}
    with suppress(RecipientError):
        found[Channel.EMAIL] = email_address(client.email)
    with suppress(RecipientError):
        found[Channel.SMS] = phone_number(client.phone, region)
    return found


async def _suppressed(
    connection: AsyncConnection, organization_id: UUID, addresses: Mapping[Channel, str]
) -> list[Suppression]:
    """Return what suppresses these addresses."""
    return [
        each
        for channel, address in addresses.items()
        for each in await list_suppressions(
            connection, organization_id, 1, channel=channel, address=address
        )
    ]


def _line(each: OptOut) -> Line:
    return Line(
        (
            each.channel,
            each.message_class or "every",
            "the clients table" if each.source == "clients" else each.source,
            local(each.created_at) or "",
        )
    )


def opt_out_document(each: OptOut) -> dict[str, Any]:
    """Return *each* for ``--json``; without a class it is the whole channel."""
    return {
        "channel": each.channel,
        "message_class": each.message_class,
        "source": each.source,
        "created_at": each.created_at,
    }


def suppression_document(each: Suppression) -> dict[str, Any]:
    """Return *each* for ``--json``."""
    return {
        "channel": each.channel,
        "address": each.address,
        "reason": each.reason,
        "source": each.source,
        "created_at": each.created_at,
    }
