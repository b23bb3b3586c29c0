"""Fixlify's own processes, started as a person would start them, and killed as nobody should."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_FOREIGN = ("FIXLIFY_", "TEMPORAL_", "TWILIO_")


def environment_without_ours() -> dict[str, str]:
    """Return this process's environment without any setting of the engine."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


@asynccontextmanager
async def fixlify(
    *arguments: str, settings: Mapping[str, str], log: Path
) -> AsyncIterator[Process]:
    """Run ``fixlify …`` in the background; SIGTERM at the end, if it still runs."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cli",
            *arguments,
            env={**environment_without_ours(), **settings},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def kill(process: Process) -> None:
    """Do ``kill -9``, and wait until the process is gone."""
    process.send_signal(signal.SIGKILL)
    await process.wait()
