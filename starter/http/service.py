"""The HTTP API as a service: built from settings, answering until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import structlog
import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from fixlify.domain.errors import ConfigurationError
from fixlify.settings import Settings
from fixlify.storage.api_requests import forget_responses
from fixlify.storage.database import Database, Role
from starter.http.app import ROOT, build_app
from starter.http.bounces import bounce_router
from starter.http.connections import ImpatientProtocol
from starter.http.twilio import twilio_caller, twilio_router
from starter.http.unsubscribe import unsubscribe_router
from starter.intake import RESPONSES_KEPT
from starter.stopping import until_stopped

_LAST_ANSWERS: Final = timedelta(seconds=20)
"""How long requests under way may take once the process is told to stop."""
_FORGET_EVERY: Final = timedelta(minutes=1)
_FORGET_AT_ONCE: Final = 10_000
_BACKLOG: Final = 1024

_log = structlog.get_logger(__name__)


async def serve_http(
    settings: Settings, stop: asyncio.Event, *, host: str | None = None, port: int | None = None
) -> None:
    """Answer requests until *stop* is set, finish those under way, and return.

    Args:
        settings: Read at the process edge; it needs the database and nothing else.
        stop: Set by SIGINT and SIGTERM.
        host: The address to listen on, instead of the one in the settings.
        port: The port, likewise; 0 for any free one.

    Raises:
        ConfigurationError: The port is taken, or the address is not one of this machine.
    """
    listening = listen(
        settings.http_host if host is None else host,
        settings.http_port if port is None else port,
    )
    database = Database(
        settings.database_url.get_secret_value(),
        Role.ENGINE,
        pool_size=settings.database_pool_size,
    )
    server = _Server(
        uvicorn.Config(
            build_app(
                database,
                settings.api_rate,
                routers=[
                    twilio_router(database, twilio_caller(settings), settings.api_rate),
                    bounce_router(database, settings.callback_token, settings.api_rate),
                    unsubscribe_router(database, settings.link_secret, settings.api_rate),
                ],
            ),
            http=ImpatientProtocol,
            ws="none",
            lifespan="off",
            # Its lines go where all of ours go, and one per request says more than it should.
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(_LAST_ANSWERS.total_seconds()),
        )
    )
    # Below that it speaks of itself, and of whatever a port scanner sends.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    forgetting = asyncio.create_task(_forget_old_responses(database), name="forget responses")
    try:
        _log.info("The HTTP API is running.", url=_url(listening))
        await until_stopped(stop, serving, forgetting)
    finally:
        forgetting.cancel()
        server.should_exit = True
        await asyncio.gather(serving, forgetting, return_exceptions=True)
        listening.close()
        await database.close()
    _log.info("The HTTP API has stopped.")


class _Server(uvicorn.Server):
    """Uvicorn without its hold on the process's signals, which are ours to handle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on *host* and *port*.

    Raises:
        ConfigurationError: The port is taken, or the address is not one of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "that is no address"
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {reason.lower()}; stop the program that uses "
            "it, or choose another with --host and --port (FIXLIFY_HTTP_HOST, FIXLIFY_HTTP_PORT)"
        ) from None
    # Connections inherit it. Asyncio leaves it out where the socket does not name its protocol,
    # and then the body of every answer waits 40 ms for the caller to confirm the headers.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{ROOT}"


async def _forget_old_responses(database: Database) -> None:
    """Keep the table of answers small; a database that is away is none of its business."""
    while True:
        with contextlib.suppress(SQLAlchemyError, OSError):
            async with database.statement() as connection:
                await forget_responses(connection, RESPONSES_KEPT, _FORGET_AT_ONCE)
        await asyncio.sleep(_FORGET_EVERY.total_seconds())
