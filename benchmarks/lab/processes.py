"""What each process of the stack uses: memory, and processor time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of one kind use together: bytes, and seconds of processor time."""

    memory: int
    cpu: float


def usage() -> Mapping[str, Usage]:
    """Return what is used now, by kind: ``postgres``, ``temporal``, ``worker``, ``driver``.

    The driver is this process: it measures, and holds the mailbox and the phone. What runs
    Temporal's workflows without the engine is ``bare``. Memory is resident without what is
    shared, so that Postgres's buffers count once.
    """
    memory: dict[str, int] = defaultdict(int)
    cpu: dict[str, float] = defaultdict(float)
    ourselves = psutil.Process()
    for process in (ourselves, *ourselves.children(recursive=True)):
        try:
            kind = _kind(process, ourselves)
            if kind is None:
                continue
            told = process.memory_info()
            times = process.cpu_times()
        except psutil.Error:
            continue
        memory[kind] += told.rss - told.shared
        # Of children that have ended, Postgres's backends among them, too.
        cpu[kind] += times.user + times.system + times.children_user + times.children_system
    return {kind: Usage(memory[kind], round(cpu[kind], 2)) for kind in memory}


def _kind(process: psutil.Process, ourselves: psutil.Process) -> str | None:
    if process == ourselves:
        return "driver"
    command = process.cmdline()
    if not command or "-I" in command:
        # The guard of a server: it waits, and uses nothing.
        return None
    if command[0].startswith("postgres") or command[0].endswith("/postgres"):
        return "postgres"
    if "start-dev" in command:
        return "temporal"
    if "benchmarks.peers.bare_worker" in command:
        return "bare"
    if "worker" in command or "starter" in command:
        return "worker"
    return None
