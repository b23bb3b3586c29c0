"""Templates are listed, judged, previewed and imported over the command line."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.command_line import CommandLine, Said
from tests.office import Office

EXPORT = [
    {
        "id": 1,
        "name": "Job Completed",
        "type": "email",
        "subject": "Thank you {{client.firstName}}",
        "content": "<p>Hi {{client_name}},</p>{{#if job_total}}<p>Total ${{job_total}}</p>{{/if}}",
    },
    {"name": "Job Completed", "type": "sms", "content": "Thanks {client.firstName}!"},
    {"name": "Our news", "type": "sms", "content": "News from {{company_name}}"},
]
THANKS = """
name: Thanks
trigger: {type: job_completed}
steps:
  - {id: mail, type: send_email, template: job-completed}
  - {id: text, type: send_sms, template: job-completed}
"""


@pytest.fixture
def command_line(office: Office) -> CommandLine:
    return CommandLine(FIXLIFY_DATABASE_URL=office.url, COLUMNS="120")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    file = tmp_path / "export.json"
    file.write_text(json.dumps({"message_templates": EXPORT}))
    return file


def folder(path: Path, **files: str) -> Path:
    names = {"subject": "subject.txt", "text": "body.txt", "html": "body.html", "sms": "sms.txt"}
    path.mkdir(parents=True, exist_ok=True)
    for part, text in files.items():
        (path / names[part]).write_text(text)
    return path


def names_in(path: Path) -> list[str]:
    return [file.name for file in path.iterdir()]


async def refused(command_line: CommandLine, office: Office, path: Path) -> Said:
    said = await command_line.run("templates", "import", str(path))
    assert said.code == 2
    assert "Nothing was stored" in said.err
    assert await office.query("SELECT FROM message_templates") == []
    return said


async def test_an_export_is_imported_unchanged_and_reaches_the_automations(
    office: Office, command_line: CommandLine, export: Path
) -> None:
    await office.apply(THANKS)

    said = await command_line.run("templates", "import", str(export))

    assert said.code == 0
    assert "stands in place of the shipped one" in said.out
    assert "Thanks has the new text, as version 2." in said.out
    assert "a text part was made of the HTML" in said.err
    shown = (await command_line.run("templates", "show", "job-completed", "--json")).document
    assert shown["texts"]["en_US"]["sms"] == "Thanks {{ client.first_name }}!"
    assert "Total ${{ job.total }}" in shown["texts"]["en_US"]["text"]
    again = (await command_line.run("templates", "import", str(export), "--json")).document
    assert {each["change"] for each in again["templates"]} == {"unchanged"}
    assert again["automations"] == []


async def test_automations_may_name_a_template_of_the_companys_own(
    office: Office, command_line: CommandLine, export: Path, tmp_path: Path
) -> None:
    file = tmp_path / "news.yaml"
    file.write_text(
        THANKS.replace("template: job-completed", "template: our-news").replace(
            "  - {id: mail, type: send_email, template: our-news}\n", ""
        )
    )
    assert (await command_line.run("automations", "apply", str(file))).code == 2

    await command_line.run("templates", "import", str(export))

    assert (await command_line.run("automations", "apply", str(file))).code == 0
    validated = ("automations", "validate", str(file))
    assert (await command_line.run(*validated)).code == 2
    assert (await command_line.run(*validated, "--organization", "Northwind Heating")).code == 0
    listed = (await command_line.run("templates", "list", "--json")).document
    (news,) = [each for each in listed if each["name"] == "our-news"]
    assert (news["own"], news["used_by"], news["channels"]) == (True, ["Thanks"], ["sms"])


async def test_folders_hold_languages(
    office: Office, command_line: CommandLine, tmp_path: Path
) -> None:
    folder(tmp_path / "t" / "hello", sms="Hello")
    folder(tmp_path / "t" / "hello" / "es-mx", sms="Hola")

    assert (await command_line.run("templates", "import", str(tmp_path / "t"))).code == 0

    said = await command_line.run("templates", "show", "hello", "--locale", "es_MX")
    assert "Hola" in said.out
    assert "Hello" not in said.out


async def test_every_problem_is_told_with_its_file_and_line_and_nothing_is_stored(
    office: Office, command_line: CommandLine, tmp_path: Path
) -> None:
    folder(tmp_path / "good", sms="Fine")
    folder(tmp_path / "bad", subject="Hi", text="Dear\n{{clientNme}} {", sms="Hi")

    said = await refused(command_line, office, tmp_path)

    assert f"{tmp_path}/bad/body.txt: text line 2: unknown variable 'clientNme'" in said.err
    assert "'{' would be sent as it stands" in said.err
    assert (await command_line.run("templates", "lint", str(tmp_path))).code == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("Hällo".encode("utf-16"), "is text in UTF-16; save it as UTF-8"),
        ("it\u2019s".encode("cp1252"), "line 1 is not text in UTF-8 (byte 0x92)"),
        (b"a\nb\0c", "line 2 holds a character that cannot be stored"),
        (b"x" * 10_000_000, "is larger than 2 MB"),
        (b"x" * 150_000, "is longer than 100,000 characters"),
        (b"\x89PNG\r\n\x1a\n\0", "is not text in UTF-8"),
        (b"", "is empty"),
    ],
)
async def test_a_file_that_is_no_text_is_named(
    office: Office, command_line: CommandLine, tmp_path: Path, content: bytes, words: str
) -> None:
    place = folder(tmp_path / "hello")
    (place / "sms.txt").write_bytes(content)

    said = await refused(command_line, office, tmp_path)

    assert f"{place}/sms.txt: " in said.err
    assert words in said.err


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"name": "A", "type": "sms", "content": "x"}] * 2, "is in"),
        ([{"name": "A", "type": "fax", "content": "x"}], "'fax' is no channel"),
        ([{"name": "A", "content": "x"}], "write email or sms under 'type'"),
        ([{"name": "A", "type": "email", "content": "x"}], "a body and no subject"),
        ([{"type": "sms", "content": "x"}], "row 1: has no name"),
        ([{"name": "A", "type": "sms", "content": "\ud800"}], "cannot be stored"),
        ([{"name": "A", "steps": [], "content": "x"}], "is an automation"),
        ([{"name": "A", "type": "sms", "content": {"a": 1}}], "'content' is no text"),
        (
            [{"name": n, "type": "sms", "content": "x", "organization_id": n} for n in "AB"],
            "templates of 2 organizations",
        ),
        ([], "holds no template"),
        ([3], "row 1: is no object"),
    ],
)
async def test_a_row_that_is_no_template_is_named(
    office: Office, command_line: CommandLine, tmp_path: Path, rows: object, words: str
) -> None:
    file = tmp_path / "export.json"
    file.write_text(json.dumps(rows))

    said = await refused(command_line, office, file)

    assert str(file) in said.err
    assert words in said.err


async def test_csv_is_taken_too(office: Office, command_line: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    file.write_text('name,type,content\nHello,sms,"Hi {{client_name}},\nbye"\n')

    document = (await command_line.run("templates", "import", str(file), "--json")).document

    assert [each["name"] for each in document["templates"]] == ["hello"]


async def test_circles_and_missing_folders_end(
    office: Office, command_line: CommandLine, tmp_path: Path
) -> None:
    place = folder(tmp_path / "t" / "hello", sms="Hello")
    (place / "round").symlink_to(tmp_path / "t", target_is_directory=True)
    (place / "sms.html").symlink_to(place / "sms.html")
    assert (await command_line.run("templates", "lint", str(tmp_path / "t"))).code in (0, 2)

    (place / "sms.html").unlink()
    os.mkfifo(place / "body.txt")
    said = await command_line.run("templates", "import", str(tmp_path / "t"))
    assert f"{place}/body.txt: is no file" in said.err
    (place / "body.txt").unlink()
    assert (await command_line.run("templates", "import", str(tmp_path / "t"))).code == 0
    said = await command_line.run("templates", "import", str(tmp_path / "nowhere"))
    assert (said.code, "is not there" in said.err) == (2, True)


async def test_a_template_is_shown_and_previewed_as_a_page(
    office: Office, command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.chromium._browser", lambda: None)
    job = await office.add_job("J-7")
    said = await command_line.run(
        "templates", "preview", "job-completed", "--subject", f"job:{job}", "--into", str(tmp_path)
    )

    assert said.code == 0
    assert "Hi Ada," in said.out
    assert "1 segment in GSM-7" in said.out
    assert "install Chromium" in said.err
    assert names_in(tmp_path) == ["job-completed.html"]
    assert await office.query("SELECT FROM messages") == []


async def test_a_preview_of_what_is_unknown_says_the_nearest(
    office: Office, command_line: CommandLine
) -> None:
    said = await command_line.run("templates", "preview", "job-complete")
    assert (said.code, "did you mean 'job-completed'?" in said.err) == (1, True)
    said = await command_line.run("templates", "preview", "job-completed", "--subject", "jobb:1")
    assert (said.code, "did you mean 'job'?" in said.err) == (2, True)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
async def test_pictures_are_taken_where_chromium_is(tmp_path: Path) -> None:
    said = await CommandLine().run(
        "templates", "preview", "on-the-way", "--shipped", "--into", str(tmp_path), "--json"
    )

    assert said.code == 0
    pictures = {"on-the-way-desktop.png", "on-the-way-phone.png", "on-the-way-dark.png"}
    assert set(names_in(tmp_path)) == {"on-the-way.html", *pictures}
    for name in pictures:
        width = int.from_bytes((tmp_path / name).read_bytes()[16:20], "big")
        assert width == (1000 if "desktop" in name else 750)


async def test_a_company_says_how_it_looks_and_where_its_links_lead(
    office: Office, command_line: CommandLine
) -> None:
    said = await command_line.run(
        "organization",
        "set",
        "--link",
        "payment=https://pay.example/{invoice.number}",
        "--color",
        "#0b6e4f",
        "--logo",
        "https://x.example/l.png",
        "--sms-number",
        "(212) 555-0100",
    )
    assert said.code == 0
    document = (await command_line.run("organization", "show", "--json")).document
    assert document["links"]["payment"] == "https://pay.example/{invoice.number}"
    assert (document["color"], document["sms_number"]) == ("#0b6e4f", "+12125550100")

    await command_line.run("organization", "set", "--link", "payment=", "--logo", "")
    document = (await command_line.run("organization", "show", "--json")).document
    assert (document["links"]["payment"], document["logo"]) == (None, None)
    assert document["color"] == "#0b6e4f"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--link", "pay=https://x.example", "did you mean 'payment'?"),
        ("--link", "payment=javascript:alert(1)", "is no web address"),
        ("--link", "payment=https://x.example/{invoice.nmber}", "did you mean 'invoice.number'?"),
        ("--link", "payment=https://{client.name}/", "in the name of its server"),
        ("--link", "payment=https://x.example/{", "a brace without its other half"),
        ("--logo", "http://x.example/l.png", "begins with https://"),
        ("--color", "green", "is no colour"),
        ("--address", "a\nb", "one line"),
        ("--sms-number", "12", "is no phone number"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    office: Office, command_line: CommandLine, option: str, value: str, words: str
) -> None:
    said = await command_line.run("organization", "set", option, value)
    assert said.code == 2
    assert words in said.err
    assert option in said.err
