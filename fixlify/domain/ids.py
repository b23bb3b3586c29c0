"""Identifiers: time-ordered UUIDs, and the workflow id that makes a start unique."""

from __future__ import annotations

import os
import time
from uuid import UUID


def new_id() -> UUID:
    """Return a version-7 UUID (RFC 9562 §5.7): milliseconds, a fraction of one, random bits.

    The fraction (method 3 of §6.2) keeps ids made in one process in the order they were made,
    to a quarter of a microsecond. Made here rather than by ``uuidv7()`` because Postgres has
    that only from 18 on.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 0x7 << 76
    value |= (rest << 12) // 1_000_000 << 64
    value |= 0b10 << 62
    value |= int.from_bytes(os.urandom(8), "big") & (1 << 62) - 1
    return UUID(int=value)


WORKFLOW_PREFIX = "automation/"


def workflow_id(execution_id: UUID) -> str:
    """Return the one workflow id an execution may have."""
    return f"{WORKFLOW_PREFIX}{execution_id}"
