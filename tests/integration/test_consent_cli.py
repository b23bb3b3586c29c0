"""People opt clients out and in, and suppress addresses, over the command line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fixlify.storage.consent import record_consent
from fixlify.storage.database import Database, Role
from fixlify.storage.messages import Channel
from tests.command_line import CommandLine
from tests.office import Office


@pytest.fixture
async def command_line(office: Office) -> CommandLine:
    await office.add_client()
    return CommandLine(FIXLIFY_DATABASE_URL=office.url)


@pytest.mark.parametrize("client", ["ADA@example.com", "(212) 555-0123", None])
async def test_a_client_is_opted_out_and_in_again(
    command_line: CommandLine, office: Office, client: str | None
) -> None:
    who = client or str(office.newest_client_id)
    out = await command_line.run("consent", "opt-out", who, "--channel", "sms")
    assert out.lines == ["Ada Byron is opted out of text messages."]
    again = await command_line.run("consent", "opt-out", who, "--channel", "sms")
    assert again.lines == ["Ada Byron had opted out before of text messages."]
    (told,) = (await command_line.run("consent", "show", who, "--json")).document["opt_outs"]
    assert (told["channel"], told["message_class"], told["source"]) == ("sms", None, "cli")

    back = await command_line.run("consent", "opt-in", who, "--channel", "sms")
    assert back.lines == ["Ada Byron may get text messages."]
    shown = await command_line.run("consent", "show", who)
    assert shown.lines[0] == "Ada Byron opted out of nothing."
    assert "What was said, the newest first:" in shown.lines


async def test_opting_in_clears_the_clients_table_too(
    command_line: CommandLine, office: Office
) -> None:
    await office.query("UPDATE clients SET email_opted_out = true, sms_opted_out = true")
    said = await command_line.run("consent", "opt-in", "ada@example.com", "--channel", "email")
    assert said.code == 0
    (row,) = await office.query("SELECT email_opted_out, sms_opted_out FROM clients")
    assert (row["email_opted_out"], row["sms_opted_out"]) == (False, True)


async def test_opting_in_to_a_class_tells_what_still_stands(command_line: CommandLine) -> None:
    await command_line.run("consent", "opt-out", "ada@example.com", "--channel", "sms")
    await command_line.run("suppressions", "add", "+12125550123", "--reason", "by letter")
    said = await command_line.run(
        *("consent", "opt-in", "ada@example.com", "--channel", "sms", "--class", "marketing")
    )
    assert " ".join(said.lines) == (
        "Ada Byron had not opted out of marketing text messages. "
        "Still opted out of text messages (said by cli). "
        "Their address still gets nothing: by letter. "
        "`fixlify suppressions remove +12125550123` lifts that."
    )


async def test_a_client_who_is_not_there(command_line: CommandLine) -> None:
    said = await command_line.run("consent", "show", "bob@example.com")
    assert said.code == 1
    assert "has no client 'bob@example.com'; give an id, an email" in said.err


async def test_several_clients_of_one_number_are_listed(
    command_line: CommandLine, office: Office
) -> None:
    await office.add_client(first_name="Bob")
    said = await command_line.run("consent", "show", "+12125550123")
    assert said.code == 1
    assert "several clients are" in said.err
    assert "Bob Byron" in said.err


@pytest.mark.parametrize(
    ("written", "channel", "kept"),
    [
        ("Press@Example.com", "email", "press@example.com"),
        ("(312) 555-0144", "sms", "+13125550144"),
    ],
)
async def test_an_address_is_suppressed_and_released(
    command_line: CommandLine, written: str, channel: str, kept: str
) -> None:
    added = await command_line.run("suppressions", "add", written, "--reason", "by letter")
    assert added.lines == [f"Nothing goes to {kept} any more."]
    (listed,) = (await command_line.run("suppressions", "list", "--json")).document
    assert (listed["channel"], listed["address"]) == (channel, kept)
    assert (listed["reason"], listed["source"]) == ("by letter", "cli")
    again = await command_line.run("suppressions", "add", written, "--reason", "once more")
    assert again.lines == [f"{kept} was suppressed before: by letter."]

    assert (await command_line.run("suppressions", "remove", written)).code == 0
    assert (await command_line.run("suppressions", "list", "--json")).document == []
    gone = await command_line.run("suppressions", "remove", written)
    assert gone.code == 1
    assert "`fixlify suppressions list` shows what is" in gone.err


async def test_what_is_no_address_is_refused(command_line: CommandLine) -> None:
    said = await command_line.run(
        *("suppressions", "add", "ada", "--channel", "email", "--reason", "by letter")
    )
    assert said.code == 2
    assert "is not an email address; write one such as ada@example.com" in said.err


async def test_a_listing_says_that_there_is_more(command_line: CommandLine) -> None:
    for number in range(2):
        await command_line.run("suppressions", "add", f"{number}@example.com", "--reason", "x")
    said = await command_line.run("suppressions", "list", "--limit", "1")
    assert "--limit 5 shows more of them" in said.err


async def test_the_evidence_of_what_a_client_said_is_shown(
    command_line: CommandLine, office: Office
) -> None:
    """What was entered by hand, for the client or the address; what changed nothing is not."""
    for said in (
        ("consent", "opt-out", "ada@example.com", "--channel", "email", "--class", "marketing"),
        ("consent", "opt-out", "ada@example.com", "--channel", "email", "--class", "marketing"),
        ("suppressions", "add", "(212) 555-0123", "--reason", "asked by letter"),
        ("suppressions", "remove", "+12125550123"),
    ):
        assert (await command_line.run(*said)).code == 0
    shown = await command_line.run("consent", "show", "ada@example.com", "--json")
    history = shown.document["history"]
    assert [(each["channel"], each["message_class"], each["wants"]) for each in history] == [
        ("sms", None, True),
        ("sms", None, False),
        ("email", "marketing", False),
    ]
    assert {each["source"] for each in history} == {"cli"}
    assert all(each["evidence"]["entered_by"] for each in history)
    assert history[1]["evidence"]["reason"] == "asked by letter"
    assert history[1]["address"] == "+12125550123"
    told = await command_line.run("consent", "show", "ada@example.com")
    assert any("no marketing email" in line for line in told.lines)


async def test_a_word_by_text_is_shown_with_its_message(
    command_line: CommandLine, office: Office, database_url: str
) -> None:
    engine = Database(database_url, Role.ENGINE, pool_size=1)
    async with engine.transaction() as connection:
        await record_consent(
            connection,
            office.organization_id,
            client_id=None,
            channel=Channel.SMS,
            message_class=None,
            address="+12125550123",
            wants=False,
            source="sms",
            evidence={"body": "STOP\x1b[31m\x00\ud800", "message_sid": "SM1", "nothing": None},
            said_at=datetime.now(UTC),
        )
    await engine.close()
    shown = await command_line.run("consent", "show", "ada@example.com")
    assert any("no text messages" in line for line in shown.lines)
    assert "\x1b" not in shown.out
    document = (await command_line.run("consent", "show", "ada@example.com", "--json")).document
    assert document["history"][0]["evidence"] == {
        "body": "STOP\x1b[31m\ufffd\ufffd",
        "message_sid": "SM1",
    }
