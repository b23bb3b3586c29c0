"""Hearing of new events without polling: LISTEN on a connection of its own."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

import psycopg

from fixlify.storage.database import KEEP_ALIVE, Role, libpq_url
from fixlify.storage.events import CHANNEL

_RECONNECT_PAUSE: Final = timedelta(seconds=1)
# How long one round of listening lasts before the connection is proved alive.
_ROUND: Final = timedelta(seconds=30)
# Of several that commit at once the first notifies for all (``fixlify_wake_relay``), and none is
# later than its write to the disk. A slower one is found by the next poll.
AFTERTHOUGHTS: Final = (
    timedelta(milliseconds=5),
    timedelta(milliseconds=25),
    timedelta(milliseconds=100),
)
"""After what time a notification is news once more."""


class EventSignal:
    """Set whenever an event was committed somewhere; an async context manager.

    Of events committed at the same time one notifies, so its news come again after each of
    ``AFTERTHOUGHTS``. Notifications may be lost with a connection, so a wait also ends after its
    time, and every reconnect counts as news.
    """

    def __init__(self, url: str) -> None:
        self._url = libpq_url(url)
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._afterthoughts: list[asyncio.TimerHandle] = []

    async def wait(self, at_most: timedelta) -> None:
        """Return at the next notification, or after *at_most*."""
        try:
            async with asyncio.timeout(at_most.total_seconds()):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen(), name="listen for events")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._drop_afterthoughts()

    def _tell(self) -> None:
        self._news.set()
        # Those of the notification before are covered by these.
        self._drop_afterthoughts()
        loop = asyncio.get_running_loop()
        self._afterthoughts = [
            loop.call_later(pause.total_seconds(), self._news.set) for pause in AFTERTHOUGHTS
        ]

    def _drop_afterthoughts(self) -> None:
        for afterthought in self._afterthoughts:
            afterthought.cancel()

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url,
                    autocommit=True,
                    options=f"-c role={Role.ENGINE.value}",
                    application_name="fixlify listen",
                    **KEEP_ALIVE,
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    self._news.set()
                    while True:
                        async for _ in connection.notifies(timeout=_ROUND.total_seconds()):
                            self._tell()
                        await connection.execute("SELECT 1")
            except psycopg.Error:
                # The relay polls meanwhile and says what is wrong with the database.
                await asyncio.sleep(_RECONNECT_PAUSE.total_seconds())
