"""The schedules a command is about, with the database and Temporal behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from temporalio.client import Client
from temporalio.service import RPCError

from cli.database import explained_database_errors
from cli.environment import settings_of_this_process
from cli.main import Failure
from cli.organization import choose
from cli.output import errors
from cli.schedule_names import find_schedule
from cli.schedule_output import Seen
from fixlify import temporal
from fixlify.settings import Settings
from fixlify.storage.database import Database, Role
from fixlify.storage.organizations import list_organizations
from fixlify.storage.schedules import (
    ScheduleHistory,
    StoredSchedule,
    database_now,
    schedule_histories,
    scheduled_automations,
    stored_schedules,
    used_zones,
)
from starter.schedules import steering
from starter.schedules.desired import ScheduleProblem, desired_schedules

_AWAY: Final = "Temporal is away: next runs and pauses are as last known."


@dataclass(frozen=True, slots=True)
class OpenSchedules:
    """The schedules of one organization or of all, and the engine's view of the database."""

    settings: Settings
    database: Database
    organization_id: UUID | None

    async def all(self) -> list[StoredSchedule]:
        """Return the schedules."""
        async with self.database.transaction() as connection:
            return await stored_schedules(connection, self.organization_id)

    async def one(self, wanted: str) -> StoredSchedule:
        """Return the schedule that *wanted* names."""
        return find_schedule(await self.all(), wanted)

    async def missing(self) -> list[ScheduleProblem]:
        """Return why schedules that there should be were never made."""
        async with self.database.transaction() as connection:
            now = await database_now(connection)
            zones = await used_zones(connection)
            automations = await scheduled_automations(connection)
            made = {each.id for each in await stored_schedules(connection)}
        desired = await asyncio.to_thread(desired_schedules, zones, automations, now)
        return [each for each in desired.problems if each.schedule_id not in made]

    async def client(self) -> Client:
        """Connect to Temporal, or fail with where it should be."""
        address = self.settings.temporal_address
        try:
            return await temporal.connect(address, self.settings.temporal_namespace)
        except temporal.CONNECTION_ERRORS as error:
            raise Failure(
                f"Temporal does not answer at {address}; start it, or correct TEMPORAL_ADDRESS"
            ) from error

    async def seen(self, schedules: list[StoredSchedule]) -> list[Seen]:
        """Return *schedules* with their history and how they are in Temporal, if that is there."""
        ids = [each.id for each in schedules]
        async with self.database.transaction() as connection:
            histories = await schedule_histories(connection, ids)
        try:
            live = await steering.look_at(await self.client(), ids)
        except (Failure, *temporal.CONNECTION_ERRORS):
            live = None
            errors.print(_AWAY)
        return [
            Seen(
                each,
                histories.get(each.id, ScheduleHistory()),
                live.get(each.id) if live is not None else None,
                asked=live is not None,
            )
            for each in schedules
        ]


@asynccontextmanager
async def open_schedules(organization: str | None = None) -> AsyncIterator[OpenSchedules]:
    """Yield the schedules that concern an *organization*, by name or id, or with None all.

    Whatever the database or Temporal reports inside the block is raised as a sentence.

    Raises:
        ConfigurationError: No database is configured, or it does not answer.
        NotFoundError: No organization has that name.
    """
    settings = settings_of_this_process()
    with explained_database_errors():
        database = Database(settings.database_url.get_secret_value(), Role.ENGINE, pool_size=1)
        try:
            organization_id = None
            if organization is not None:
                async with database.transaction() as connection:
                    known = await list_organizations(connection)
                organization_id = choose(known, organization).id
            yield OpenSchedules(settings, database, organization_id)
        except RPCError as error:
            raise Failure(f"Temporal did not do it: {str(error).partition(chr(10))[0]}") from error
        finally:
            await database.close()
