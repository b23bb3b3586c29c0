"""Bare Temporal beside us: the same server and SDK, the same shape, and nothing to do."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Final

from benchmarks.lab.backlog import Drained, cpu_per_run, steady_rate
from benchmarks.lab.processes import usage
from benchmarks.lab.stack import Lab
from fixlify.domain.errors import DevstackError

_STOPPED: Final = timedelta(seconds=20)
# An answer is one line of JSON, of which asyncio would take 64 KiB.
_LONGEST_ANSWER: Final = 2**24
_LAST_WORDS: Final = 2000


class Bare:
    """A process of bare Temporal; lives as long as the block that opened it."""

    def __init__(self, process: Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def drain(self, runs: int, deadline: timedelta) -> Drained:
        """Start so many runs as fast as the process can, and wait until all have ended.

        Raises:
            TimeoutError: They had not within *deadline*.
            DevstackError: The process has ended; it says how.
        """
        before, begun = usage(), monotonic()
        async with asyncio.timeout(deadline.total_seconds()):
            moments: list[float] = json.loads(await self._ask(str(runs)))
        return Drained(
            runs=runs,
            seconds=max(moments) - begun,
            per_second=steady_rate(moments),
            cpu_ms=cpu_per_run(before, usage(), runs),
        )

    async def _ask(self, line: str) -> bytes:
        assert self._process.stdin is not None, "it is a pipe"  # noqa: S101
        assert self._process.stdout is not None, "it is a pipe"  # noqa: S101
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()
        if answer := await self._process.stdout.readline():
            return answer
        words = self._log.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:]
        raise DevstackError(f"bare Temporal ended; its log ends:\n{words}")


@asynccontextmanager
async def open_bare(lab: Lab, shape: str) -> AsyncIterator[Bare]:
    """Run bare Temporal of one shape (``queued``, ``same_shape``) on the server of *lab*."""
    log = lab.home / f"bare-{shape}.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.peers.bare_worker"),
            *("--address", lab.environment["TEMPORAL_ADDRESS"]),
            *("--namespace", lab.environment["TEMPORAL_NAMESPACE"]),
            *("--shape", shape),
            stdin=PIPE,
            stdout=PIPE,
            stderr=stderr,
            limit=_LONGEST_ANSWER,
            # Temporal's own settings of this machine are for another server.
            env={name: value for name, value in os.environ.items() if "TEMPORAL_" not in name},
        )
    try:
        yield Bare(process, log)
    finally:
        await _stop(process)


async def _stop(process: Process) -> None:
    """Let it end with its input; kill what does not."""
    assert process.stdin is not None, "it is a pipe"  # noqa: S101
    process.stdin.close()
    try:
        async with asyncio.timeout(_STOPPED.total_seconds()):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
