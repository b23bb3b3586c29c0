"""Own a part of the embedded stack in a process of its own, for tests that kill the owner.

    python -m tests.integration.devstack_owner postgres|temporal|stack|fork FOLDER

Prints one line of JSON when everything answers, then waits to be killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from devstack.locks import FileLock
from devstack.ports import is_free
from devstack.postgres import EmbeddedPostgres
from devstack.process import GuardedProcess, StopStep
from devstack.stack import DevStack, Ports
from devstack.temporal_server import EmbeddedTemporal

REPOSITORY = Path(__file__).parents[2]
# A process that only has a name: what follows becomes part of its command line.
SLEEPER = (
    sys.executable,
    "-I",
    "-S",
    "-c",
    "import time; print('armed', flush=True); time.sleep(600)",
)
PATIENCE = timedelta(seconds=30)


class Owner:
    """A process that runs a part of the stack; lives until a test ends it."""

    def __init__(self, part: str, folder: Path, *, through: Sequence[str] = ()) -> None:
        """Describe the process; *through* is put before its command."""
        module = "tests.integration.devstack_owner"
        self._command = [*through, sys.executable, "-m", module, part, str(folder)]
        self._process: subprocess.Popen[str] | None = None
        self.report: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        self._process = await asyncio.to_thread(self._start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """The process id; known once it is ready."""
        assert self._process is not None
        return self._process.pid

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to the owner's process group, as a terminal does, and wait for its end."""
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)
        self._process.wait(PATIENCE.total_seconds())
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self._command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, process_group=0
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.stdout.close()
            raise AssertionError(f"the owner ended with {process.wait()} before it was ready")
        self.report = json.loads(line)
        return process


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as *condition* holds.

    Raises:
        AssertionError: It did not within half a minute; *what* says what was hoped for.
    """
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while not condition():  # noqa: ASYNC110 - of other processes nobody tells us
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"it never came true that {what}") from None


def processes_of(folder: Path) -> list[str]:
    """Every process with *folder* in its command line, ours excepted: guards and servers."""
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,stat=,command="], capture_output=True, text=True, check=True
    )
    return [
        line
        for line in listing.stdout.splitlines()
        # A zombie holds nothing: it only waits for init to notice.
        if str(folder) in line and " Z" not in line and int(line.split()[0]) != os.getpid()
    ]


async def nothing_is_left_of(folder: Path, *ports: int) -> None:
    """Wait until no process of *folder* lives and nobody listens on *ports*.

    Raises:
        AssertionError: Something survived.
    """
    await eventually(lambda: not processes_of(folder), f"nothing of {folder} runs")
    await eventually(lambda: all(is_free(port) for port in ports), f"{ports} are closed")


async def _own(part: str, folder: Path) -> None:
    match part:
        case "postgres":
            async with EmbeddedPostgres(folder, durable=False) as postgres:
                await _hold({"dsn": postgres.dsn("fixlify"), "ports": [postgres.port]})
        case "temporal":
            async with EmbeddedTemporal(folder, ui=False) as temporal:
                port = int(temporal.address.rpartition(":")[2])
                await _hold({"address": temporal.address, "ports": [port]})
        case "stack":
            async with DevStack(folder, usual_ports=Ports(), durable=False) as stack:
                await _hold(stack.environment())
        case "fork":
            _start_sleeping(folder)
            if os.fork() == 0:
                # It lives on when its parent is killed, and has all of its pipes.
                signal.pause()
            await _hold({})


def _start_sleeping(folder: Path) -> None:
    running = FileLock(folder / "running.lock")
    assert running.try_acquire()
    GuardedProcess(
        [*SLEEPER, f"{folder}/sleeper"],
        running=running,
        log=folder / "log",
        stop_plan=(StopStep(signal.SIGTERM, PATIENCE),),
        environment=dict(os.environ),
    ).start()


async def _hold(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(_own(sys.argv[1], Path(sys.argv[2])))
    except KeyboardInterrupt:
        sys.exit(130)
