"""Connections that hold a place and say nothing are closed; slow answers are waited for."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import RequestResponseCycle
from uvicorn.server import ServerState

from devstack.ports import LOOPBACK
from starter.http.connections import ImpatientProtocol

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
Connection = tuple[StreamReader, StreamWriter]


class Hasty(ImpatientProtocol):
    """Looks often, and lets a test count how often."""

    patience = timedelta(milliseconds=50)

    def _look(self, was_idle: bool, last: RequestResponseCycle | None) -> None:
        super()._look(was_idle, last)
        self.app_state["looks"].release()


class Application:
    """Answers at once, or when it is told to; reads no body."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def looks() -> asyncio.Semaphore:
    return asyncio.Semaphore(0)


@pytest.fixture
async def connection(
    application: Application, looks: asyncio.Semaphore
) -> AsyncIterator[Connection]:
    config = uvicorn.Config(
        application,
        ws="none",
        lifespan="off",
        log_config=None,
        # For ever, as where bytes keep coming: each sets uvicorn's own clock back.
        timeout_keep_alive=3600,
    )
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: Hasty(config=config, server_state=state, app_state={"looks": looks}), LOOPBACK, 0
    )
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield reader, writer
        writer.close()


@pytest.mark.parametrize("said", [b"", REQUEST[:20]])
async def test_one_that_never_asks_is_closed(said: bytes, connection: Connection) -> None:
    reader, writer = connection
    writer.write(said)
    async with asyncio.timeout(20):
        assert await reader.read() == b""


async def test_one_that_trickles_on_after_its_answer_is_closed(
    connection: Connection, application: Application
) -> None:
    reader, writer = connection
    application.may_answer.set()
    writer.write(REQUEST + b"x")
    async with asyncio.timeout(20):
        assert (await reader.read()).endswith(b"done\r\n0\r\n\r\n")


async def test_one_that_waits_for_its_answer_is_not(
    connection: Connection, application: Application, looks: asyncio.Semaphore
) -> None:
    reader, writer = connection
    writer.write(REQUEST)
    async with asyncio.timeout(20):
        for _ in range(4):
            await looks.acquire()
    application.may_answer.set()
    assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
