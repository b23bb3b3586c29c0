"""What the figures were measured on; without it they say nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import psutil

from devstack.postgres import find_binaries
from devstack.temporal_server import find_binary

_REPOSITORY: Final = Path(__file__).parents[2]
_FSYNCS: Final = 50
# A page of Postgres's log.
_WRITTEN: Final = b"\0" * 8192
_PATIENCE: Final = 20
# These are of the moment, or of what runs on the machine, and do not tell it from another one.
_OF_THE_MOMENT: Final = ("load_average_1m", "fsync_ms")


def describe_machine() -> dict[str, Any]:
    """Return the hardware, the system and the versions, by name; sizes in GiB.

    ``fsync_ms`` is the median time to append 8 KiB and have it on the disk, which is most of
    what a durable commit waits for; ``load_average_1m`` is of the minute before.
    """
    return {
        "cpu": _processor(),
        "cores": psutil.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "fsync_ms": _fsync(),
        "load_average_1m": round(os.getloadavg()[0], 2),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "postgres": _first_line([str(find_binaries() / "postgres"), "--version"]),
        "temporal_server": _first_line([str(find_binary()), "--version"]),
        "temporal_sdk": version("temporalio"),
    }


def is_same_machine(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether figures of both may stand on one page: the same hardware, system and versions."""
    return all(one.get(name) == other.get(name) for name in {*one, *other} - {*_OF_THE_MOMENT})


def commit() -> str:
    """Return the commit that is measured, and whether files differ from it."""
    head = _first_line(["git", "-C", str(_REPOSITORY), "rev-parse", "--short=12", "HEAD"])
    # The page itself does: it is about to be written.
    tracked = ["--porcelain", "--untracked-files=no", "--", ".", ":(exclude)docs"]
    changed = _first_line(["git", "-C", str(_REPOSITORY), "status", *tracked])
    return f"{head or 'unknown'}, with changes" if changed else head or "unknown"


def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2] for line in told.splitlines() if line.startswith("model name"))
    return next(names, platform.machine()).strip()


def _fsync() -> float:
    with (
        TemporaryDirectory(prefix="fixlify-fsync-") as folder,
        (Path(folder) / "log").open("wb", buffering=0) as file,
    ):
        taken = []
        for _ in range(_FSYNCS):
            began = perf_counter()
            file.write(_WRITTEN)
            os.fsync(file.fileno())
            taken.append(perf_counter() - began)
    return round(median(taken) * 1_000, 2)


def _first_line(command: list[str]) -> str:
    """Return the first line a command prints; nothing where it cannot run."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return next(iter(ran.stdout.splitlines()), "").strip()
