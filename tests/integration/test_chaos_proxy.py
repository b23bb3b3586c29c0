"""The proxy forwards faithfully, until it is told to break the connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from benchmarks.chaos.proxy import Proxy
from devstack.ports import LOOPBACK, any_free_port
from tests.engine import eventually

QUESTION = b"POST "
# Longer than loopback takes; what has not come by then was held back.
A_MOMENT = 0.1


class Server:
    """Answers every line with itself in capitals, and remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.heard.append(line)
                writer.write(line.upper())
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    echo = Server()
    listening = await asyncio.start_server(echo.serve, LOOPBACK, 0)
    echo.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield echo


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(lambda: server.port, question=QUESTION) as between:
        yield between


class Caller:
    """A client of the proxy; lives as long as its test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, line: bytes) -> None:
        self.writer.write(line + b"\n")

    async def ask(self, line: bytes) -> bytes:
        self.say(line)
        return await self.reader.readline()

    async def hears_nothing(self) -> bool:
        try:
            await asyncio.wait_for(self.reader.readline(), A_MOMENT)
        except TimeoutError:
            return True
        return False

    async def hears_the_reset(self) -> None:
        async with asyncio.timeout(10):
            with pytest.raises(ConnectionResetError):
                await self.reader.read()


async def call(proxy: Proxy) -> Caller:
    return Caller(*await asyncio.open_connection(LOOPBACK, proxy.port))


async def test_it_forwards_both_ways(proxy: Proxy) -> None:
    caller = await call(proxy)

    assert [await caller.ask(word) for word in (b"one", b"two")] == [b"ONE\n", b"TWO\n"]


async def test_it_forwards_the_end_of_either_side(proxy: Proxy) -> None:
    caller = await call(proxy)
    await caller.ask(b"hello")
    caller.writer.write_eof()

    assert await caller.reader.read() == b""


async def test_a_stall_holds_back_and_loses_nothing(proxy: Proxy, server: Server) -> None:
    caller = await call(proxy)
    await caller.ask(b"before")

    proxy.stall()
    caller.say(b"meanwhile")
    assert await caller.hears_nothing()
    assert server.heard == [b"before\n"]

    proxy.heal()
    assert await caller.reader.readline() == b"MEANWHILE\n"


async def test_a_stall_takes_new_connections_and_lets_them_wait(proxy: Proxy) -> None:
    """A server that hangs does so, too: its kernel answers."""
    proxy.stall()
    caller = await call(proxy)
    caller.say(b"hello")
    assert await caller.hears_nothing()

    proxy.heal()
    assert await caller.reader.readline() == b"HELLO\n"


async def test_a_cut_resets_what_is_open_and_welcomes_what_is_new(proxy: Proxy) -> None:
    caller = await call(proxy)
    await caller.ask(b"hello")

    assert proxy.cut() == 1
    await caller.hears_the_reset()

    assert await (await call(proxy)).ask(b"again") == b"AGAIN\n"


async def test_a_lost_answer_was_given(proxy: Proxy, server: Server) -> None:
    caller = await call(proxy)
    assert await caller.ask(b"GET it") == b"GET IT\n"
    proxy.lose_answers(1)
    assert await caller.ask(b"GET it again") == b"GET IT AGAIN\n"

    caller.say(b"POST it")
    await caller.hears_the_reset()
    assert server.heard[-1] == b"POST it\n"
    assert proxy.lost == 1

    assert await (await call(proxy)).ask(b"POST the next") == b"POST THE NEXT\n"


async def test_a_question_may_come_in_two_pieces(proxy: Proxy, server: Server) -> None:
    proxy.lose_answers(1)
    caller = await call(proxy)
    caller.writer.write(b"PO")
    assert await caller.hears_nothing()
    caller.writer.write(b"ST it\n")

    async def is_lost() -> bool:
        return proxy.lost == 1

    await eventually(is_lost)
    assert server.heard == [b"POST it\n"]


async def test_healing_loses_no_more_answers(proxy: Proxy) -> None:
    proxy.lose_answers(3)
    proxy.heal()

    assert await (await call(proxy)).ask(b"POST it") == b"POST IT\n"


async def test_where_nobody_is_the_caller_is_reset() -> None:
    nobody = any_free_port()
    async with Proxy(lambda: nobody) as proxy:
        caller = await call(proxy)
        await caller.hears_the_reset()


async def test_whoever_moved_is_found(server: Server) -> None:
    """A server that was killed may come back on another port."""
    places = [any_free_port()]
    async with Proxy(lambda: places[-1]) as proxy:
        places.append(server.port)

        assert await (await call(proxy)).ask(b"hello") == b"HELLO\n"
