"""Keep processes running as a service manager does: whatever ends is started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Final

from devstack.locks import FileLock
from devstack.process import LOOK_AGAIN, GuardedProcess, StopStep
from devstack.server import EmbeddedServer
from fixlify.domain.errors import DevstackError

_START_DEADLINE: Final = timedelta(seconds=60)
# What has come back so lately is not at rest yet.
_RECOVERING: Final = timedelta(seconds=1)
# Somebody may strike just before a process has its number.
_PID_PATIENCE: Final = timedelta(seconds=5)
# What ended in good order has no reason to take longer; a frozen one cannot listen.
_STOP_PLAN: Final = (StopStep(signal.SIGTERM, timedelta(seconds=5)),)
_SETTINGS: Final = ("FIXLIFY_", "TEMPORAL_", "TWILIO_")


class Kept(ABC):
    """Something that is started again whenever it ends; lives from ``start`` to ``stop``.

    Attributes:
        name: what a fault calls it.
        is_up: whether it answered, and has not ended since.
        fell_at: when it last went down, of ``time.monotonic``; it came up later if ``is_up``.
        recoveries: seconds from each fall until it answered again.
        surprises: how it ended although nobody ended it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_up = False
        self.fell_at: float | None = None
        self.recoveries: list[float] = []
        self.surprises: list[str] = []
        self._struck: int | None = None
        self._down_for = 0.0
        self._came_up_at = float("-inf")
        self._may_end = False
        self._up = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and keep it; returns when it answers.

        Raises:
            DevstackError: It does not start.
        """
        await self._begin()
        self._came_up()
        self._keeping = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self) -> None:
        """Keep it no longer, and end it."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        self.thaw()
        await self._end()
        self.is_up = False

    async def kill(self, down_for: float = 0.0) -> bool:
        """SIGKILL it, wherever it stands; it is started again after *down_for* seconds.

        One that is just being started is waited for until it has a process, not until it
        answers. Returns whether there was anything to kill.
        """
        until = monotonic() + _PID_PATIENCE.total_seconds()
        while monotonic() < until:
            pid = self.pid
            if pid is not None and pid != self._struck:
                self._down_for = down_for
                self._fell()
                self._struck = pid
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    return True
            await asyncio.sleep(LOOK_AGAIN.total_seconds())
        return False

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does, until ``thaw``."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it stood."""
        self._signal(signal.SIGCONT)

    async def wait_until_up(self, deadline: timedelta = _START_DEADLINE) -> None:
        """Return when it answers.

        Raises:
            DevstackError: It does not within *deadline*.
        """
        try:
            await asyncio.wait_for(self._up.wait(), deadline.total_seconds())
        except TimeoutError:
            raise DevstackError(
                f"the {self.name} does not come back; its log ends:\n{self.last_words()}"
            ) from None

    @property
    def is_recovering(self) -> bool:
        """Whether it is down, or came back a moment ago."""
        return not self.is_up or monotonic() - self._came_up_at < _RECOVERING.total_seconds()

    def was_there_since(self, moment: float) -> bool:
        """Whether it has been up since *moment*, of ``time.monotonic``, without a break."""
        return self.is_up and (self.fell_at is None or self.fell_at < moment)

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """The process it is now; None while it has none."""

    @abstractmethod
    def last_words(self) -> str:
        """Return the end of its log."""

    @abstractmethod
    async def _begin(self) -> None:
        """Start it and return when it answers, or raise DevstackError."""

    @abstractmethod
    async def _ended(self) -> None:
        """Return when its process ends."""

    @abstractmethod
    async def _end(self) -> None:
        """End its process, if there is one."""

    async def _keep(self) -> None:
        while True:
            await self._ended()
            if self.is_up and not self._may_end:
                self.surprises.append(
                    f"the {self.name} ended by itself: {self.last_words()[-500:]}"
                )
            self._may_end = False
            if self.is_up:
                self._fell()
            while not self.is_up:
                pause, self._down_for = self._down_for, 0.0
                await asyncio.sleep(pause)
                # What is killed while it starts is started once more.
                with suppress(DevstackError):
                    await self._begin()
                    self._came_up()

    def _came_up(self) -> None:
        if self.fell_at is not None:
            self._came_up_at = monotonic()
            self.recoveries.append(self._came_up_at - self.fell_at)
        self.is_up = True
        self._up.set()

    def _fell(self) -> None:
        if self.is_up:
            self.fell_at = monotonic()
        self.is_up = False
        self._up.clear()

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is not None and pid != self._struck:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


