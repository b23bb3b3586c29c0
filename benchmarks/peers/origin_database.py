"""A Postgres 15 of Debian's with pg_cron in it, in a cluster of its own."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from signal import Signals
from time import monotonic
from typing import Any, Final

import psycopg

from devstack.locks import FileLock
from devstack.ports import LOOPBACK, any_free_port
from devstack.privileges import Launch, launch_for
from devstack.process import GuardedProcess, StopStep
from fixlify.domain.errors import DevstackError

PACKAGE: Final = "postgresql-15-cron"
"""Debian's package of the extension; it brings the server along."""

_BINARIES: Final = Path("/usr/lib/postgresql/15/bin")
_EXTENSION: Final = Path("/usr/share/postgresql/15/extension/pg_cron.control")
_SUPERUSER: Final = "postgres"
_STOP_PLAN: Final = (StopStep(Signals.SIGINT, timedelta(seconds=15)),)
_START_DEADLINE: Final = timedelta(seconds=30)
_LOOK_AGAIN: Final = 0.05


def has_cron() -> bool:
    """Whether the server and the extension are installed."""
    return (_BINARIES / "postgres").exists() and _EXTENSION.exists()


@asynccontextmanager
async def cron_database(folder: Path) -> AsyncIterator[str]:
    """Run a fresh cluster in *folder* until the block ends; yields its URL, the superuser's.

    Raises:
        DevstackError: It did not start; the message carries the end of its log.
    """
    password, port = secrets.token_urlsafe(24), any_free_port()
    password_file = _prepare(folder, password)
    launch = await asyncio.to_thread(launch_for, _BINARIES / "postgres", folder)
    initdb = _process(
        folder,
        launch,
        "initdb",
        f"--pgdata={folder / 'data'}",
        f"--username={_SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
    )
    if await initdb.wait() != 0:
        raise DevstackError(f"initdb failed in {folder}: {_last_words(folder)}")
    settings = {
        "listen_addresses": LOOPBACK,
        "unix_socket_directories": "",
        "shared_preload_libraries": "pg_cron",
        "cron.database_name": "postgres",
        # Otherwise it connects as a client would, and would have to know the password.
        "cron.use_background_workers": "on",
        "max_worker_processes": "20",
    }
    server = _process(
        folder,
        launch,
        "postgres",
        "-D",
        str(folder / "data"),
        "-p",
        str(port),
        *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
    )
    url = f"postgresql://{_SUPERUSER}:{password}@{LOOPBACK}:{port}/postgres"
    try:
        await _until_it_answers(server, url, folder)
        yield url
    finally:
        await server.stop()


async def schedule(connection: psycopg.AsyncConnection[Any], job: str, command: str) -> str:
    """Have pg_cron run the *command* once a minute; returns the extension's version."""
    await connection.execute("CREATE EXTENSION pg_cron")
    await connection.execute("SELECT cron.schedule(%s, '* * * * *', %s)", (job, command))
    cursor = await connection.execute(
        "SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'"
    )
    row = await cursor.fetchone()
    return str(row[0]) if row else ""


def _prepare(folder: Path, password: str) -> Path:
    folder.mkdir(mode=0o700)
    file = folder / "password"
    file.touch(mode=0o600)
    file.write_text(password)
    return file


def _process(folder: Path, launch: Launch, program: str, *arguments: str) -> GuardedProcess:
    running = FileLock(folder.parent / f"{folder.name}.lock")
    running.try_acquire(str(os.getpid()))
    process = GuardedProcess(
        _command(launch, program, arguments),
        running=running,
        log=_log(folder),
        stop_plan=_STOP_PLAN,
        environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
        run_as=launch.run_as,
        working_folder=Path("/"),
    )
    process.start()
    return process


def _command(launch: Launch, program: str, arguments: Sequence[str]) -> list[str]:
    return [*launch.prefix, str(_BINARIES / program), *arguments]


async def _until_it_answers(server: GuardedProcess, url: str, folder: Path) -> None:
    until = monotonic() + _START_DEADLINE.total_seconds()
    while server.exit_code is None and monotonic() < until:
        try:
            async with await psycopg.AsyncConnection.connect(url):
                return
        except psycopg.OperationalError:
            await asyncio.sleep(_LOOK_AGAIN)
    raise DevstackError(f"Postgres with pg_cron did not start: {_last_words(folder)}")


def _log(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.log"


def _last_words(folder: Path) -> str:
    return _log(folder).read_text(encoding="utf-8", errors="replace")[-2000:]
