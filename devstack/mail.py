"""Catch mail over real SMTP, and misbehave on request.

A recipient's local part decides what happens; ``+anything`` after it is ignored, so that
``fail-550+ann@example.com`` and ``fail-550+bob@example.com`` are two people with one fate.
``CODE`` is any reply code from 400 to 599.

| recipient            | what the server does                                                  |
|----------------------|-----------------------------------------------------------------------|
| ``fail-550@…``       | refuses the recipient for good: no such mailbox                       |
| ``fail-451@…``       | refuses the recipient for now, every time                             |
| ``fail-421@…``       | says it is closing down, and closes the connection                    |
| ``fail-CODE@…``      | refuses the recipient with that code                                  |
| ``once-451@…``       | refuses that address the first time, then takes it (greylisting)      |
| ``once-CODE@…``      | the same with another code; ``once-421`` closes the connection        |
| ``3-times-451@…``    | refuses that address the first three times, then takes it             |
| ``N-times-CODE@…``   | the same with another number and code                                 |
| ``data-554@…``       | takes the recipient, refuses the message after DATA (spam)            |
| ``data-CODE@…``      | the same with another code; nothing is captured                       |
| ``drop-before-data@…`` | cuts the connection instead of answering RCPT; nothing is captured  |
| ``drop-after-data@…`` | captures the message, then cuts the connection without answering     |
| ``slow@…``           | captures the message and answers after ``slowness`` (2 s)             |
| ``hang@…``           | captures nothing and never answers DATA                               |

Every other recipient is accepted; ``MailCatcher.outage`` refuses them all, while it is set.
Addresses are compared without regard to case.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from aiosmtpd.smtp import SMTP, Envelope, Session

from devstack.captured_email import CapturedEmail
from devstack.captures import Captures
from devstack.ports import LOOPBACK, port_to_bind

__all__ = ["CapturedEmail", "MailCatcher"]

MAGIC = re.compile(
    r"(?P<act>fail|once|data|(?P<times>\d+)-times)-(?P<code>[45]\d\d)|(?P<whole>drop-before-data|drop-after-data|slow|hang)"
)
REASONS = {
    "421": "4.3.2 Service shutting down",
    "450": "4.2.1 Mailbox busy",
    "451": "4.7.1 Greylisted, try again later",
    "452": "4.2.2 Mailbox full",
    "550": "5.1.1 No such mailbox",
    "552": "5.2.2 Mailbox full",
    "553": "5.1.3 Bad mailbox name",
    "554": "5.7.1 Message refused as spam",
}
CLOSING_DOWN = "421"
MAX_MESSAGE_BYTES = 32 * 1024 * 1024


class MailCatcher(Captures[CapturedEmail]):
    """An SMTP server on loopback that keeps every message; lives in the caller's event loop.

    Attributes:
        slowness: how long the recipient that is slow takes.
        outage: the reply code that refuses every recipient, until it is None again.
    """

    def __init__(
        self,
        port: int = 0,
        folder: Path | None = None,
        *,
        preferred_port: int | None = None,
    ) -> None:
        """Describe the server; nothing listens yet.

        Args:
            port: this one or none; 0 takes *preferred_port* where it is free, else any.
            preferred_port: the one to take where it is free.
            folder: where each message is also kept as an ``.eml`` file; None keeps none.
        """
        super().__init__(folder)
        self.slowness = timedelta(seconds=2)
        self.outage: int | None = None
        self._port = 0
        self._fixed_port = port
        self._preferred_port = preferred_port
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._refusals: Counter[str] = Counter()

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1; known once the catcher is started."""
        return self._port

    @property
    def url(self) -> str:
        """``smtp://127.0.0.1:PORT``, for FIXLIFY_SMTP_URL."""
        return f"smtp://{LOOPBACK}:{self._port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            DevstackError: The port is taken.
        """
        self._open_folder()
        port = port_to_bind("the mail catcher", self._fixed_port, self._preferred_port)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self, self._connections, loop), LOOPBACK, port
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and hang up; the messages stay."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for connection in list(self._connections):
            connection.hang_up()
        await server.wait_closed()
        await self._close_folder()

    def clear(self) -> None:
        """Forget every message, and who was refused how often."""
        super().clear()
        self._refusals.clear()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    # aiosmtpd calls the rest by name: https://aiosmtpd.aio-libs.org/en/latest/handlers.html

    async def handle_EHLO(  # noqa: N802
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Advertise what a mail server of today does; SIZE, 8BITMIME, SMTPUTF8 are there."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_RCPT(  # noqa: N802
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        """Take a recipient, unless the address asks for something else."""
        if self.outage is not None:
            return await _refuse(server, str(self.outage))
        magic = _magic_of(address)
        if magic and magic["whole"] == "drop-before-data":
            await _cut(server)
        if magic and (magic["act"] == "fail" or self._is_due(magic, address)):
            return await _refuse(server, magic["code"])
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep a message, unless a recipient asks for something else."""
        magics = [magic for address in envelope.rcpt_tos if (magic := _magic_of(address))]
        fates = {magic["whole"] for magic in magics}
        for magic in magics:
            if magic["act"] == "data":
                return await _refuse(server, magic["code"])
        if "hang" in fates:
            await _until_hung_up()
        self._keep(envelope)
        if "drop-after-data" in fates:
            await _cut(server)
        if "slow" in fates:
            await asyncio.sleep(self.slowness.total_seconds())
        return f"250 2.0.0 Accepted as message {len(self.messages)}"

    def _is_due(self, magic: re.Match[str], address: str) -> bool:
        """Whether that address is still to be refused."""
        times = 1 if magic["act"] == "once" else int(magic["times"] or 0)
        if self._refusals[address.lower()] >= times:
            return False
        self._refusals[address.lower()] += 1
        return True

    def _keep(self, envelope: Envelope) -> None:
        captured = CapturedEmail(
            recipients=tuple(envelope.rcpt_tos),
            sender=envelope.mail_from or "",
            raw=bytes(envelope.original_content or b""),
            received_at=datetime.now(UTC),
            accepted_at=monotonic(),
        )
        # The envelope as aiosmtpd's own mailbox writes it; a blind copy is nowhere else.
        head = f"X-MailFrom: {captured.sender}\r\nX-RcptTo: {', '.join(captured.recipients)}\r\n"
        number = f"{len(self.messages) + 1:04}"
        self._save(captured.received_at, f"{number}.eml", head.encode() + captured.raw)
        self._accept(captured)


