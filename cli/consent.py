"""fixlify consent: what a client does not want to get."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.addresses import CHANNELS, as_channel, region_of
from cli.clients import find_client
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
    list_opt_outs,
    list_suppressions,
    opt_in,
    opt_out,
)
from fixlify.storage.messages import Channel
from fixlify.storage.timeline import KnownClient

_Command = TypeVar("_Command", bound=Callable[..., Any])

_SOURCE: Final = "cli"
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
    """Tell what CLIENT does not want, and since when.

    CLIENT is an id, an email or a phone number.
    """

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = await find_client(connection, opened.organization, client)
            refused = await list_opt_outs(connection, opened.organization.id, found.id)
            suppressed = await _suppressed(connection, opened.organization.id, found)
        if as_json:
            print_json(
                {
                    "client": {"id": found.id, "name": found.name},
                    "opt_outs": [opt_out_document(each) for each in refused],
                    "suppressions": [suppression_document(each) for each in suppressed],
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
                source=_SOURCE,
            )
        if as_json:
            print_json({"client": {"id": found.id, "name": found.name}, "changed": is_new})
            return
        had = "is opted out of" if is_new else "had opted out before of"
        console.print(Text(f"{printable(found.name)} {had} {_what(channel, message_class)}."))

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
            left = [
                each
                for each in await list_opt_outs(connection, opened.organization.id, found.id)
                if each.channel is channel
            ]
            suppressed = [
                each
                for each in await _suppressed(connection, opened.organization.id, found)
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
        console.print(Text(f"{printable(found.name)} {had} {_what(channel, message_class)}."))
        for refused in left:
            what = _what(channel, refused.message_class)
            console.print(Text(f"Still opted out of {what} (said by {refused.source})."))
        for each in suppressed:
            console.print(
                Text(
                    f"Their address still gets nothing: {printable(each.reason)}. "
                    f"`fixlify suppressions remove {printable(each.address)}` lifts that."
                )
            )

    asyncio.run(run())


async def _suppressed(
    connection: AsyncConnection, organization_id: Any, client: KnownClient
) -> list[Suppression]:
    """Return what suppresses the client's own addresses, as they are now."""
    found: list[Suppression] = []
    region = await region_of(connection, organization_id)
    for channel in Channel:
        try:
            address = (
                email_address(client.email)
                if channel is Channel.EMAIL
                else phone_number(client.phone, region)
            )
        except RecipientError:
            continue
        found += await list_suppressions(
            connection, organization_id, 1, channel=channel, address=address
        )
    return found


def _what(channel: Channel, message_class: MessageClass | None) -> str:
    kind = f"{message_class} " if message_class else ""
    return f"{kind}{'email' if channel is Channel.EMAIL else 'text messages'}"


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
