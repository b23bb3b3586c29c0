"""fixlify suppressions: addresses that get nothing, whoever they belong to."""

from __future__ import annotations

import asyncio
from typing import Final

import click
from rich.text import Text

from cli.addresses import CHANNELS, as_channel, read_address
from cli.consent import suppression_document
from cli.consent_history import SOURCE, keep_evidence
from cli.listing import Column, Line, print_listing
from cli.organization import open_organization, organization_option
from cli.output import console, errors, json_option, local, print_json, printable
from fixlify.domain.errors import NotFoundError
from fixlify.storage.consent import list_suppressions, release, suppress
from fixlify.storage.messages import Channel

_LONGEST_REASON: Final = 200
_COLUMNS: Final = (
    Column("CHANNEL"),
    Column("ADDRESS", shrinks=True),
    Column("REASON", shrinks=True),
    Column("SAID BY"),
    Column("SINCE"),
)
_CHANNEL = click.option(
    "--channel",
    type=CHANNELS,
    callback=as_channel,
    help="Which; told by the address unless given.",
)


@click.group()
def suppressions() -> None:
    """See addresses that get nothing; add one, or take one out."""


@suppressions.command(name="list")
@click.option("--channel", type=CHANNELS, callback=as_channel, help="Of one channel only.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many."
)
@organization_option
@json_option
def list_(channel: Channel | None, limit: int, organization: str | None, as_json: bool) -> None:
    """List the addresses that get nothing."""

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = await list_suppressions(
                connection, opened.organization.id, limit + 1, channel=channel
            )
        shown, more = found[:limit], len(found) > limit
        if as_json:
            print_json([suppression_document(each) for each in shown])
        elif shown:
            lines = [
                Line(
                    (
                        each.channel,
                        each.address,
                        each.reason,
                        each.source,
                        local(each.created_at) or "",
                    )
                )
                for each in shown
            ]
            print_listing(console, _COLUMNS, lines)
        else:
            console.print("No address is suppressed; `fixlify suppressions add ADDRESS` adds one.")
        if more:
            errors.print(Text(f"There are more: --limit {limit * 5} shows more of them."))

    asyncio.run(run())


@suppressions.command()
@click.argument("address")
@_CHANNEL
@click.option("--reason", required=True, help="Why, for those who look for it later.")
@organization_option
@json_option
def add(
    address: str, channel: Channel | None, reason: str, organization: str | None, as_json: bool
) -> None:
    """Let nothing go to ADDRESS any more, from the next message on."""
    reason = reason.strip()
    if not reason.isprintable() or not 1 <= len(reason) <= _LONGEST_REASON:
        raise click.BadParameter(
            f"must be 1 to {_LONGEST_REASON} printable characters", param_hint="--reason"
        )

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            organization_id = opened.organization.id
            of, read = await read_address(connection, organization_id, address, channel)
            is_new = await suppress(
                connection, organization_id, of, read, reason=reason, source=SOURCE
            )
            if is_new:
                await keep_evidence(
                    connection,
                    organization_id,
                    channel=of,
                    wants=False,
                    address=read,
                    evidence={"reason": reason},
                )
            (stored,) = await list_suppressions(
                connection, organization_id, 1, channel=of, address=read
            )
        if as_json:
            print_json(suppression_document(stored) | {"changed": is_new})
        elif is_new:
            console.print(Text(f"Nothing goes to {printable(stored.address)} any more."))
        else:
            why = printable(stored.reason)
            console.print(Text(f"{printable(stored.address)} was suppressed before: {why}."))

    asyncio.run(run())


@suppressions.command()
@click.argument("address")
@_CHANNEL
@organization_option
@json_option
def remove(address: str, channel: Channel | None, organization: str | None, as_json: bool) -> None:
    """Let messages go to ADDRESS again. Only with its owner's word."""

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            organization_id = opened.organization.id
            of, read = await read_address(connection, organization_id, address, channel)
            was_there = await release(connection, organization_id, of, read)
            if was_there:
                await keep_evidence(
                    connection, organization_id, channel=of, wants=True, address=read
                )
        if not was_there:
            raise NotFoundError(
                f"{printable(read)} is not suppressed; `fixlify suppressions list` shows what is"
            )
        if as_json:
            print_json({"channel": of, "address": read})
        else:
            console.print(Text(f"Messages may go to {printable(read)} again."))

    asyncio.run(run())
