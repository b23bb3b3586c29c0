"""Whatever was said by whomever, and whatever way leads to an address: who said no gets nothing."""

from __future__ import annotations

import random
from typing import Any, Final
from uuid import UUID

import pytest

from fixlify.domain.rules import MessageClass
from fixlify.storage.consent import opt_out, suppress
from fixlify.storage.database import Database
from fixlify.storage.messages import Channel, ClaimedMessage
from tests.ledger_book import Book
from tests.office import Office
from tests.runs import add_execution

NUMBERS: Final = ["+12125550123", "+13125550123", "+12125550177"]
EMAILS: Final = ["ada@example.com", "bob@example.com", "office@example.com"]
CLASSES: Final = [None, *MessageClass]


def _as_typed(chance: random.Random, address: str) -> str:
    """Return *address* as somebody might have entered it."""
    if "@" in address:
        return chance.choice([address, address.upper(), address.title()])
    national = address.removeprefix("+1")
    pretty = f"({national[:3]}) {national[3:6]}-{national[6:]}"
    return chance.choice([address, national, pretty, f"+1 {pretty}", f"001{national}"])


async def _add_people(
    book: Book, chance: random.Random, refused: set[tuple[Channel, str, MessageClass | None]]
) -> list[UUID]:
    """Enter clients who share few addresses and refuse at random; note what was refused."""
    clients = []
    for _ in range(5):
        addresses = {
            Channel.EMAIL: chance.choice(EMAILS),
            Channel.SMS: chance.choice(NUMBERS),
        }
        columns = {channel: chance.random() < 0.15 for channel in Channel}
        client = await book.office.add_client(
            email=_as_typed(chance, addresses[Channel.EMAIL]),
            phone=_as_typed(chance, addresses[Channel.SMS]),
            email_opted_out=columns[Channel.EMAIL],
            sms_opted_out=columns[Channel.SMS],
        )
        refused |= {(each, addresses[each], None) for each in Channel if columns[each]}
        if chance.random() < 0.3:
            channel, message_class = chance.choice(list(Channel)), chance.choice(CLASSES)
            async with book.database.statement() as connection:
                await opt_out(
                    connection,
                    book.office.organization_id,
                    client,
                    channel,
                    message_class=message_class,
                    source="test",
                )
            refused.add((channel, addresses[channel], message_class))
        clients.append(client)
    return clients


async def _enter(book: Book, chance: random.Random, clients: list[UUID], place: int) -> Any:
    """Enter a message by a random way to a random address; return it with what it is."""
    channel = chance.choice(list(Channel))
    address = chance.choice(EMAILS if channel is Channel.EMAIL else NUMBERS)
    kind = chance.choice(["client", "field", "address"])
    message_class = chance.choice(list(MessageClass))
    client = chance.choice(clients) if kind == "client" else None
    if client is not None:
        await book.office.add_job(f"J-{place}", client_id=client)
    execution = await add_execution(book.office, **({"subject_id": f"J-{place}"} if client else {}))
    message = await Book(book.database, book.office, execution).enter(
        channel=channel,
        recipient=address,
        recipient_kind=kind,
        recipient_id=client,
        message_class=message_class,
    )
    return message, (channel, address, message_class)


@pytest.mark.parametrize("seed", range(6))
async def test_nothing_goes_to_who_refused_it(
    office: Office, engine_database: Database, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same cases each time
    book = Book(engine_database, office, await add_execution(office))
    await office.query("UPDATE clients SET email = NULL, phone = NULL")
    refused: set[tuple[Channel, str, MessageClass | None]] = set()
    clients = await _add_people(book, chance, refused)
    if chance.random() < 0.5:
        number = chance.choice(NUMBERS)
        async with engine_database.statement() as connection:
            await suppress(
                connection,
                office.organization_id,
                Channel.SMS,
                number,
                reason="test",
                source="test",
            )
        refused.add((Channel.SMS, number, None))
    sent = 0
    for place in range(25):
        message, (channel, address, message_class) = await _enter(book, chance, clients, place)
        claim = await book.claim(message)
        forbidden = refused & {(channel, address, None), (channel, address, message_class)}
        if forbidden:
            assert not isinstance(claim, ClaimedMessage), (forbidden, message_class)
        sent += isinstance(claim, ClaimedMessage)
    assert sent > 0, "nothing went, so nothing was shown"
