"""One process at a time changes schedules: an advisory lock on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import text

from fixlify.storage.database import Database

_TRY = text("SELECT pg_try_advisory_lock(hashtextextended('fixlify schedules', 0))")
_TRY_AGAIN: Final = timedelta(milliseconds=200)

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def schedules_lock(database: Database) -> AsyncIterator[None]:
    """Hold the lock during the block; say so once if another process has it, and wait.

    It is the session's, so it also goes when this process or its connection does. Needs a
    connection that keeps its session: behind a pooler, one that pools sessions.
    """
    async with database.statement() as connection:
        try:
            said = False
            # Not the blocking call: that would run into the statement's own time limit.
            while not await connection.scalar(_TRY):
                if not said:
                    _log.info("Another process is changing the schedules; waiting for it.")
                    said = True
                await asyncio.sleep(_TRY_AGAIN.total_seconds())
            yield
        finally:
            # Closed, not returned to the pool: whatever happened in the block, the lock is gone.
            await connection.invalidate()
