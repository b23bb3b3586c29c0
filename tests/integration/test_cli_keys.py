"""Keys are made, shown once, listed and revoked over the command line."""

from __future__ import annotations

import pytest

from fixlify.domain.api_keys import is_key, key_hash
from fixlify.storage.api_keys import recognize_api_key
from fixlify.storage.database import Database
from tests.command_line import CommandLine
from tests.office import Office


@pytest.fixture
def command_line(office: Office) -> CommandLine:
    return CommandLine(FIXLIFY_DATABASE_URL=office.url)


async def test_a_new_key_is_shown_once_and_alone(
    command_line: CommandLine, office: Office, engine_database: Database
) -> None:
    said = await command_line.run("keys", "create", "website")
    assert said.code == 0
    (key,) = said.lines
    assert is_key(key)
    assert "shown this once" in said.err
    async with engine_database.statement() as connection:
        whose = await recognize_api_key(connection, key_hash(key))
    assert whose == office.organization_id
    assert key not in (await command_line.run("keys", "list")).out


async def test_a_program_gets_the_key_as_json(command_line: CommandLine) -> None:
    made = (await command_line.run("keys", "create", "website", "--json")).document
    assert is_key(made["key"])
    assert made["key"].startswith(f"fx_live_{made['prefix']}_")
    (listed,) = (await command_line.run("keys", "list", "--json")).document
    del made["key"]
    assert listed == made | {"status": "active", "revoked_at": None, "last_used_at": None}


@pytest.mark.parametrize("by", ["name", "prefix"])
async def test_a_key_is_revoked_for_good(
    by: str, command_line: CommandLine, engine_database: Database
) -> None:
    made = (await command_line.run("keys", "create", "website", "--json")).document
    revoked = await command_line.run("keys", "revoke", made[by])
    assert revoked.lines == ["'website' is revoked."]
    async with engine_database.statement() as connection:
        assert await recognize_api_key(connection, key_hash(made["key"])) is None
    again = await command_line.run("keys", "revoke", made[by])
    assert again.code == 0
    assert again.out.startswith("'website' was revoked before")
    (listed,) = (await command_line.run("keys", "list", "--json")).document
    assert listed["status"] == "revoked"


async def test_a_name_is_given_once(command_line: CommandLine) -> None:
    """Also after it was revoked: who reads the list must be able to tell them apart."""
    await command_line.run("keys", "create", "website")
    await command_line.run("keys", "revoke", "website")
    said = await command_line.run("keys", "create", "website")
    assert said.code == 2
    assert "choose another name" in said.err


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 101])
async def test_a_name_is_one_line_of_text(name: str, command_line: CommandLine) -> None:
    assert (await command_line.run("keys", "create", name)).code == 2


async def test_an_unknown_key_is_answered_with_the_nearest(command_line: CommandLine) -> None:
    assert "there are none yet" in (await command_line.run("keys", "revoke", "website")).err
    await command_line.run("keys", "create", "website")
    said = await command_line.run("keys", "revoke", "webside")
    assert said.code == 1
    assert "did you mean 'website'?" in said.err


async def test_bytes_that_are_no_text_are_an_unknown_key(command_line: CommandLine) -> None:
    said = await command_line.run("keys", "revoke", "\udcff")
    assert said.code == 1
    assert said.err.startswith("fixlify: no key")


async def test_the_keys_of_another_company_are_out_of_reach(
    command_line: CommandLine, office: Office
) -> None:
    await command_line.run("keys", "create", "website")
    async with await Office.open(office.url, "Southwind"):
        listed = await command_line.run("keys", "list", "--organization", "Southwind")
        assert "There is no key yet" in listed.out
        revoked = await command_line.run("keys", "revoke", "website", "--organization", "Southwind")
        assert revoked.code == 1
        mine = await command_line.run("keys", "create", "website", "--organization", "southwind")
        assert mine.code == 0
