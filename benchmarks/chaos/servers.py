"""Keep Postgres and Temporal running, each on its own data."""

from __future__ import annotations

from benchmarks.chaos.keeping import Kept, end_of
from devstack.locks import FileLock
from devstack.server import EmbeddedServer


class KeptServer(Kept):
    """Postgres or Temporal, on its own data and port each time."""

    def __init__(self, name: str, server: EmbeddedServer) -> None:
        super().__init__(name)
        self._server = server
        # Its guard writes the server's number into the lock that the server holds.
        self._running = FileLock(server.folder / "running.lock")

    @property
    def pid(self) -> int | None:
        """The server's process; None before its first start."""
        note = self._running.note()
        return int(note) if note.isdigit() else None

    def last_words(self) -> str:
        """Return the end of its log."""
        return end_of(self._server.log)

    async def _begin(self) -> None:
        await self._server.start()

    async def _ended(self) -> None:
        await self._server.wait()

    async def _end(self) -> None:
        await self._server.stop()