class _Connection(SMTP):
    """One client; known to its catcher, so that stopping can hang up."""

    def __init__(
        self,
        catcher: MailCatcher,
        connections: set[_Connection],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(
            catcher,
            data_size_limit=MAX_MESSAGE_BYTES,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="Fixlify mail catcher",
            loop=loop,
        )
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        super().connection_lost(error)

    def hang_up(self) -> None:
        """Close the connection as it is."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()


def _magic_of(address: str) -> re.Match[str] | None:
    local_part = address.lower().rpartition("@")[0].partition("+")[0]
    return MAGIC.fullmatch(local_part)


async def _refuse(server: SMTP, code: str) -> str:
    kind = "temporary failure" if code.startswith("4") else "permanent failure"
    reply = f"{code} {REASONS.get(code, f'{code[0]}.0.0 A {kind}, as asked')}"
    if code != CLOSING_DOWN:
        return reply
    await server.push(reply)
    await _cut(server)
    return reply


async def _cut(server: SMTP) -> None:
    """Close the connection after what was said so far; the caller goes no further."""
    if server.transport is not None:
        server.transport.close()
    await _until_hung_up()


async def _until_hung_up() -> None:
    # aiosmtpd cancels whatever answers a connection that is gone.
    await asyncio.Event().wait()
