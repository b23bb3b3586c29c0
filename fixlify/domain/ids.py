"""Identifiers: time-ordered UUIDs, and the workflow id that makes a start unique."""

from __future__ import annotations

import os
import time
from uuid import UUID


def new_id() -> UUID:
    """Return a version-7 UUID (RFC 9562 §5.7): 48 bits of milliseconds, then random bits.

    Made here rather than by ``uuidv7()`` because Postgres has that only from 18 on.
    """
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 0x7 << 76
    value |= (random_bits >> 68 & 0xFFF) << 64
    value |= 0b10 << 62
    value |= random_bits & (1 << 62) - 1
    return UUID(int=value)


def workflow_id(execution_id: UUID) -> str:
    """Return the one workflow id an execution may have."""
    return f"automation/{execution_id}"
