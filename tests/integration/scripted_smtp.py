"""A mail server that speaks plain SMTP up to a command, and then does what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class Line:
    """One connection, seen from the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = 0
        self.heard: list[bytes] = []
        self.client_hung_up = asyncio.Event()
        self._reader = reader
        self._writer = writer

    async def say(self, *replies: bytes) -> None:
        """Write lines."""
        self._writer.write(b"".join(reply + b"\r\n" for reply in replies))
        await self._writer.drain()

    async def hear(self) -> bytes:
        """Read one line; a ConnectionError ends the script when the client hangs up."""
        line = await self._reader.readline()
        if not line:
            self.client_hung_up.set()
            raise ConnectionResetError
        self.heard.append(line.rstrip(b"\r\n"))
        return self.heard[-1]

    async def hear_letter(self) -> None:
        """Read a whole message, up to the lonely dot."""
        while await self.hear() != b".":
            pass

    async def until(self, command: bytes = b"QUIT") -> None:
        """Answer as a server does, until *command* has come; that one is left unanswered."""
        while not (line := await self.hear()).upper().startswith(command):
            verb = line[:4].upper()
            if verb == b"DATA":
                await self.say(b"354 go ahead")
                await self.hear_letter()
                await self.say(b"250 2.0.0 queued")
            elif verb == b"EHLO":
                await self.say(b"250-script", b"250 8BITMIME")
            else:
                await self.say(b"250 fine")


Script = Callable[[Line], Awaitable[None]]


@asynccontextmanager
async def scripted_smtp(script: Script) -> AsyncIterator[tuple[str, list[Line]]]:
    """Run *script* for every connection; yields the server's URL and the connections so far."""
    lines: list[Line] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        lines.append(line)
        line.number = len(lines)
        try:
            await script(line)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"smtp://127.0.0.1:{port}", lines
    finally:
        server.close()
