"""The stack a measurement runs on: fresh, alone, and gone with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Final

import psycopg
from temporalio.client import Client

from benchmarks.lab.companies import Founder
from benchmarks.lab.deliveries import Deliveries
from cli.worker_process import WorkerProcess
from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.stack import DevStack, Ports
from fixlify import temporal
from fixlify.domain.errors import DevstackError
from fixlify.storage.migrations import migrate

START_DEADLINE: Final = timedelta(seconds=30)
_LOOK_AGAIN: Final = 0.02


@dataclass(frozen=True, slots=True)
class Lab:
    """A running stack with the engine's tables in it, and no worker yet.

    The mailbox and the phone run in this process; everything else in processes of their own.
    ``connection`` is the owner's and commits each statement.
    """

    home: Path
    url: str
    environment: Mapping[str, str]
    client: Client
    connection: psycopg.AsyncConnection[Any]
    mail: MailCatcher
    phone: SmsCatcher
    deliveries: Deliveries
    founder: Founder

    @asynccontextmanager
    async def worker(
        self, name: str = "worker", settings: Mapping[str, str] | None = None
    ) -> AsyncIterator[WorkerProcess]:
        """Run one worker process with its relay until the block ends; yields it ready."""
        folder = self.home / name
        folder.mkdir()
        others = await self._relays()
        async with WorkerProcess(folder, {**self.environment, **(settings or {})}) as worker:
            await self._ready(worker, others)
            yield worker

    async def completed(self, expected: int, deadline: timedelta) -> None:
        """Wait until so many executions have ended.

        Raises:
            TimeoutError: They did not within *deadline*; it says how many did.
        """
        until = monotonic() + deadline.total_seconds()
        while (ended := await self.count_ended()) < expected:
            if monotonic() > until:
                raise TimeoutError(f"only {ended} of {expected} executions ended in {deadline}")
            await asyncio.sleep(_LOOK_AGAIN)

    async def count_ended(self) -> int:
        """Return how many executions have ended."""
        cursor = await self.connection.execute(
            "SELECT count(*) FROM automation_execution_logs WHERE completed_at IS NOT NULL"
        )
        row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def _relays(self) -> set[int]:
        """Return the connections over which relays listen for events."""
        cursor = await self.connection.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'fixlify listen' AND query LIKE 'LISTEN%'"
        )
        return {pid async for (pid,) in cursor}

    async def _ready(self, worker: WorkerProcess, others: set[int]) -> None:
        """Wait until the worker listens beside *others* and nothing is left to relay."""
        until = monotonic() + START_DEADLINE.total_seconds()
        while worker.exit_code is None and monotonic() < until:
            cursor = await self.connection.execute(
                "SELECT EXISTS (SELECT FROM automation_events WHERE processed_at IS NULL)"
            )
            if await self._relays() - others and await cursor.fetchone() == (False,):
                return
            await asyncio.sleep(_LOOK_AGAIN)
        raise DevstackError(f"the worker did not get ready; its log ends:\n{worker.last_words()}")


@asynccontextmanager
async def open_lab(*, ui: bool = False) -> AsyncIterator[Lab]:
    """Start a fresh stack on free ports, below a temporary folder that goes with it.

    Nothing of the environment is used: no real provider is ever reached.
    """
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="fixlify-lab-")))
        devstack = await stack.enter_async_context(
            DevStack(home, usual_ports=Ports(), ui=ui, environment={})
        )
        if devstack.mail is None or devstack.sms is None:
            raise DevstackError("a measurement needs a mailbox and a phone of its own")
        environment = devstack.environment()
        url = environment["FIXLIFY_DATABASE_URL"]
        await asyncio.to_thread(migrate, url)
        connection = await stack.enter_async_context(
            await psycopg.AsyncConnection.connect(url, autocommit=True)
        )
        yield Lab(
            home=home,
            url=url,
            environment=environment,
            client=await temporal.connect(
                environment["TEMPORAL_ADDRESS"], environment["TEMPORAL_NAMESPACE"]
            ),
            connection=connection,
            mail=devstack.mail,
            phone=devstack.sms,
            deliveries=Deliveries(devstack.mail, devstack.sms),
            founder=Founder(connection, url),
        )
