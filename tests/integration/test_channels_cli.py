"""An operator pauses one channel, lets it go on, and says how fast it may send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from temporalio.client import Client

from devstack.mail import MailCatcher
from devstack.postgres import EmbeddedPostgres
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.domain.limits import LimitedChannel
from fixlify.storage.database import Database
from fixlify.storage.messages import enter_messages
from starter.channels import Pace, apply_pace, read_queue
from tests.clones import delete_everything, new_database
from tests.command_line import CommandLine
from tests.conftest import TEMPLATE
from tests.engine import eventually, running_engine
from tests.office import Office
from tests.runs import add_execution, new_message

NOWHERE = "127.0.0.1:1"
SMS = LimitedChannel.SMS


@pytest.fixture(scope="module")
async def shared_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """One database for these tests, which empty it one after another."""
    async with new_database(postgres, TEMPLATE) as url:
        yield url


@pytest.fixture
async def database_url(shared_database: str) -> str:
    """That database, with nothing in it."""
    await delete_everything(shared_database)
    return shared_database


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedTemporal]:
    """A Temporal server of these tests alone, which turn its rates."""
    async with EmbeddedTemporal(tmp_path_factory.mktemp("channels"), ui=False) as server:
        yield server


@pytest.fixture
async def client(server: EmbeddedTemporal) -> AsyncIterator[Client]:
    """A client of that server; afterwards it has no rates."""
    client = await temporal.connect(server.address, "default")
    yield client
    for channel in LimitedChannel:
        await apply_pace(client, channel, Pace())


@pytest.fixture
def line(office: Office, server: EmbeddedTemporal) -> CommandLine:
    """The command line of the operator."""
    return CommandLine(FIXLIFY_DATABASE_URL=office.url, TEMPORAL_ADDRESS=server.address)


@pytest.fixture
def cut_off(office: Office) -> CommandLine:
    """The same, while Temporal is away."""
    return CommandLine(FIXLIFY_DATABASE_URL=office.url, TEMPORAL_ADDRESS=NOWHERE)


async def add_held(office: Office, database: Database, age: timedelta) -> UUID:
    """Enter a run that holds a text, written so long ago, because the channel is paused."""
    run = await add_execution(office, "waiting")
    message = new_message(office, run)
    async with database.transaction() as connection:
        await enter_messages(connection, run, [message])
    await office.query(
        "UPDATE messages SET status = 'held', reason = 'the sms channel is paused: wrong number',"
        " created_at = %s WHERE id = %s",
        datetime.now(UTC) - age,
        message.id,
    )
    return message.id


async def test_the_list_tells_how_each_channel_stands(
    line: CommandLine, office: Office, engine_database: Database, client: Client
) -> None:
    await line.run("channels", "pause", "sms", "--reason", "wrong\x1b[2J number")
    await add_held(office, engine_database, timedelta(hours=1))
    await line.run("channels", "set-rate", "email", "600/minute", "--per-organization", "2/second")

    said = await line.run("channels", "list")

    assert said.code == 0
    rows = [each.split() for each in said.lines]
    assert rows[0][:5] == ["CHANNEL", "STATE", "RATE", "EACH", "QUEUED"]
    assert rows[1] == ["email", "no", "provider", "10/second", "2/second", *"00000"]
    assert rows[2] == ["sms", "paused", "none", "none", *"01000"]
    assert said.lines[3].startswith("    paused since ")
    assert said.lines[3].endswith(": wrong\ufffd[2J number")
    assert rows[4] == ["webhook", "on", "none", "none", "-", *"0000"]

    document = {
        each["channel"]: each for each in (await line.run("channels", "list", "--json")).document
    }
    assert document["email"] == {
        "channel": "email",
        "has_provider": False,
        "paused_at": None,
        "paused_reason": None,
        "per_second": 10.0,
        "organization_per_second": 2.0,
        **dict.fromkeys(("queued", "held", "sending", "unknown", "sent_last_hour"), 0),
        "temporal": {"per_second": 10.0, "organization_per_second": 2.0, "backlog": 0},
    }
    assert document["sms"]["held"] == 1
    assert document["sms"]["paused_reason"] == "wrong\x1b[2J number"
    assert document["webhook"]["queued"] is None


async def test_the_list_does_without_temporal(cut_off: CommandLine, office: Office) -> None:
    said = await cut_off.run("channels", "list", "--json")
    assert said.code == 0
    assert "Temporal is away" in said.err
    assert [each["temporal"] for each in said.document] == [None, None, None]


async def test_the_list_says_when_temporal_has_another_rate(
    line: CommandLine, office: Office, client: Client
) -> None:
    await line.run("channels", "set-rate", "sms", "5/second")
    await apply_pace(client, SMS, Pace(7))
    said = await line.run("channels", "list")
    assert "in Temporal it is 7/second, each none" in said.out


async def test_a_pause_says_what_it_holds(
    cut_off: CommandLine, office: Office, engine_database: Database
) -> None:
    """Temporal need not be there for it."""
    await add_held(office, engine_database, timedelta(hours=1))
    await office.query("UPDATE messages SET status = 'queued'")
    await add_held(office, engine_database, timedelta(hours=1))
    await office.query("UPDATE messages SET status = 'sending' WHERE status = 'queued'")

    said = await cut_off.run("channels", "pause", "SMS", "--reason", "wrong number")

    assert said.code == 0
    assert said.lines == [
        "The sms channel is paused: wrong number",
        "Nothing goes out by it until `fixlify channels resume sms`; 1 message waits now.",
        "1 under way: nobody can call it back.",
    ]
    again = await cut_off.run("channels", "pause", "sms", "--reason", "something else")
    assert again.lines[0].startswith("The sms channel is paused already, since ")
    assert again.lines[0].endswith(": wrong number")
    document = (await cut_off.run("channels", "pause", "sms", "--json")).document
    paused_at = document.pop("paused_at")
    assert datetime.fromisoformat(paused_at) <= datetime.now(UTC)
    assert document == {
        "channel": "sms",
        "new": False,
        "reason": "wrong number",
        "queued": 0,
        "held": 1,
        "sending": 1,
    }


async def test_a_resume_wakes_the_runs_that_hold(
    line: CommandLine,
    office: Office,
    client: Client,
    mail: MailCatcher,
    phone: SmsCatcher,
) -> None:
    await office.apply(
        "name: Thanks\ntrigger: {type: job_completed}\n"
        "steps: [{id: text, type: send_sms, text: Thank you}]"
    )
    await line.run("channels", "pause", "sms")
    async with running_engine(office, client, mail, phone) as engine:
        await office.write_status(await office.add_job(), "completed")
        await engine.relay_everything()

        async def is_held() -> bool:
            return [each["status"] for each in await office.executions()] == ["waiting"]

        await eventually(is_held)
        said = await line.run("channels", "resume", "sms")
        await engine.settled()

    assert said.code == 0
    assert said.lines[0].startswith("The sms channel goes on, paused since ")
    assert said.lines[1:] == ["Going on: 1 message to send."]
    assert len(phone.messages) == 1


async def test_a_resume_asks_about_old_messages(
    cut_off: CommandLine, office: Office, engine_database: Database
) -> None:
    await cut_off.run("channels", "pause", "sms")
    for age in (1, 30):
        await add_held(office, engine_database, timedelta(hours=age))

    refused = await cut_off.run("channels", "resume", "sms")
    assert refused.code == 1
    assert "1 messages are older than 24 hours, so nothing was resumed" in refused.err
    assert "--cancel-older-than" in refused.err

    said = await cut_off.run("channels", "resume", "sms", "--cancel-older-than", "24h", "--json")
    assert said.code == 0
    document = said.document
    assert document.pop("paused_at") is not None
    assert document == {
        "channel": "sms",
        "resumed": True,
        "reason": None,
        "messages": 1,
        "cancelled": 1,
        "runs": 2,
        "woken": 0,
    }
    again = await cut_off.run("channels", "resume", "sms")
    assert again.lines[0] == "The sms channel was not paused."


async def test_a_resume_says_when_nobody_could_be_woken(
    cut_off: CommandLine, office: Office, engine_database: Database
) -> None:
    await cut_off.run("channels", "pause", "sms")
    await add_held(office, engine_database, timedelta(hours=1))
    said = await cut_off.run("channels", "resume", "sms")
    assert said.lines[-1] == (
        f"Temporal does not answer at {NOWHERE}: 1 held run looks again within 1h."
    )


async def test_a_rate_is_in_temporal_at_once(
    line: CommandLine, office: Office, client: Client
) -> None:
    said = await line.run("channels", "set-rate", "sms", "600/minute")
    assert (said.code, said.lines) == (0, ["sms: 10/second, per organization none."])
    assert (await read_queue(client, SMS)).pace == Pace(10)

    await line.run("channels", "set-rate", "sms", "--per-organization", "2/second")
    assert (await read_queue(client, SMS)).pace == Pace(10, 2)

    document = (await line.run("channels", "set-rate", "sms", "none", "--json")).document
    assert document == {
        "channel": "sms",
        "per_second": None,
        "organization_per_second": 2.0,
        "applied": True,
    }
    assert (await read_queue(client, SMS)).pace == Pace(None, 2)
    await line.run("channels", "set-rate", "sms", "--per-organization", "none")
    assert (await read_queue(client, SMS)).pace == Pace()


async def test_a_rate_that_nobody_set_is_that_of_the_settings(
    office: Office, server: EmbeddedTemporal, client: Client
) -> None:
    line = CommandLine(
        FIXLIFY_DATABASE_URL=office.url,
        TEMPORAL_ADDRESS=server.address,
        FIXLIFY_SMS_RATE="3",
        FIXLIFY_EMAIL_RATE="4.5",
    )
    rates = {
        each["channel"]: each["per_second"]
        for each in (await line.run("channels", "list", "--json")).document
    }
    assert rates == {"email": 4.5, "sms": 3.0, "webhook": None}
    await line.run("channels", "set-rate", "sms", "none")
    assert (await read_queue(client, SMS)).pace == Pace()
    said = await line.run("channels", "set-rate", "sms", "--default")
    assert said.lines == ["sms: 3/second, per organization none."]
    assert (await read_queue(client, SMS)).pace == Pace(3)


async def test_a_rate_is_kept_while_temporal_is_away(cut_off: CommandLine, office: Office) -> None:
    said = await cut_off.run("channels", "set-rate", "sms", "5/second", "--json")
    assert (said.code, said.document["applied"]) == (0, False)
    assert "a relay brings it there within 10 seconds" in said.err
    (row,) = await office.query("SELECT per_second FROM channel_settings WHERE channel = 'sms'")
    assert row["per_second"] == 5


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("pause", "fax"), "'fax' is not one of"),
        (("pause", "sms", "--reason", "x" * 201), "at most 200 characters"),
        (("resume", "sms", "--send-everything", "--cancel-older-than", "2h"), "leaves out"),
        (("resume", "webhook", "--cancel-older-than", "2h"), "is for messages"),
        (("set-rate", "sms"), "give a RATE such as 20/second"),
        (("set-rate", "sms", "5/second", "--default"), "takes the place of a RATE"),
        (("set-rate", "sms", "fast"), "'fast' is not a rate; write 20/second"),
        (("set-rate", "sms", "20"), "write 20/second, 600/minute or none"),
        (("set-rate", "sms", "0/second"), "`fixlify channels pause` lets nothing go"),
        (("set-rate", "sms", "99999/second"), "is out of reach"),
        (("set-rate", "sms", "--per-organization", "-1/second"), "is not a rate"),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_what_can(
    cut_off: CommandLine, office: Office, arguments: tuple[str, ...], complaint: str
) -> None:
    said = await cut_off.run("channels", *arguments)
    assert said.code == 2
    assert complaint in " ".join(said.err.split())
    assert await office.query("SELECT * FROM channel_settings") == []
