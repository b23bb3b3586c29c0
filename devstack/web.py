"""Serve an ASGI application inside somebody else's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from devstack.ports import LOOPBACK


class LoopbackServer:
    """One HTTP server on 127.0.0.1; lives from ``start`` to ``stop``."""

    def __init__(self, application: ASGIApp) -> None:
        config = uvicorn.Config(
            application, http="h11", ws="none", lifespan="off", log_config=None, access_log=False
        )
        self._server = _Guest(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self, port: int = 0) -> int:
        """Listen on *port*, 0 for any free one; returns the port.

        Raises:
            OSError: The port is taken.
        """
        listener = _listen(port)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        await self._server.listening.wait()
        bound: int = listener.getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Hang up and stop listening; a second call does nothing."""
        serving, self._serving = self._serving, None
        if serving is None:
            return
        self.hang_up()
        self._server.should_exit = True
        await serving

    def hang_up(self, client: tuple[str, int] | None = None) -> None:
        """Cut the connection of *client* without a word, or every one."""
        for connection in list(self._server.server_state.connections):
            transport = connection.transport
            if client is None or transport.get_extra_info("peername") == client:
                transport.abort()


class _Guest(uvicorn.Server):
    """uvicorn that leaves the process's signals alone and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Ctrl-C belongs to the host.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


def _listen(port: int) -> socket.socket:
    # The protocol by name: asyncio turns Nagle's delay (40 ms an answer) off only where it
    # sees TCP, and a socket made without a protocol does not say so.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
    except OSError:
        listener.close()
        raise
    return listener
