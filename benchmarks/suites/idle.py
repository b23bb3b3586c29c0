"""What the engine uses with nothing to do: processor time, memory, and statements on Postgres."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from time import monotonic
from typing import Any, Final

from benchmarks.lab.processes import Usage, usage
from benchmarks.lab.stack import open_lab
from benchmarks.suite import Figures, Scale, Section, Table, Tell

NAME: Final = "idle"
# The worker starts its pollers and connections meanwhile.
SETTLE_SECONDS: Final = 3
_SHOWN: Final = 6
_LONGEST: Final = 90
# A line that begins with a tab goes on with the one before.
_STATEMENT: Final = re.compile(r" LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)")
# Sessions that are there already, the one that watches among them, go on without.
_LOG_STATEMENTS: Final = "ALTER DATABASE fixlify SET log_statement = 'all'"


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Let one worker with its relay run beside its servers, and do nothing."""
    seconds = scale.choose(8, 30)
    async with open_lab() as lab:
        await lab.connection.execute(_LOG_STATEMENTS)
        log = lab.home / "postgres" / "postgres.log"
        async with lab.worker():
            await asyncio.sleep(SETTLE_SECONDS)
            tell(f"nothing to do for {seconds} s")
            began, before, written = monotonic(), usage(), log.stat().st_size
            await asyncio.sleep(seconds)
            minutes = (monotonic() - began) / 60
            after, said = usage(), _read_from(log, written)
    asked = statements(said)
    return {
        "seconds": seconds,
        "processes": [
            {
                "kind": kind,
                "cpu_seconds_per_minute": round(cpu, 2),
                "memory_mb": round(after[kind].memory / 1e6),
            }
            for kind, cpu in processor_time(before, after, minutes).items()
        ],
        "statements_per_minute": round(sum(asked.values()) / minutes),
        "statements": [
            {"statement": statement, "per_minute": round(count / minutes, 1)}
            for statement, count in asked.most_common(_SHOWN)
        ],
    }


def processor_time(
    before: Mapping[str, Usage], after: Mapping[str, Usage], minutes: float
) -> dict[str, float]:
    """Return the seconds of processor time a minute by kind, without the one that measures."""
    return {
        kind: (now.cpu - before[kind].cpu) / minutes
        for kind, now in sorted(after.items())
        if kind != "driver" and kind in before
    }


def statements(log: str) -> Counter[str]:
    """Return how often each statement is in the text of Postgres's *log*, on one line each."""
    return Counter(" ".join(said.split()) for said in _STATEMENT.findall(log))


def section(figures: Figures) -> Section:
    """Tell what runs, and what it uses."""
    processes: Sequence[Mapping[str, Any]] = figures["processes"]
    asked: Sequence[Mapping[str, Any]] = figures["statements"]
    return Section(
        "Nothing to do",
        (
            f"One worker process with its relay and its servers, for {figures['seconds']} s in "
            "which nothing happens. A core has 60 s of processor time a minute. Memory is what a "
            "process has to itself, without what it shares, at the end.",
            f"Postgres is asked {figures['statements_per_minute']:,} statements a minute, "
            "beginnings and ends of transactions included: the relay looks by itself once a "
            "second because a notification can be lost with a connection.",
        ),
        "python -m benchmarks.run --only idle",
        [
            Table(
                ("Processes", "CPU, s a minute", "Memory, MB"),
                [
                    (
                        each["kind"],
                        f"{each['cpu_seconds_per_minute']:.2f}",
                        f"{each['memory_mb']:,}",
                    )
                    for each in processes
                ],
            ),
            Table(
                ("Most frequent statements", "A minute"),
                [(f"`{_short(each['statement'])}`", f"{each['per_minute']:g}") for each in asked],
            ),
        ],
    )


def _short(statement: str) -> str:
    return shorten(statement, _LONGEST, placeholder=" …")


def _read_from(log: Path, offset: int) -> str:
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")
