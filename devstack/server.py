"""What the embedded servers have in common: one owner per folder, start, adopt, stop."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import ClassVar, Self

from devstack.locks import FileLock
from devstack.process import LOOK_AGAIN, GuardedProcess, Identity, StopStep, take_over
from fixlify.domain.errors import DevstackError

# Long enough to replay the log of a busy day after a crash on a slow disk.
START_DEADLINE = timedelta(seconds=60)
# A free port can be taken between our look and the server's.
PORT_ATTEMPTS = 5
# What a server says when that happened.
PORT_TAKEN = b"ddress already in use"


class EmbeddedServer(ABC):
    """A server on one folder; lives from ``start`` to ``stop``, and dies with its owner.

    The folder (made 0700) belongs to one process at a time. Whoever finds it taken adopts the
    owner's server: uses it, and leaves it running at ``stop``.

    Two locks tell the truth about a folder, whatever was killed: ``owner.lock`` is held by the
    process that started the server, ``running.lock`` by the server and its descendants.
    """

    name: ClassVar[str]
    stop_plan: ClassVar[tuple[StopStep, ...]]

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.adopted = False
        self.log = self.folder / f"{self.name.lower()}.log"
        self._owner = FileLock(self.folder / "owner.lock")
        self._running = FileLock(self.folder / "running.lock")
        self._process: GuardedProcess | None = None

    async def start(self) -> None:
        """Start the server, or adopt the one that runs; returns when it answers.

        Safe to call again after the server died, and by several processes at once.

        Raises:
            DevstackError: It did not start; the message carries the end of its log.
        """
        make_folder(self.folder)
        deadline = monotonic() + START_DEADLINE.total_seconds()
        while not self._owner.try_acquire(str(os.getpid())):
            # Somebody owns a server here or is starting one.
            if await self._adopt():
                self.adopted = True
                return
            if monotonic() > deadline:
                raise DevstackError(
                    f"process {self._owner.note()} keeps {self.folder} but no {self.name} "
                    f"answers there; stop that process or look into {self.log}"
                )
            await asyncio.sleep(LOOK_AGAIN.total_seconds())
        try:
            patience = sum((step.patience for step in self.stop_plan), start=timedelta(seconds=5))
            await take_over(self._running, patience, self.stop_plan[0].signal)
            await self._start_own()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the server and wait until it is gone; leaves an adopted one running."""
        process, self._process = self._process, None
        self.adopted = False
        try:
            if process is not None:
                await process.stop()
        finally:
            self._running.release()
            self._owner.release()

    async def wait(self) -> int:
        """Wait until our server ends, wanted or not; returns its exit code."""
        if self._process is None:
            raise DevstackError(f"no {self.name} of ours runs in {self.folder}")
        return await self._process.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @abstractmethod
    async def _adopt(self) -> bool:
        """Use the server that runs on the folder; False when none answers there."""

    @abstractmethod
    async def _start_own(self) -> None:
        """Start our server and wait until it answers; both locks are ours."""

    def _spawn(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        run_as: Identity | None = None,
    ) -> GuardedProcess:
        """Start *command* guarded, and stop it when we stop."""
        if not self._running.try_acquire():
            raise DevstackError(f"something else has started in {self.folder}; try again")
        self._process = GuardedProcess(
            command,
            running=self._running,
            log=self.log,
            stop_plan=self.stop_plan,
            environment={"PATH": os.environ.get("PATH", os.defpath), **environment},
            run_as=run_as,
            # Ours may be a place the server's user cannot reach, or one to be removed.
            working_folder=Path("/"),
        )
        self._process.start()
        return self._process

    def _log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def _log_from(self, start: int) -> bytes:
        """What was logged since the log was *start* bytes long."""
        with self.log.open("rb") as log:
            log.seek(start)
            return log.read()

    def _lost_its_port(self, log_start: int) -> bool:
        """Whether the log, from *log_start* on, says that somebody was faster."""
        return PORT_TAKEN in self._log_from(log_start)

    def _last_words(self) -> str:
        """The end of the log, for an error message."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
        except FileNotFoundError:
            return "it left no log"


def make_folder(folder: Path) -> None:
    """Make *folder*, ours alone to read; one that exists stays as it is.

    Raises:
        DevstackError: We may not.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DevstackError(f"cannot make {folder}: {error.strerror}; choose another") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DevstackError(
            f"{folder} belongs to another user: run as that user or choose another folder"
        )
