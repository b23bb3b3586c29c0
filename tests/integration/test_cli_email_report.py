"""``fixlify email-report`` at the pipe of a mailbox."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from fixlify.storage.database import Database
from tests.command_line import CommandLine
from tests.integration.test_bounces import returned, status_of
from tests.mailed import send_email
from tests.office import Office


@pytest.mark.parametrize("way", ["file", "pipe"])
async def test_a_report_is_recorded_and_told_again_it_is_no_news(
    office: Office, engine_database: Database, tmp_path: Path, way: str
) -> None:
    message_id = await send_email(office, engine_database)
    mail = returned(message_id)
    file = tmp_path / "mail.eml"
    file.write_bytes(mail)
    command = CommandLine(FIXLIFY_DATABASE_URL=office.url)
    for recorded in (1, 0):
        if way == "file":
            said = await command.run("email-report", str(file), "--json")
        else:
            said = await command.run("email-report", "-", "--json", stdin=mail)
        assert said.document == {"recorded": recorded, "unchanged": 1 - recorded, "ignored": 0}
    assert await status_of(office, message_id) == "bounced"


async def test_other_mail_is_no_mistake(office: Office) -> None:
    command = CommandLine(FIXLIFY_DATABASE_URL=office.url)
    said = await command.run("email-report", "-", stdin=b"Subject: Hello\n\n\xff\x00")
    assert (said.code, said.lines) == (0, ["It reports nothing about a message."])


async def test_a_file_that_is_not_there_is_named(office: Office, tmp_path: Path) -> None:
    command = CommandLine(FIXLIFY_DATABASE_URL=office.url)
    said = await command.run("email-report", str(tmp_path / "none.eml"))
    assert said.code == 1
    assert "none.eml cannot be read: no such file" in said.err


async def test_a_mail_server_is_told_to_try_again_while_the_database_is_away() -> None:
    command = CommandLine(FIXLIFY_DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing")
    said = await command.run("email-report", "-", stdin=returned(UUID(int=1)))
    assert said.code == 75
    assert "the database cannot be reached" in said.err
    assert (await CommandLine().run("email-report", "-", stdin=b"")).code == 75
