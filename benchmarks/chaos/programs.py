"""Keep the engine's own programs running, from the folder of one release or another."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Final

from benchmarks.chaos.keeping import START_DEADLINE, Kept, end_of
from devstack.locks import FileLock
from devstack.process import LOOK_AGAIN, GuardedProcess, StopStep
from fixlify.domain.errors import DevstackError

# What ended in good order has no reason to take longer; a frozen one cannot listen.
_STOP_PLAN: Final = (StopStep(signal.SIGTERM, timedelta(seconds=5)),)
_SETTINGS: Final = ("FIXLIFY_", "TEMPORAL_", "TWILIO_")


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
        return end_of(self._log)

    async def deploy(self, release: Path, patience: timedelta) -> None:
        """Run *release* from the next start on, which is now: it is told to end.

        One that does not within *patience* is killed, as every platform does.
        """
        self.release = release
        self._may_end = True
        self._fell()
        self.send_signal(signal.SIGTERM)
        try:
            await self.wait_until_up(patience)
        except DevstackError:
            await self.kill()

    async def _begin(self) -> None:
        until = monotonic() + START_DEADLINE.total_seconds()
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
