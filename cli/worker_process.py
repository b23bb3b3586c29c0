"""``fixlify worker`` as a process of its own, which ends with us however we end."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from signal import Signals
from types import TracebackType
from typing import Final, Self

from devstack.locks import FileLock
from devstack.process import GuardedProcess, StopStep

# The worker finishes what is under way; a demo has nothing long under way.
_STOP_PLAN: Final = (StopStep(Signals.SIGTERM, timedelta(seconds=20)),)


class WorkerProcess:
    """A worker below one folder; an async context manager.

    It gets *environment* and nothing of ours, so that no real provider is ever reached
    because this machine happens to know one.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.log = folder / "worker.log"
        self._running = FileLock(folder / "worker.lock")
        self._process = GuardedProcess(
            [sys.executable, "-m", "cli", "worker"],
            running=self._running,
            log=self.log,
            stop_plan=_STOP_PLAN,
            environment={**_without_ours(), **environment},
        )

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.exit_code

    def last_words(self, characters: int = 2000) -> str:
        """Return the end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-characters:]

    async def __aenter__(self) -> Self:
        self._running.try_acquire(str(os.getpid()))
        self._process.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._process.stop()


def _without_ours() -> dict[str, str]:
    prefixes = ("FIXLIFY_", "TEMPORAL_", "TWILIO_")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
