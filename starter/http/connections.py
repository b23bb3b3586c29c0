"""Connections that say nothing, or say it too slowly, are closed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

PATIENCE: Final = timedelta(seconds=30)


class ImpatientProtocol(H11Protocol):
    """Uvicorn's connection, which waits for ever where bytes trickle in between requests.

    A connection is closed when two looks in a row, ``patience`` apart, find no request of which
    an answer is due, and no new one since. What trickles in within a request, ``read_body`` ends.
    """

    patience: timedelta = PATIENCE
    _next_look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look at the connection."""
        super().connection_made(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        if self._next_look is not None:
            self._next_look.cancel()
        super().connection_lost(exc)

    def _look_later(self) -> None:
        self._next_look = self.loop.call_later(
            self.patience.total_seconds(), self._look, self._is_idle(), self.cycle
        )

    def _look(self, was_idle: bool, last: RequestResponseCycle | None) -> None:
        if was_idle and self._is_idle() and self.cycle is last:
            self.transport.close()
        else:
            self._look_later()

    def _is_idle(self) -> bool:
        # Before the first request there is no cycle, whatever uvicorn's annotation says.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete
