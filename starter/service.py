"""The relay as a service: built from settings, running until told to stop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from fixlify import temporal
from fixlify.settings import Settings
from fixlify.storage.database import Database, Role
from fixlify.storage.listen import EventSignal
from starter.channels import RateKeeper, default_rates
from starter.hearing import Teller
from starter.launch import Launcher
from starter.reconcile import Reconciler
from starter.relay import Relay
from starter.schedules import ScheduleKeeper
from starter.stopping import unless_stopped, until_stopped
from starter.webhooks import FailureReporter

_CONNECT_PAUSE: Final = timedelta(seconds=1)
_RELAY_CONNECTIONS: Final = 2

_log = structlog.get_logger(__name__)


async def connect_patiently(settings: Settings, part: str) -> Client:
    """Connect to Temporal, waiting for as long as it is away.

    Args:
        settings: Where Temporal is.
        part: What this process is (``worker``, ``starter``), shown in the Web UI.
    """
    identity = f"fixlify-{part} {os.getpid()}@{socket.gethostname()}"
    # The SDK's own log lines are for its authors; what matters reaches ours as exceptions.
    runtime = Runtime(
        telemetry=TelemetryConfig(
            logging=LoggingConfig(TelemetryFilter(core_level="ERROR", other_level="ERROR"))
        )
    )
    said = False
    while True:
        try:
            return await temporal.connect(
                settings.temporal_address,
                settings.temporal_namespace,
                identity=identity,
                runtime=runtime,
            )
        except temporal.CONNECTION_ERRORS as error:
            if not said:
                _log.warning(
                    "Temporal is away; waiting for it. Nothing is lost meanwhile.",
                    address=settings.temporal_address,
                    error=str(error).partition("\n")[0],
                )
                said = True
            await asyncio.sleep(_CONNECT_PAUSE.total_seconds())


@asynccontextmanager
async def running_relay(
    settings: Settings, client: Client, *, eager: bool
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run a relay and what goes with it until the block ends.

    Yields their tasks. They end only by cancellation; if one fails, the process should end with it.
    """
    url = settings.database_url.get_secret_value()
    database = Database(url, Role.ENGINE, pool_size=_RELAY_CONNECTIONS)
    # Of its own: a sync holds its lock, and with it a connection, for as long as it takes.
    schedules = Database(url, Role.ENGINE, pool_size=1)
    try:
        async with EventSignal(url) as signal:
            relay = Relay(database, Launcher(client, eager=eager), signal, Teller(client))
            reconciler = Reconciler(client, database)
            tasks = [
                asyncio.create_task(relay.run(), name="relay"),
                asyncio.create_task(reconciler.run(), name="reconciler"),
                asyncio.create_task(FailureReporter(client, database).run(), name="failures"),
                asyncio.create_task(ScheduleKeeper(client, schedules).run(), name="schedules"),
                asyncio.create_task(
                    RateKeeper(client, database, default_rates(settings)).run(), name="rates"
                ),
            ]
            try:
                yield tasks
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await database.close()
        await schedules.close()


async def run_starter(settings: Settings, stop: asyncio.Event) -> None:
    """Run the relay alone, until *stop* is set."""
    client = await unless_stopped(connect_patiently(settings, "starter"), stop)
    if client is None:
        return
    async with running_relay(settings, client, eager=False) as relay:
        _log.info("The relay is running.", temporal=settings.temporal_address)
        await until_stopped(stop, *relay)
    _log.info("The relay has stopped.")
