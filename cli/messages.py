"""fixlify messages: what became of every message, and what people found out about one."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

import click
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.addresses import CHANNELS, as_channel
from cli.execution_names import ExecutionIdType
from cli.listing import STYLES, Column, Line, print_listing
from cli.organization import OpenOrganization, open_organization, organization_option
from cli.output import console, errors, json_option, local, print_json, printable
from cli.parameters import DurationType
from cli.scope import engine_database
from fixlify.domain.errors import NotFoundError
from fixlify.domain.runs import MessageStatus
from fixlify.storage.history import id_range
from fixlify.storage.messages import Channel, Ledger
from fixlify.storage.messages.reading import (
    LedgerFilter,
    LedgerLine,
    Transition,
    find_messages,
    list_messages,
    list_transitions,
)

_SHORT_ID: Final = 18
_CANDIDATES: Final = 5
_COLUMNS: Final = (
    Column("TIME"),
    Column("MESSAGE"),
    Column("CHANNEL"),
    Column("TO", shrinks=True),
    Column("AUTOMATION", shrinks=True),
    Column("STATUS"),
)
_HOW_IT_ENDED: Final = {"sent": MessageStatus.SENT, "not-sent": MessageStatus.FAILED}


@click.group()
def messages() -> None:
    """See what became of every message; say what you found out about one in doubt."""


@messages.command(name="list")
@click.option(
    "--status", type=click.Choice([each.value for each in MessageStatus]), help="Only these."
)
@click.option("--channel", type=CHANNELS, callback=as_channel, help="Of one channel only.")
@click.option("--to", "address", metavar="ADDRESS", help="Only those to this address.")
@click.option(
    "--since", type=DurationType(), metavar="2h", help="Only those of the last 30m, 2h, 7d …"
)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many."
)
@organization_option
@json_option
def list_(
    status: str | None,
    channel: Channel | None,
    address: str | None,
    since: timedelta | None,
    limit: int,
    organization: str | None,
    as_json: bool,
) -> None:
    """List messages, newest first, with where they stand and why."""
    wanted = LedgerFilter(MessageStatus(status) if status else None, channel, address, since)

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            # One more than asked for tells whether there are more.
            found = await list_messages(connection, opened.organization.id, wanted, limit + 1)
        if as_json:
            print_json([asdict(each) for each in found[:limit]])
        elif found:
            print_listing(console, _COLUMNS, [_line(each) for each in found[:limit]])
        elif wanted == LedgerFilter():
            console.print("No message was written yet; `fixlify executions list` says why.")
        else:
            console.print("No message matches; try fewer filters, or a longer --since.")
        if len(found) > limit:
            errors.print(Text(f"There are more: --limit {limit * 5} shows more of them."))

    asyncio.run(run())


@messages.command()
@click.argument("message", metavar="ID", type=ExecutionIdType())
@organization_option
@json_option
def show(message: str, organization: str | None, as_json: bool) -> None:
    """Show one message, and each change of it with its cause.

    ID is a message's id, or its first six digits or more.
    """

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = await _find(connection, opened, message)
            changes = await list_transitions(connection, opened.organization.id, found.id)
        if as_json:
            print_json(asdict(found) | {"transitions": [asdict(each) for each in changes]})
        else:
            _print_message(found, changes)

    asyncio.run(run())


@messages.command()
@click.argument("message", metavar="ID", type=ExecutionIdType())
@click.option(
    "--as",
    "ended",
    type=click.Choice(list(_HOW_IT_ENDED)),
    required=True,
    help="What you found at the provider.",
)
@click.option("--reason", required=True, help="How you know, for those who look for it later.")
@organization_option
@json_option
def settle(message: str, ended: str, reason: str, organization: str | None, as_json: bool) -> None:
    """Say what became of a message whose fate nobody knew.

    Nothing is sent by it. One that was not sent is failed; `fixlify executions redrive` sends it
    again.
    """
    reason = reason.strip()
    if not reason or not reason.isprintable() or len(reason) > 200:
        raise click.BadParameter("must be 1 to 200 printable characters", param_hint="--reason")

    async def run() -> None:
        async with open_organization(organization) as opened:
            async with opened.transaction() as connection:
                found = await _find(connection, opened, message)
            if found.status is not MessageStatus.UNKNOWN:
                raise NotFoundError(
                    f"message {found.id} is {found.status}, not unknown: there is nothing to "
                    "settle; `fixlify messages list --status unknown` shows those there are"
                )
            # People may not write the ledger; the engine may.
            async with engine_database(opened.settings) as engine, engine.statement() as writing:
                ledger = Ledger(writing, found.id, opened.organization.id)
                receipt = await ledger.told(_HOW_IT_ENDED[ended], f"settled by hand: {reason}")
        if as_json:
            print_json({"id": found.id, "status": receipt.status, "reason": receipt.reason})
        else:
            console.print(Text(f"Message {found.id} is {receipt.status} now."))
            if receipt.status is MessageStatus.FAILED:
                console.print(
                    Text(f"`fixlify executions redrive {found.execution_id}` sends it again.")
                )

    asyncio.run(run())


async def _find(
    connection: AsyncConnection, opened: OpenOrganization, id_or_prefix: str
) -> LedgerLine:
    found = await find_messages(
        connection, opened.organization.id, id_range(id_or_prefix), _CANDIDATES + 1
    )
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFoundError(
            f"no message of {opened.organization.name} begins with '{id_or_prefix}'; "
            "`fixlify messages list` shows those there are"
        )
    several = "\n".join(f"  {each.id}  {each.status}" for each in found[:_CANDIDATES])
    raise NotFoundError(
        f"several messages begin with '{id_or_prefix}'; give more of the id:\n{several}"
    )


def _line(message: LedgerLine) -> Line:
    return Line(
        (
            local(message.created_at),
            str(message.id)[:_SHORT_ID],
            message.channel.value,
            message.recipient or f"the {message.recipient_kind}",
            message.automation,
            message.status.value,
        ),
        message.reason,
    )


def _print_message(message: LedgerLine, changes: list[Transition]) -> None:
    status = Text(message.status.value, style=STYLES.get(message.status.value, ""))
    console.print(Text.assemble(f"Message {message.id}  ", status))
    for name, value in _facts(message).items():
        if value:
            console.print(Text(f"  {name:<12}{printable(value)}"), soft_wrap=True)
    console.print(Text(f"\n  {local(message.created_at, exact=True)}  written", style="dim"))
    for each in changes:
        detail = "".join(
            f", {said}" for said in (each.error_code, each.provider_id) if said is not None
        )
        console.print(
            Text.assemble(
                f"  {local(each.at, exact=True)}  ",
                Text(each.to_status.value, style=STYLES.get(each.to_status.value, "")),
                f"  {printable(each.cause)}{detail}",
            ),
            soft_wrap=True,
        )


def _facts(message: LedgerLine) -> dict[str, str | None]:
    price: Any = message.price
    return {
        "automation": f"{message.automation}, step {message.step_id}",
        "execution": str(message.execution_id),
        "to": f"{message.recipient or 'nobody'} ({message.recipient_kind})",
        "class": message.message_class.value,
        "why": message.reason,
        "attempts": str(message.attempts),
        "provider": " ".join(
            filter(None, (message.provider, message.provider_id, message.error_code))
        ),
        "sent by": message.sender,
        "segments": str(message.segments) if message.segments else None,
        "price": None if price is None else f"{price} {message.price_currency or ''}".strip(),
        "held until": local(message.held_until),
    }
