"""``--organization`` or ``--all``: whom a stop, or its end, is about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.database import explained_database_errors
from cli.environment import settings_of_this_process
from cli.organization import OpenOrganization, open_organization, organization_option
from fixlify.settings import Settings
from fixlify.storage.database import Database, Role
from fixlify.storage.stops import Stop

_Command = TypeVar("_Command", bound=Callable[..., Any])


def scope_options(command: _Command) -> _Command:
    """Add ``--organization`` and ``--all``, as ``organization`` and ``everybody``."""
    return organization_option(
        click.option("--all", "everybody", is_flag=True, help="All organizations.")(command)
    )


def refuse_both(organization: str | None, everybody: bool) -> None:
    """Refuse ``--organization`` beside ``--all``.

    Raises:
        click.UsageError: Both were given.
    """
    if organization is not None and everybody:
        raise click.UsageError("--organization names one, --all means all; give one of them")


@dataclass(frozen=True, slots=True)
class Scope:
    """One organization, or all; lives as long as its command.

    ``engine`` acts with the rights of the engine, in every organization.
    """

    settings: Settings
    engine: Database
    opened: OpenOrganization | None

    @property
    def organization_id(self) -> UUID | None:
        """The organization's id; None means all."""
        return self.opened.organization.id if self.opened else None

    @property
    def name(self) -> str:
        """Whom to name in a sentence."""
        return self.opened.organization.name if self.opened else "every organization"

    @property
    def document(self) -> dict[str, Any] | None:
        """The organization for ``--json``; None means all."""
        return {"id": self.organization_id, "name": self.name} if self.opened else None

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction with the least rights that will do: one organization's, or all."""
        return self.opened.transaction() if self.opened else self.engine.transaction()


@asynccontextmanager
async def open_scope(organization: str | None, everybody: bool) -> AsyncIterator[Scope]:
    """Yield all organizations, the one called *organization*, or the only one there is.

    Raises:
        ConfigurationError: No database is configured, or it does not answer.
        NotFoundError: Nobody has that name, or there are several to choose from.
    """
    if not everybody:
        async with (
            open_organization(organization) as opened,
            engine_database(opened.settings) as engine,
        ):
            yield Scope(opened.settings, engine, opened)
        return
    settings = settings_of_this_process()
    with explained_database_errors():
        async with engine_database(settings) as engine:
            yield Scope(settings, engine, None)


def stop_document(stop: Stop) -> dict[str, Any]:
    """Return *stop* for ``--json``; ``organization_id`` is None for a stop of all."""
    return {
        "organization_id": stop.organization_id,
        "reason": stop.reason,
        "stopped_at": stop.stopped_at,
    }


@asynccontextmanager
async def engine_database(settings: Settings) -> AsyncIterator[Database]:
    """Yield a database that acts with the rights of the engine, for what people may not write."""
    database = Database(settings.database_url.get_secret_value(), Role.ENGINE, pool_size=1)
    try:
        yield database
    finally:
        await database.close()
