"""Measure one suite in a process of its own, so that no suite finds what another left behind.

``python -m benchmarks.alone MODULE [--quick]`` writes one JSON object a line to standard output:
``{"tell": sentence}`` at each stage, and at last ``{"figures": …}`` or ``{"error": sentence}``.
The end of its standard input ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import traceback
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final, cast

from benchmarks.suite import Figures, Scale, Suite, Tell

REPOSITORY: Final = Path(__file__).parents[1]
# What hangs must not cost the others their turn.
QUICK_DEADLINE: Final = timedelta(minutes=5)
FULL_DEADLINE: Final = timedelta(hours=2)
# Longer than a stack takes to stop.
STOP_PATIENCE: Final = timedelta(seconds=40)
_LAST_WORDS: Final = 3_000
# A suite's figures are one line.
_LONGEST_LINE: Final = 16 * 2**20


class SuiteFailedError(Exception):
    """A suite gave no figures; the text says why, ``last_words`` what it wrote before."""

    def __init__(self, reason: str, last_words: str = "") -> None:
        super().__init__(reason)
        self.last_words = last_words


async def measure_alone(module: str, scale: Scale, tell: Tell) -> Figures:
    """Measure the suite *module* in a new process, gone when this returns or is cancelled.

    Raises:
        SuiteFailedError: It failed, ended without figures, or took too long.
    """
    command = [sys.executable, "-m", "benchmarks.alone", module, *["--quick"] * scale.quick]
    deadline = QUICK_DEADLINE if scale.quick else FULL_DEADLINE
    with TemporaryFile() as words:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=words,
            cwd=REPOSITORY,
            limit=_LONGEST_LINE,
            # Out of reach of the terminal's Ctrl-C: one stop is a clean one, two are not.
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                answer = await _listen(process, tell)
        except TimeoutError:
            raise SuiteFailedError(f"it took longer than {deadline}", _end_of(words)) from None
        finally:
            await _stop(process)
        if "figures" in answer:
            figures: Figures = answer["figures"]
            return figures
        ended = f"its process ended with code {process.returncode} and no figures"
        raise SuiteFailedError(str(answer.get("error", ended)), _end_of(words))


async def _listen(process: Process, tell: Tell) -> dict[str, Any]:
    """Pass on what the process tells; return its answer, or nothing if it ends without one."""
    assert process.stdout is not None, "it is a pipe"  # noqa: S101
    async for line in process.stdout:
        said = json.loads(line)
        if "tell" not in said:
            answer: dict[str, Any] = said
            return answer
        tell(said["tell"])
    return {}


async def _stop(process: Process) -> None:
    assert process.stdin is not None, "it is a pipe"  # noqa: S101
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), STOP_PATIENCE.total_seconds())
    except (TimeoutError, asyncio.CancelledError) as error:
        # The servers it started have guards, which stop them when it is gone.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if isinstance(error, asyncio.CancelledError):
            raise


def _end_of(words: IO[bytes]) -> str:
    words.seek(0)
    return words.read().decode(errors="replace")[-_LAST_WORDS:].strip()


async def _measure_for_parent(module: str, scale: Scale, answers: IO[str]) -> None:
    """Measure until the end, or until the parent lets go of standard input."""

    def say(**said: object) -> None:
        # What JSON cannot hold (NaN, infinity) is an error here, not in whoever reads it.
        answers.write(json.dumps(said, allow_nan=False) + "\n")
        answers.flush()

    async def measure() -> Figures:
        suite = cast(Suite, import_module(module))
        return await suite.measure(scale, lambda told: say(tell=told))

    measuring = asyncio.create_task(measure())
    parent = asyncio.create_task(_end_of_input())
    try:
        done, _ = await asyncio.wait({measuring, parent}, return_when=asyncio.FIRST_COMPLETED)
        if measuring in done:
            say(figures=dict(await measuring))
    except Exception as error:
        traceback.print_exc()
        say(error=f"{type(error).__name__}: {error}")
    finally:
        measuring.cancel()
        parent.cancel()
        await asyncio.gather(measuring, parent, return_exceptions=True)


async def _end_of_input() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    await reader.read()


def main() -> None:
    """Measure the suite that is named, for the process that started this one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    # Whatever a suite or a library prints must not be taken for an answer.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        asyncio.run(_measure_for_parent(arguments.module, Scale(arguments.quick), answers))


if __name__ == "__main__":
    main()
