"""A receiver of webhooks on this machine: it remembers what it is told and answers as it is bid."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

CERTIFICATE: Final = Path(__file__).parent / "integration/certificates/webhook-receiver.pem"
"""Of hooks.example.com and moved.example.com, signed by itself."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request; names of headers in small letters. ``called`` is the name TLS asked for."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    called: str | None = None

    @property
    def payload(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. A *silent* one takes the request and never comes; an *endless* body neither ends.

    ``hangs_up`` ends the connection before any answer.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    silent: bool = False
    endless: bool = False
    hangs_up: bool = False


class Receiver:
    """An HTTP server on 127.0.0.1; answers ``replies`` in their order, then ``otherwise``."""

    def __init__(self, *, tls: bool = False) -> None:
        self.received: list[Received] = []
        self.replies: deque[Reply] = deque()
        self.otherwise = Reply()
        self.sent = 0
        self.port = 0
        self._called: str | None = None
        self._tls = self._context() if tls else None
        self._server: asyncio.Server | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it is, for a stand-in."""
        return f"http://127.0.0.1:{self.port}/hooks"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._under_way.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (h.partition(": ") for h in head[1:])}
        body = await reader.readexactly(int(headers["content-length"]))
        self.received.append(Received(method, path, headers, body, self._called))
        reply = self.replies.popleft() if self.replies else self.otherwise
        if reply.silent:
            await asyncio.Event().wait()
        if reply.hangs_up:
            return
        length = {} if reply.endless else {"Content-Length": str(len(reply.body))}
        lines = [f"HTTP/1.1 {reply.status} Said"]
        lines += [f"{name}: {value}" for name, value in {**length, **reply.headers}.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + reply.body)
        await writer.drain()
        while reply.endless:
            writer.write(b"x" * 16_384)
            self.sent += 16_384
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)

        def note(connection: Any, name: str | None, of: ssl.SSLContext) -> None:
            self._called = name

        context.sni_callback = note
        return context


def trusting() -> ssl.SSLContext:
    """Return what trusts the receiver's certificate and no other."""
    return ssl.create_default_context(cafile=str(CERTIFICATE))
