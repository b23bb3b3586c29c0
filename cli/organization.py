"""``--organization``: whose automations and executions a command is about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.database import explained_database_errors
from cli.environment import settings_of_this_process
from fixlify.domain.errors import NotFoundError
from fixlify.domain.facts import Organization
from fixlify.domain.names import did_you_mean, nearest
from fixlify.settings import Settings
from fixlify.storage.database import Database, Role
from fixlify.storage.organizations import list_organizations

_Command = TypeVar("_Command", bound=Callable[..., Any])

# More than a person reads in an error message.
_LISTED: Final = 20


def organization_option(command: _Command) -> _Command:
    """Add ``--organization`` to *command*, as the parameter ``organization``."""
    return click.option(
        "--organization",
        metavar="NAME|ID",
        help="Whose; only needed where there are several organizations.",
    )(command)


@dataclass(frozen=True, slots=True)
class OpenOrganization:
    """One organization and a database that acts for people; lives as long as its command."""

    organization: Organization
    database: Database
    settings: Settings

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction that sees this organization's rows and no others."""
        return self.database.organization(self.organization.id)


@asynccontextmanager
async def open_organization(wanted: str | None) -> AsyncIterator[OpenOrganization]:
    """Yield the organization called *wanted* or, with None, the only one there is.

    Whatever the database reports inside the block is raised as a sentence.

    Raises:
        ConfigurationError: No database is configured, or it does not answer.
        NotFoundError: Nobody has that name, or there are several to choose from.
    """
    settings = settings_of_this_process()
    url = settings.database_url.get_secret_value()
    with explained_database_errors():
        organization = choose(await _organizations(url), wanted)
        database = Database(url, Role.APP, pool_size=1)
        try:
            yield OpenOrganization(organization, database, settings)
        finally:
            await database.close()


async def _organizations(url: str) -> list[Organization]:
    # A name belongs to nobody yet, so the role for one organization would find none.
    database = Database(url, Role.ENGINE, pool_size=1)
    try:
        async with database.statement() as connection:
            return await list_organizations(connection)
    finally:
        await database.close()


def choose(organizations: Sequence[Organization], wanted: str | None) -> Organization:
    """Return the one that *wanted* names by name or id; with None, the only one there is.

    Raises:
        NotFoundError: Nobody has that name, or several do, or there are several and none
            was named; the message lists them.
    """
    if not organizations:
        raise NotFoundError(
            "there is no organization yet; enter one: "
            "INSERT INTO organizations (name) VALUES ('Your company')"
        )
    found = [each for each in organizations if wanted is None or _is_called(each, wanted)]
    if len(found) == 1:
        return found[0]
    if wanted is None:
        problem = f"there are {len(found)} organizations; choose one with --organization NAME|ID"
        raise NotFoundError(f"{problem}:\n{_listing(found)}")
    if found:
        raise NotFoundError(
            f"{len(found)} organizations are called '{wanted}'; give the id:\n{_listing(found)}"
        )
    names = [each.name for each in organizations]
    raise NotFoundError(
        f"no organization '{wanted}'; {did_you_mean(wanted, names[:_LISTED])}",
        nearest(wanted, names),
    )


def _is_called(organization: Organization, wanted: str) -> bool:
    try:
        return organization.id == UUID(wanted)
    except ValueError:
        return organization.name.casefold() == wanted.strip().casefold()


def _listing(organizations: Sequence[Organization]) -> str:
    lines = [f"  {each.id}  {each.name}" for each in organizations[:_LISTED]]
    if len(organizations) > _LISTED:
        lines.append(f"  … and {len(organizations) - _LISTED} more")
    return "\n".join(lines)
