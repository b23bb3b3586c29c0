"""Keep processes running as a service manager does: whatever ends is started again."""

from __future__ import annotations

import asyncio
import os
import signal
from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Final

from devstack.process import LOOK_AGAIN
from fixlify.domain.errors import DevstackError

# A machine with much else to do takes its time.
START_DEADLINE: Final = timedelta(minutes=2)
# What has come back so lately is not at rest yet.
_RECOVERING: Final = timedelta(seconds=1)
# Somebody may strike just before a process has its number.
_PID_PATIENCE: Final = timedelta(seconds=5)


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

    def freeze(self) -> bool:
        """Stop it in the middle of whatever it does, until ``thaw``; False if it does nothing."""
        return self.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it stood."""
        self.send_signal(signal.SIGCONT)

    async def wait_until_up(self, deadline: timedelta = START_DEADLINE) -> None:
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

    def send_signal(self, number: signal.Signals) -> bool:
        """Send it a signal; returns whether it has a process."""
        pid = self.pid
        if pid is None or pid == self._struck:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True


def end_of(log: Path, characters: int = 2000) -> str:
    """Return the last of what *log* says."""
    try:
        return log.read_text(encoding="utf-8", errors="replace")[-characters:]
    except FileNotFoundError:
        return "it left no log"
