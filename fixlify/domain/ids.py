"""Identifiers: time-ordered UUIDs, and the workflow ids that make a start unique."""

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
_REDRIVE = "~"


def workflow_id(execution_id: UUID, redrives: int = 0) -> str:
    """Return the one workflow id an execution may have after it was redriven *redrives* times."""
    redrive = f"{_REDRIVE}{redrives}" if redrives else ""
    return f"{WORKFLOW_PREFIX}{execution_id}{redrive}"


def execution_of(workflow_id: str) -> UUID | None:
    """Return the execution whose workflow has this id; None where it is none of ours."""
    if not workflow_id.startswith(WORKFLOW_PREFIX):
        return None
    try:
        return UUID(workflow_id.removeprefix(WORKFLOW_PREFIX).partition(_REDRIVE)[0])
    except ValueError:
        return None


def redrives_of(workflow_id: str) -> int:
    """Return how often its execution was redriven before the workflow with this id began."""
    redrives = workflow_id.partition(_REDRIVE)[2]
    # Digits of other scripts are digits, too.
    return int(redrives) if redrives.isdecimal() and redrives.isascii() else 0
