"""fixlify keys: who may report events over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import click
from rich.text import Text

from cli.listing import Column, Line, print_listing
from cli.organization import OpenOrganization, open_organization, organization_option
from cli.output import console, errors, json_option, local, print_json
from fixlify.domain.api_keys import key_hash, new_key
from fixlify.domain.errors import NotFoundError
from fixlify.domain.names import did_you_mean, nearest
from fixlify.storage.api_keys import (
    ApiKey,
    create_api_key,
    find_api_keys,
    list_api_keys,
    revoke_api_key,
)

_LONGEST_NAME: Final = 100
_COLUMNS: Final = (
    Column("KEY", shrinks=True),
    Column("PREFIX"),
    Column("STATUS"),
    Column("CREATED"),
    Column("LAST USED"),
)


@click.group()
def keys() -> None:
    """Let other programs report events over HTTP, or no longer."""


@keys.command()
@click.argument("name")
@organization_option
@json_option
def create(name: str, organization: str | None, as_json: bool) -> None:
    """Make a key called NAME, and show it, once.

    Whoever has it may report events of this organization, and do nothing else.
    """
    name = name.strip()
    if not name.isprintable() or not 1 <= len(name) <= _LONGEST_NAME:
        raise click.BadParameter("must be 1 to 100 printable characters", param_hint="NAME")

    async def run() -> None:
        key = new_key()
        async with open_organization(organization) as opened, opened.transaction() as connection:
            stored = await create_api_key(
                connection, opened.organization.id, name, key.prefix, key_hash(key.text)
            )
        if stored is None:
            raise click.BadParameter(
                f"there is, or was, a key '{name}'; choose another name", param_hint="NAME"
            )
        if as_json:
            print_json(_document(stored) | {"key": key.text})
            return
        # The key alone on standard output, for a pipe into wherever it is kept.
        console.print(key.text, soft_wrap=True)
        errors.print(
            Text(f"The key '{name}'. It is shown this once; keep it where secrets are kept.")
        )

    asyncio.run(run())


@keys.command(name="list")
@organization_option
@json_option
def list_(organization: str | None, as_json: bool) -> None:
    """List the keys, revoked ones too.

    What they are called, not what they are.
    """

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = await list_api_keys(connection)
        if as_json:
            print_json([_document(key) for key in found])
        elif found:
            print_listing(console, _COLUMNS, [_line(key) for key in found])
        else:
            console.print("There is no key yet; `fixlify keys create NAME` makes one.")

    asyncio.run(run())


@keys.command()
@click.argument("key", metavar="NAME|PREFIX")
@organization_option
@json_option
def revoke(key: str, organization: str | None, as_json: bool) -> None:
    """Make a key useless, from the next request on and for good."""

    async def run() -> None:
        async with open_organization(organization) as opened:
            found = await _find(opened, key)
            async with opened.transaction() as connection:
                revoked = await revoke_api_key(connection, found.id) or found
        if as_json:
            print_json(_document(revoked))
        elif revoked is found:
            console.print(Text(f"'{found.name}' was revoked before, {local(found.revoked_at)}."))
        else:
            console.print(Text(f"'{revoked.name}' is revoked."))

    asyncio.run(run())


async def _find(opened: OpenOrganization, name_or_prefix: str) -> ApiKey:
    async with opened.transaction() as connection:
        # No name is otherwise, and bytes that are no text the database could not be asked for.
        if name_or_prefix.isprintable() and (
            found := await find_api_keys(connection, name_or_prefix)
        ):
            return found[0]
        names = [key.name for key in await list_api_keys(connection)]
    hint = did_you_mean(name_or_prefix, names) if names else "there are none yet"
    raise NotFoundError(f"no key '{name_or_prefix}'; {hint}", nearest(name_or_prefix, names))


def _line(key: ApiKey) -> Line:
    return Line(
        (
            key.name,
            key.prefix,
            _status(key),
            local(key.created_at),
            local(key.last_used_at) or "never",
        ),
        f"revoked {local(key.revoked_at)}" if key.revoked_at else None,
    )


def _status(key: ApiKey) -> str:
    return "revoked" if key.revoked_at else "active"


def _document(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "status": _status(key),
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }
