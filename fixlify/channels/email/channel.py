"""Send email over a few connections to one mail server, kept open between messages."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from fixlify.channels.email.connection import SmtpConnection
from fixlify.channels.email.message import message_id_header, write_message
from fixlify.channels.email.server import SmtpServer, StartTls
from fixlify.channels.protocol import Accepted, OutgoingEmail
from fixlify.domain.errors import TransportError

CONNECTIONS = 4
KEEP_IDLE_FOR = timedelta(seconds=30)
# A connection that a firewall forgot gives no sign; a server that is there answers sooner.
REUSE_PATIENCE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one send may take; together less than the deadline of whoever calls.

    Attributes:
        before: until the server says go ahead: waiting for a free connection, connecting,
            logging in, naming the recipient. Failing here is harmless.
        answer: from the last byte to the answer. RFC 5321 asks for ten minutes, which no
            caller waits; after this the outcome is unknown.
    """

    before: timedelta = timedelta(seconds=15)
    answer: timedelta = timedelta(seconds=30)


class SmtpChannel:
    """An email channel; lives as long as the worker, in one event loop."""

    def __init__(
        self,
        server: SmtpServer,
        *,
        connections: int = CONNECTIONS,
        keep_idle_for: timedelta = KEEP_IDLE_FOR,
        patience: Patience | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Describe the channel; nothing is connected yet.

        Args:
            server: where and as whom.
            connections: how many messages are on their way at once, at most.
            keep_idle_for: how long an unused connection stays open.
            patience: deadlines of one send.
            tls: how to judge the server's certificate; None trusts the system's authorities.
        """
        self._server = server
        self._patience = patience or Patience()
        self._keep_idle_for = keep_idle_for
        encrypts = server.implicit_tls or server.starttls is not StartTls.NEVER
        # Made once: reading the system's certificates takes longer than sending.
        self._tls = (tls or ssl.create_default_context()) if encrypts else None
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[tuple[float, SmtpConnection]] = []
        self._expiry: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def send(self, message: OutgoingEmail) -> Accepted:
        """Hand *message* over, once; a second call sends a second email.

        ``provider_id`` is the Message-ID, the same whichever server it leaves by; ``detail`` is
        the server's answer, ``sender`` the server.

        Raises:
            TransportError: The server does not have it: refused, or never reached.
            OutcomeUnknownError: The server had all of it and did not answer.
            RecipientError: It is not an address, or has letters that the server cannot write.
        """
        letter = write_message(message)
        async with self._ready_for(message) as connection:
            answer = await connection.hand_over(letter, self._patience.answer)
        return Accepted(
            provider="smtp",
            provider_id=message_id_header(message),
            detail=" ".join(answer.split())[:200],
            sender=str(self._server),
        )

    async def check(self) -> None:
        """Connect, log in and ask for a sign of life.

        Raises:
            TransportError: With what to do.
        """
        try:
            async with asyncio.timeout(self._patience.before.total_seconds()):
                connection = await self._open()
                try:
                    await connection.noop()
                finally:
                    connection.quit()
        except TimeoutError:
            raise self._too_slow() from None

    async def aclose(self) -> None:
        """Hang up what is idle, and what is busy when it is done; the channel is not used again."""
        self._is_closed = True
        if self._expiry is not None:
            self._expiry.cancel()
        self._hang_up_idle()

    @asynccontextmanager
    async def _ready_for(self, message: OutgoingEmail) -> AsyncIterator[SmtpConnection]:
        """Give a connection on which the server waits for the text of *message*.

        It is kept for the next message only if this one went through: after a refusal each
        server has its own idea of where the conversation stands.
        """
        deadline = asyncio.get_running_loop().time() + self._patience.before.total_seconds()
        connection: SmtpConnection | None = None
        try:
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        except TimeoutError:
            raise TransportError(
                "every connection to the mail server is busy", permanent=False
            ) from None
        try:
            try:
                async with asyncio.timeout_at(deadline):
                    connection = await self._begun(message)
                    await connection.address(message)
            except TimeoutError:
                raise self._too_slow() from None
            yield connection
        except BaseException:
            if connection is not None:
                connection.abort()
            raise
        else:
            self._keep(connection)
        finally:
            self._slots.release()

    async def _begun(self, message: OutgoingEmail) -> SmtpConnection:
        """Return a connection on which *message* has begun, an idle one if it still works."""
        if (idle := self._take_idle()) is not None:
            try:
                async with asyncio.timeout(REUSE_PATIENCE.total_seconds()):
                    await idle.begin(message)
            except (TransportError, TimeoutError) as error:
                idle.abort()
                if isinstance(error, TransportError) and error.permanent:
                    raise
                # Left too long, or used too often: not about the message, and true of the
                # other idle ones as well.
                self._hang_up_idle()
            except BaseException:
                idle.abort()
                raise
            else:
                return idle
        connection = await self._open()
        try:
            await connection.begin(message)
        except BaseException:
            connection.abort()
            raise
        return connection

    def _take_idle(self) -> SmtpConnection | None:
        """Return the connection used last, of those on which nobody has hung up."""
        while self._idle:
            _, connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    def _hang_up_idle(self) -> None:
        while self._idle:
            self._idle.pop()[1].quit()

    async def _open(self) -> SmtpConnection:
        return await SmtpConnection.open(self._server, self._tls, self._patience.before)

    def _keep(self, connection: SmtpConnection) -> None:
        if self._is_closed:
            connection.quit()
            return
        loop = asyncio.get_running_loop()
        self._idle.append((loop.time(), connection))
        if self._expiry is None:
            self._expiry = loop.call_later(self._keep_idle_for.total_seconds(), self._expire)

    def _expire(self) -> None:
        """Hang up what nobody used for a while; the oldest is always the first in the list."""
        loop = asyncio.get_running_loop()
        oldest_kept = loop.time() - self._keep_idle_for.total_seconds()
        while self._idle and self._idle[0][0] <= oldest_kept:
            self._idle.pop(0)[1].quit()
        self._expiry = None
        if self._idle:
            wait = self._idle[0][0] - oldest_kept
            self._expiry = loop.call_later(wait, self._expire)

    def _too_slow(self) -> TransportError:
        return TransportError(
            f"the mail server at {self._server} does not answer in time", permanent=False
        )