class KeptServer(Kept):
    """Postgres or Temporal, on its own data and port each time."""

    def __init__(self, name: str, server: EmbeddedServer) -> None:
        super().__init__(name)
        self._server = server
        # Its guard writes the server's number into the lock that the server holds.
        self._running = FileLock(server.folder / "running.lock")

    @property
    def pid(self) -> int | None:
        """The server's process; None before its first start."""
        note = self._running.note()
        return int(note) if note.isdigit() else None

    def last_words(self) -> str:
        """Return the end of its log."""
        return _end_of(self._server.log)

    async def _begin(self) -> None:
        await self._server.start()

    async def _ended(self) -> None:
        await self._server.wait()

    async def _end(self) -> None:
        await self._server.stop()


class KeptProgram(Kept):
    """``fixlify …`` run from the folder of a release."""

    def __init__(
        self,
        name: str,
        *arguments: str,
        release: Path,
        folder: Path,
        settings: Mapping[str, str],
        says: str,
    ) -> None:
        """Describe the program; nothing runs yet.

        Args:
            name: what a fault calls it.
            arguments: what follows ``fixlify``.
            release: where its code is.
            folder: where its log and its lock are; made.
            settings: its environment, beside what this process has that is no setting.
            says: what it logs when it is ready.
        """
        super().__init__(name)
        folder.mkdir(parents=True, exist_ok=True)
        self.release = release
        self._arguments = arguments
        self._settings = settings
        self._says = says.encode()
        self._log = folder / f"{name}.log"
        self._running = FileLock(folder / f"{name}.lock")
        self._process: GuardedProcess | None = None

    @property
    def pid(self) -> int | None:
        """The program's process; None while it has none."""
        note = self._running.note()
        return int(note) if self._process is not None and note.isdigit() else None

    def last_words(self) -> str:
        """Return the end of its log."""
        return _end_of(self._log)

    async def deploy(self, release: Path, patience: timedelta) -> None:
        """Run *release* from the next start on, which is now: it is told to end.

        One that does not within *patience* is killed, as every platform does.
        """
        self.release = release
        self._may_end = True
        self._fell()
        self._signal(signal.SIGTERM)
        try:
            await self.wait_until_up(patience)
        except DevstackError:
            await self.kill()

    async def _begin(self) -> None:
        until = monotonic() + _START_DEADLINE.total_seconds()
        while not self._running.try_acquire():
            await asyncio.sleep(LOOK_AGAIN.total_seconds())
            if monotonic() > until:
                raise DevstackError(f"something of an earlier {self.name} does not end")
        begin = self._log.stat().st_size if self._log.exists() else 0
        self._process = GuardedProcess(
            fixlify_command(*self._arguments),
            running=self._running,
            log=self._log,
            stop_plan=_STOP_PLAN,
            environment={**environment_without_settings(), **self._settings},
            # The folder it is run from comes first on Python's path.
            working_folder=self.release,
        )
        self._process.start()
        while self._process.exit_code is None and monotonic() < until:
            with self._log.open("rb") as log:
                log.seek(begin)
                if self._says in log.read():
                    return
            await asyncio.sleep(10 * LOOK_AGAIN.total_seconds())
        await self._process.stop()
        raise DevstackError(f"the {self.name} does not start; its log ends:\n{self.last_words()}")

    async def _ended(self) -> None:
        if self._process is not None:
            await self._process.wait()

    async def _end(self) -> None:
        if self._process is not None:
            await self._process.stop()


def fixlify_command(*arguments: str) -> list[str]:
    """Return the command line of ``fixlify …``, to be run from the folder of a release."""
    return [sys.executable, "-m", "cli", *arguments]


def environment_without_settings() -> dict[str, str]:
    """Return this process's environment without any setting of the engine.

    So that no real provider is ever reached because this machine happens to know one.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}


def _end_of(log: Path, characters: int = 2000) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace")[-characters:]
    except FileNotFoundError:
        return "it left no log"
