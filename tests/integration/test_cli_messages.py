"""``fixlify messages``: what became of each, and a person's word for one in doubt."""

from __future__ import annotations

from uuid import UUID

import pytest

from fixlify.domain.runs import MessageStatus
from fixlify.storage.database import Database
from fixlify.storage.messages import Report, record_report
from tests.command_line import CommandLine
from tests.ledger_book import ACTS, Book
from tests.office import Office
from tests.runs import add_execution


@pytest.fixture
def command_line(office: Office) -> CommandLine:
    return CommandLine(FIXLIFY_DATABASE_URL=office.url)


@pytest.fixture
async def book(engine_database: Database, office: Office) -> Book:
    return Book(engine_database, office, await add_execution(office))


@pytest.fixture
async def doubtful(book: Book) -> UUID:
    """A text message whose answer was lost."""
    message = await book.enter()
    await book.claim(message)
    await book.act(message, ACTS["lost"])
    return message


async def test_the_list_tells_where_each_stands_and_why(
    doubtful: UUID, command_line: CommandLine
) -> None:
    said = await command_line.run("messages", "list")
    assert said.code == 0
    assert said.lines[0].split() == ["TIME", "MESSAGE", "CHANNEL", "TO", "AUTOMATION", "STATUS"]
    assert said.lines[1].split()[1:3] == [str(doubtful)[:18], "sms"]
    assert said.lines[1].endswith("unknown")
    assert said.lines[2].strip() == "the connection broke"


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (["--status", "unknown"], 1),
        (["--status", "sent"], 0),
        (["--channel", "email"], 0),
        (["--to", "+12125550123"], 1),
        (["--to", "+12125550124"], 0),
        (["--since", "1h"], 1),
    ],
)
async def test_the_list_can_be_narrowed(
    doubtful: UUID, command_line: CommandLine, filters: list[str], count: int
) -> None:
    said = await command_line.run("messages", "list", "--json", *filters)
    assert [message["id"] for message in said.document] == [str(doubtful)] * count


async def test_a_message_tells_each_change_with_its_cause(
    book: Book, doubtful: UUID, command_line: CommandLine
) -> None:
    report = Report("twilio", MessageStatus.DELIVERED, provider_id="SM1")
    async with book.database.transaction() as connection:
        await record_report(connection, doubtful, report)

    said = await command_line.run("messages", "show", str(doubtful)[:18], "--json")
    transitions = [(each["to_status"], each["cause"]) for each in said.document["transitions"]]
    assert transitions == [
        ("sending", "attempt 1"),
        ("unknown", "the connection broke"),
        ("delivered", "reported by twilio"),
    ]
    shown = await command_line.run("messages", "show", str(doubtful))
    assert "delivered  reported by twilio, SM1" in shown.out
    assert "Thank you." not in shown.out


@pytest.mark.parametrize(("ended", "status"), [("sent", "sent"), ("not-sent", "failed")])
async def test_a_person_settles_what_nobody_knew(
    book: Book, doubtful: UUID, command_line: CommandLine, ended: str, status: str
) -> None:
    said = await command_line.run(
        "messages", "settle", str(doubtful), "--as", ended, "--reason", "seen in the console"
    )
    assert said.code == 0, said.err
    row = await book.row(doubtful)
    assert (row["status"], row["reason"]) == (status, "settled by hand: seen in the console")
    assert ("redrive" in said.out) is (status == "failed")


async def test_what_is_certain_is_not_settled(
    book: Book, doubtful: UUID, command_line: CommandLine
) -> None:
    await book.act(doubtful, ACTS["accepted"])
    said = await command_line.run(
        "messages", "settle", str(doubtful), "--as", "not-sent", "--reason", "I think"
    )
    assert said.code == 1
    assert "is sent, not unknown" in said.err
    assert (await book.row(doubtful))["status"] == "sent"


async def test_an_id_nobody_has_is_answered_with_what_to_do(
    doubtful: UUID, command_line: CommandLine
) -> None:
    said = await command_line.run("messages", "show", "ffffffff")
    assert said.code == 1
    assert "`fixlify messages list`" in said.err
