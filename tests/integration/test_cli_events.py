"""Events are reported and listed over the command line, by the rules of the API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixlify.storage.database import Database
from fixlify.storage.listen import EventSignal
from starter.relay import Relay
from tests.command_line import CommandLine
from tests.office import Office
from tests.relaying import RecordingLauncher


@pytest.fixture
def command_line(office: Office) -> CommandLine:
    return CommandLine(FIXLIFY_DATABASE_URL=office.url)


@pytest.fixture
def relay(engine_database: Database, office: Office) -> Relay:
    return Relay(engine_database, RecordingLauncher(), EventSignal(office.url))


async def custom_events(office: Office) -> list[dict[str, Any]]:
    return [each for each in await office.events() if each["event_type"] == "custom"]


async def test_an_event_is_recorded_about_what_the_options_name(
    command_line: CommandLine, office: Office
) -> None:
    await office.add_job("J-2019")
    said = await command_line.run(
        *("events", "send", "review.submitted", "--job", "J-2019", "--id", "review-1"),
        *("--data", "stars=5", "--data", "text=very good = great", "--data", 'phone="5550100"'),
        *("--data", "paid=true", "--data", "zip=02134", "--data", "odd=NaN"),
    )
    assert said.code == 0, said.err
    (row,) = await custom_events(office)
    assert said.lines[0] == f"Event {row['id']} is recorded."
    assert (row["subject_type"], row["subject_id"]) == ("job", "J-2019")
    assert row["source_key"] == "review-1"
    assert row["data"] == {
        "name": "review.submitted",
        "data": {
            "stars": 5,
            "text": "very good = great",
            "phone": "5550100",
            "paid": True,
            "zip": "02134",
            "odd": "NaN",
        },
    }


async def test_the_same_id_again_is_a_duplicate(command_line: CommandLine, office: Office) -> None:
    await command_line.run("events", "send", "a", "--id", "x")
    said = await command_line.run("events", "send", "a", "--id", "x", "--json")
    (row,) = await custom_events(office)
    assert said.document == {
        "accepted": 0,
        "duplicates": 1,
        "events": [{"id": str(row["id"]), "status": "duplicate"}],
    }


async def test_an_event_may_be_about_anything(command_line: CommandLine, office: Office) -> None:
    client = await office.add_client()
    invoice = await office.insert("invoices", organization_id=office.organization_id)
    estimate = await office.insert("estimates", organization_id=office.organization_id)
    for options in (
        ("--client", str(client)),
        ("--invoice", str(invoice["id"])),
        ("--subject", f"estimate:{estimate['id']}"),
        (),
    ):
        said = await command_line.run("events", "send", "a", *options, "--data-json", '{"n": 1}')
        assert said.code == 0, said.err
    subjects = [(each["subject_type"], each["subject_id"]) for each in await custom_events(office)]
    assert subjects == [
        ("client", str(client)),
        ("invoice", str(invoice["id"])),
        ("estimate", str(estimate["id"])),
        ("organization", str(office.organization_id)),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Shop Opened"], "/name: a name is a lower-case letter"),
        (["a", "--job", "J-404"], "/subject/id: there is no job 'J-404'"),
        (["a", "--subject", "sms:1"], "/subject/type: unknown value 'sms'"),
        (["a", "--data", "Über=1"], "/data/Über: a key is"),
        (["a", "--data-json", '{"a": {}}'], "/data/a: must be text"),
        (["a", "--data-json", "[]"], "/data: must be an object"),
        (["a", "--data-json", "{"], "it is not JSON"),
        (["a", "--data", "nothing"], "'nothing' is not key=value"),
        (["a", "--data", "b=1", "--data", "b=2"], "'b' is there twice"),
        (["a", "--data", "b=1", "--data-json", "{}"], "not both"),
        (["a", "--job", "1", "--client", "2"], "Give one of --job, --client"),
        (["a", "--subject", "job"], "is not TYPE:ID"),
        (["a", "--file", "-"], "give nothing but --file"),
        ([], "Give the NAME"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_recorded(
    arguments: list[str], words: str, command_line: CommandLine, office: Office
) -> None:
    said = await command_line.run("events", "send", *arguments)
    assert said.code == 2
    assert words in said.err
    assert await custom_events(office) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "a"}\n{"name": "b"}\n\n{"name": "c"}\n',
        '{"events": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}',
        '\ufeff{\n  "events": [\n    {"name": "a"}, {"name": "b"}, {"name": "c"}\n  ]\n}\n',
    ],
)
async def test_a_file_holds_a_body_or_an_event_per_line(
    text: str, command_line: CommandLine, office: Office, tmp_path: Path
) -> None:
    file = tmp_path / "events.json"
    file.write_text(text, encoding="utf-8")
    said = await command_line.run("events", "send", "--file", str(file))
    assert said.lines[0] == "3 events are recorded, 0 were there before."
    said = await command_line.run("events", "send", "--file", "-", stdin=text.encode())
    assert said.code == 0, said.err
    names = [each["data"]["name"] for each in await custom_events(office)]
    assert names == ["a", "b", "c"] * 2


async def test_a_file_may_hold_more_than_a_request(
    command_line: CommandLine, office: Office
) -> None:
    lines = [json.dumps({"name": "a", "id": f"id-{place % 2500}"}) for place in range(2600)]
    said = await command_line.run("events", "send", "--file", "-", stdin="\n".join(lines))
    assert said.lines[0] == "2500 events are recorded, 100 were there before."
    assert len(await custom_events(office)) == 2500


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"name": "a"}\n{"nmae": "b"}\n', "line 2/nmae: unknown key 'nmae'; did you mean"),
        ('{"name": "a"}\n{"name": \n', "line 2: is not JSON"),
        (
            '{"name": "a"}\n{"name": "b", "subject": {"type": "job", "id": "1"}}',
            "line 2/subject/id",
        ),
        ('{"events": [{"name": "A"}]}', "/events/0/name: a name is"),
        # One document over several lines: the mistake is in the third.
        ('{"events": [\n{"name": "a"},\n]}\n', "is not JSON: Expecting value in line 3"),
        ('{\n"name": "a",\n"name": "b"\n}\n', 'has the key "name" twice'),
        ("nonsense", "is not JSON"),
        ("", "holds no event"),
        ("\r\n \n", "holds no event"),
    ],
)
async def test_one_bad_event_of_a_file_leaves_all_unrecorded(
    text: str, words: str, command_line: CommandLine, office: Office
) -> None:
    said = await command_line.run("events", "send", "--file", "-", stdin=text)
    assert said.code == 2
    assert f"standard input: {words}" in said.err
    assert "Nothing was recorded." in said.err
    assert await custom_events(office) == []


async def test_a_file_that_is_not_there_is_named(command_line: CommandLine) -> None:
    said = await command_line.run("events", "send", "--file", "/nonexistent/events.json")
    assert said.code == 2
    assert "/nonexistent/events.json: cannot be read" in said.err


async def test_the_list_shows_what_was_recorded_newest_first(
    command_line: CommandLine, office: Office, relay: Relay
) -> None:
    empty = await command_line.run("events", "list")
    assert empty.out.startswith("Nothing was recorded yet")
    await office.add_job("J-1")
    await relay.relay_batch()
    await command_line.run("events", "send", "review.submitted", "--job", "J-1", "--id", "x")

    said = await command_line.run("events", "list")
    assert said.lines[0].split() == ["TIME", "EVENT", "TYPE", "SUBJECT", "OUTCOME"]
    assert "custom: review.submitted" in said.lines[1]
    assert said.lines[1].endswith("waiting for a relay")
    assert said.lines[2].endswith("nothing matched")

    newest, oldest, *_ = (await command_line.run("events", "list", "--json")).document
    assert newest["name"] == "review.submitted"
    assert newest["source_id"] == "x"
    assert newest["outcome"] is None
    assert oldest["event_type"] == "job_created"
    assert oldest["outcome"] == "nothing matched"


async def test_the_list_can_be_narrowed(command_line: CommandLine, office: Office) -> None:
    await office.add_job("J-1")
    await command_line.run("events", "send", "a")
    await office.query(
        "UPDATE automation_events SET occurred_at = now() - interval '3 hours' "
        "WHERE event_type <> 'custom'"
    )

    async def types(*options: str) -> list[str]:
        found = await command_line.run("events", "list", "--json", *options)
        return [each["event_type"] for each in found.document]

    assert await types("--type", "job_created") == ["job_created"]
    assert await types("--since", "2h") == ["custom"]
    assert await types("--limit", "1") == ["custom"]
    more = await command_line.run("events", "list", "--limit", "1")
    assert "--limit 5 shows more" in more.out
    none = await command_line.run("events", "list", "--type", "invoice_overdue")
    assert none.out.startswith("No event matches")


async def test_another_company_sees_and_reports_its_own(
    command_line: CommandLine, office: Office
) -> None:
    await office.add_job("J-1")
    async with await Office.open(office.url, "Southwind") as other:
        there = ("--organization", "Southwind")
        assert (await command_line.run("events", "list", *there, "--json")).document == []
        said = await command_line.run("events", "send", "a", "--job", "J-1", *there)
        assert said.code == 2
        await command_line.run("events", "send", "a", *there)
        (row,) = await custom_events(other)
        assert row["subject_id"] == str(other.organization_id)
