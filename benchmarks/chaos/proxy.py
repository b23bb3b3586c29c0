"""Stand between the engine and what it depends on, and break the connections on request."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from devstack.ports import LOOPBACK

_CHUNK: Final = 65_536
# On, for no time at all: what is closed so is reset, not ended.
_LINGER: Final = struct.pack("ii", 1, 0)


@dataclass(eq=False, slots=True)
class _Connection:
    """Both ends of one connection, and whether an answer is owed on it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    last_said: bytes = b""
    answer_is_due: bool = False

    def reset(self) -> None:
        """Cut both ends without a word."""
        for writer in (self.client, self.server):
            if writer is None:
                continue
            end: socket.socket | None = writer.get_extra_info("socket")
            if end is not None and end.fileno() >= 0:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            writer.transport.abort()


class Proxy:
    """One TCP port that leads to another; lives from ``start`` to ``stop``, in one event loop.

    Attributes:
        lost: how many answers it has lost so far.
    """

    def __init__(self, upstream: Callable[[], int], *, question: bytes = b"") -> None:
        """Describe the proxy; nothing listens yet.

        Args:
            upstream: the port that connections lead to, asked anew for each.
            question: what in a client's words makes the server's next answer one that can be
                lost: ``b"POST "`` for HTTP.
        """
        self.lost = 0
        self._upstream = upstream
        self._question = question
        self._answers_to_lose = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1; known once the proxy is started, and always the same."""
        return self._port

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and cut what is open."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.cut()
        await server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def stall(self) -> None:
        """Forward nothing more, and keep everything open; new connections are taken and wait."""
        self._flowing.clear()

    def heal(self) -> None:
        """Forward again, beginning with what came meanwhile, and lose no more answers."""
        self._answers_to_lose = 0
        self._flowing.set()

    def cut(self) -> int:
        """Reset every connection; new ones are welcome. Returns how many there were."""
        connections, self._connections = self._connections, set()
        for connection in connections:
            connection.reset()
        return len(connections)

    def lose_answers(self, number: int) -> None:
        """Reset instead of passing on the next *number* answers to a ``question``."""
        self._answers_to_lose = number

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio serves each connection in a task"  # noqa: S101
        self._tasks.add(task)
        connection = _Connection(writer)
        self._connections.add(connection)
        try:
            await self._flowing.wait()
            answers, connection.server = await asyncio.open_connection(LOOPBACK, self._upstream())
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask(connection, reader, connection.server))
                group.create_task(self._answer(connection, answers, writer))
        except* OSError:
            # Nobody there, or one side is gone: the other is to notice.
            connection.reset()
        finally:
            self._connections.discard(connection)
            self._tasks.discard(task)
            for end in (writer, connection.server):
                if end is not None:
                    end.close()

    async def _ask(
        self, connection: _Connection, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        while data := await source.read(_CHUNK):
            await self._flowing.wait()
            if self._question:
                # It may come in two pieces.
                said = connection.last_said + data
                connection.answer_is_due |= self._question in said
                connection.last_said = said[1 - len(self._question) :]
            sink.write(data)
            await sink.drain()
        _end(sink)

    async def _answer(
        self, connection: _Connection, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        while data := await source.read(_CHUNK):
            await self._flowing.wait()
            if connection.answer_is_due and self._answers_to_lose > 0:
                self._answers_to_lose -= 1
                self.lost += 1
                raise ConnectionResetError("this answer is lost")
            connection.answer_is_due = False
            sink.write(data)
            await sink.drain()
        _end(sink)


def _end(sink: asyncio.StreamWriter) -> None:
    if sink.can_write_eof() and not sink.transport.is_closing():
        sink.write_eof()
