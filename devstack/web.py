"""Serve an ASGI application inside somebody else's event loop."""

from __future__ import annotations

import asyncio

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from devstack.ports import LOOPBACK


class LoopbackServer:
    """One HTTP server on 127.0.0.1; lives from ``start`` to ``stop``.

    It is uvicorn's protocol without uvicorn's server, which would take the process's signals
    and need a few hundred milliseconds to stop.
    """

    def __init__(self, application: ASGIApp) -> None:
        self._config = uvicorn.Config(
            application, ws="none", lifespan="off", log_config=None, access_log=False
        )
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        """Listen on *port*, 0 for any free one; returns the port.

        Raises:
            OSError: The port is taken.
        """
        self._config.load()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, LOOPBACK, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Stop listening, hang up, and wait for the requests under way to notice."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        self.hang_up()
        await asyncio.gather(*self._state.tasks)
        await server.wait_closed()

    def hang_up(self, client: tuple[str, int] | None = None) -> None:
        """Cut the connection of *client* without a word, or every one."""
        for connection in list(self._state.connections):
            transport = connection.transport
            if client is None or transport.get_extra_info("peername") == client:
                transport.abort()

    def _protocol(self) -> H11Protocol:
        return H11Protocol(config=self._config, server_state=self._state, app_state={})
