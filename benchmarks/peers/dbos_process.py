"""The app with DBOS inside, as a process of its own beside the measurement."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import psutil

from benchmarks.lab.companies import Job
from fixlify.domain.errors import DevstackError

Trigger = Literal["direct", "outbox"]

INSTALL: Final = "scripts/uv sync --group peers"
"""What brings DBOS."""

_ROOT: Final = Path(__file__).parents[2]
_START_DEADLINE: Final = timedelta(seconds=60)
_STOP_DEADLINE: Final = timedelta(seconds=20)
_FOREIGN: Final = ("FIXLIFY_", "TEMPORAL_", "TWILIO_", "DBOS")


def is_installed() -> bool:
    """Whether the package is there."""
    return find_spec("dbos") is not None


class DbosProcess:
    """``benchmarks.peers.dbos_app``; an async context manager, ready when entered.

    It ends with its input, a pipe of ours: however we end.
    """

    def __init__(self, trigger: Trigger, settings: Mapping[str, str], log: Path) -> None:
        """Describe the process; nothing runs yet.

        Args:
            trigger: Who starts workflows: the writer, or the rows its triggers leave.
            settings: Those of the worker, and DBOS_SYSTEM_DATABASE_URL.
            log: Where it writes its errors.
        """
        self._trigger = trigger
        self._settings = settings
        self._log = log
        self._commits: dict[str, asyncio.Future[float]] = {}
        self._process: Process
        self._listening: asyncio.Task[None]

    async def complete(self, job: Job) -> float:
        """Have the app complete *job* and start its workflow, and return when it had committed.

        In seconds of ``time.monotonic``: one clock for all processes of a machine.
        """
        name = f"{job.organization_id} {job.id}"
        commit = self._commits[name] = asyncio.get_running_loop().create_future()
        if self._process.stdin is not None:
            self._process.stdin.write(f"{name}\n".encode())
        committed: float = await commit
        return committed

    def cpu(self) -> float:
        """Return the processor time it has used, in seconds."""
        times = psutil.Process(self._process.pid).cpu_times()
        return times.user + times.system

    async def __aenter__(self) -> Self:
        theirs = {name: it for name, it in os.environ.items() if not name.startswith(_FOREIGN)}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "benchmarks.peers.dbos_app",
                self._trigger,
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                cwd=_ROOT,
                env={**theirs, **self._settings},
            )
        ready = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait(
            {self._listening, waiting},
            timeout=_START_DEADLINE.total_seconds(),
            return_when=asyncio.FIRST_COMPLETED,
        )
        waiting.cancel()
        if not ready.is_set():
            await self._end()
            raise DevstackError(f"the app with DBOS did not start; its log ends:\n{self._words()}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    async def _listen(self, ready: asyncio.Event) -> None:
        """Hear what it says, until it ends."""
        if self._process.stdout is None:
            return
        async for line in self._process.stdout:
            match line.decode().split():
                case ["ready"]:
                    ready.set()
                case [organization_id, job_id, moment]:
                    self._commits.pop(f"{organization_id} {job_id}").set_result(float(moment))
        for commit in self._commits.values():
            commit.set_exception(DevstackError(f"the app with DBOS ended:\n{self._words()}"))

    async def _end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_DEADLINE.total_seconds())
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._listening

    def _words(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
