"""Start servers that end with us, and find out whether an earlier run left one behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from signal import Signals
from time import monotonic

from devstack.locks import FileLock
from fixlify.domain.errors import DevstackError

GUARD = Path(__file__).with_name("guard.py")
# How often a condition outside our process is looked at: files, ports, locks of others.
LOOK_AGAIN = timedelta(milliseconds=5)
LOOK_SELDOM = timedelta(milliseconds=200)
# Beyond the whole stop plan: the guard kills at its end, so waiting longer is for the kernel.
KILL_GRACE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class StopStep:
    """A signal to send and how long it gets to work before the next one."""

    signal: Signals
    patience: timedelta


@dataclass(frozen=True, slots=True)
class Identity:
    """The user a server runs as, when that is not who we are."""

    user: int
    group: int


class GuardedProcess:
    """One server process; lives from ``start`` until ``stop``, its own end, or our death."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        running: FileLock,
        log: Path,
        stop_plan: Sequence[StopStep],
        environment: Mapping[str, str],
        run_as: Identity | None = None,
        working_folder: Path | None = None,
    ) -> None:
        """Describe the process; nothing runs yet.

        Args:
            command: program and arguments.
            running: a lock we hold. It passes to the process and its descendants: somebody
                who can take it knows that none of them is left.
            log: output and errors are appended here.
            stop_plan: the signals that stop the server; SIGKILL follows.
            environment: the whole environment of the process.
            run_as: another user, possible for root only.
            working_folder: where it runs; None for where we do.
        """
        self._command = list(command)
        self._running = running
        self._log = log
        self._stop_plan = tuple(stop_plan)
        self._environment = dict(environment)
        self._run_as = run_as
        self._working_folder = working_folder
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def exit_code(self) -> int | None:
        """The server's exit code (128 + n after signal n); None while it runs."""
        return self._guard.poll() if self._guard else None

    def start(self) -> None:
        """Start the guard, which starts the server."""
        plan = ",".join(f"{s.signal.value}:{s.patience.total_seconds()}" for s in self._stop_plan)
        run_as = f"{self._run_as.user}:{self._run_as.group}" if self._run_as else "-"
        lock = self._running.descriptor
        # -I -S: neither our packages nor the user's settings, so that it starts at once.
        guard = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), plan, run_as, str(lock)]
        with self._log.open("ab") as log:
            self._guard = subprocess.Popen(
                [*guard, *self._command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self._working_folder,
                pass_fds=[lock],
                # Out of reach of the terminal's Ctrl-C.
                start_new_session=True,
            )
        self._running.release()

    async def wait(self) -> int:
        """Wait until the server ends, wanted or not; returns its exit code."""
        pause = LOOK_AGAIN
        while (code := self.exit_code) is None:
            # Often while it should be quick, seldom once it is clear that it takes hours.
            await asyncio.sleep(pause.total_seconds())
            pause = min(pause * 1.2, LOOK_SELDOM)
        self._let_go()
        return code

    async def stop(self) -> None:
        """Stop the server and wait until it is gone; a second call does nothing.

        Raises:
            DevstackError: It survived SIGKILL, which only the kernel can explain.
        """
        if self._guard is None:
            return
        self._let_go()
        patience = sum((step.patience for step in self._stop_plan), start=KILL_GRACE)
        try:
            await asyncio.wait_for(self.wait(), patience.total_seconds())
        except TimeoutError as error:
            raise DevstackError(
                f"{self._command[0]} does not stop (its guard is process {self._guard.pid}); "
                f"kill it and look into {self._log}"
            ) from error

    def _let_go(self) -> None:
        """Close the pipe whose end tells the guard to stop."""
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()


async def take_over(running: FileLock, patience: timedelta, stop_signal: Signals) -> None:
    """Take the *running* lock, ending what a dead owner left behind.

    Its guard is at it already as a rule; the signal helps where the guard was killed as well.

    Raises:
        DevstackError: Something still holds the lock after *patience*.
    """
    deadline = monotonic() + patience.total_seconds()
    asked = False
    while not running.try_acquire():
        if not asked and (pid := running.note()).isdigit():
            # The lock is held, so the pid in it is this process and not a later namesake.
            asked = _signal(int(pid), stop_signal)
        if monotonic() > deadline:
            raise DevstackError(
                f"process {running.note() or '(unknown)'} of an earlier run still uses "
                f"{running.path.parent}; stop it and try again"
            )
        await asyncio.sleep(LOOK_AGAIN.total_seconds())


def _signal(pid: int, number: Signals) -> bool:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
