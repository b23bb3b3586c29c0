"""Which suites there are, and in which order they are measured and told."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, cast

from benchmarks.suite import Suite

SUITES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "latency": "benchmarks.suites.latency",
        "throughput": "benchmarks.suites.throughput",
        "write_overhead": "benchmarks.suites.write_overhead",
        "herd": "benchmarks.suites.herd",
        "timers": "benchmarks.suites.timers",
        "sweep": "benchmarks.suites.sweep",
        "growth": "benchmarks.suites.growth",
        "idle": "benchmarks.suites.idle",
        "rendering": "benchmarks.suites.rendering",
        "scaling": "benchmarks.suites.scaling",
        "tenfold": "benchmarks.suites.tenfold",
        "origin": "benchmarks.peers.origin",
        "dbos": "benchmarks.peers.dbos",
        "n8n": "benchmarks.peers.n8n",
    }
)
"""The module of each suite by its name."""


def load(name: str) -> Suite:
    """Return the suite of that name.

    Raises:
        ImportError: Its module is not there, or something it imports is not.
    """
    return cast(Suite, import_module(SUITES[name]))
