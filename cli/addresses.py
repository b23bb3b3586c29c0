"""ADDRESS on the command line: an email address or a phone number, as a provider takes it."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.output import printable
from fixlify.channels.addresses import email_address, phone_number
from fixlify.domain.errors import RecipientError
from fixlify.domain.events import SubjectType
from fixlify.domain.facts import Subject
from fixlify.storage.facts import load_facts
from fixlify.storage.messages import Channel

CHANNELS: Final = click.Choice([channel.value for channel in Channel])
"""The values of ``--channel``; ``as_channel`` makes one of ours of each."""


def as_channel(_: click.Context, __: click.Parameter, value: str | None) -> Channel | None:
    """Return the channel of that name, for ``callback``."""
    return None if value is None else Channel(value)


async def region_of(connection: AsyncConnection, organization_id: UUID) -> str | None:
    """Return the two letters of the organization's country, by its locale; None if unknown."""
    subject = Subject(organization_id, SubjectType.ORGANIZATION, str(organization_id))
    facts = (await load_facts(connection, [subject])).get(subject)
    if facts is None:
        return None
    return facts.organization.locale.replace("-", "_").rpartition("_")[2]


async def read_address(
    connection: AsyncConnection, organization_id: UUID, address: str, channel: Channel | None
) -> tuple[Channel, str]:
    """Return the channel that *address* belongs to, and the one form it is kept in.

    Raises:
        click.BadParameter: It is no address, or none of *channel*.
    """
    read = channel or (Channel.EMAIL if "@" in address else Channel.SMS)
    try:
        if read is Channel.EMAIL:
            return read, email_address(address)
        return read, phone_number(address, await region_of(connection, organization_id))
    except RecipientError:
        kind = "an email address" if read is Channel.EMAIL else "a phone number"
        example = "ada@example.com" if read is Channel.EMAIL else "+12125550123"
        raise click.BadParameter(
            f"'{printable(address)}' is not {kind}; write one such as {example}",
            param_hint="ADDRESS",
        ) from None
