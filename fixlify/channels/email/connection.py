"""One logged-in connection to the mail server; what goes wrong on it is one of our errors.

The commands are aiosmtplib's. Only DATA is taken apart: a message counts as handed over when
its last byte may have left, and aiosmtplib's own ``data`` does not tell before from after.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPHeloError,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from fixlify.channels.email.codes import refusal, refused_before_the_recipient
from fixlify.channels.email.message import needs_utf8
from fixlify.channels.email.server import SmtpServer, StartTls
from fixlify.channels.protocol import OutgoingEmail
from fixlify.domain.errors import OutcomeUnknownError, RecipientError, TransportError

_GO_AHEAD = 354
_ACCEPTED = 250
# aiosmtplib's code for an answer that is none.
_GIBBERISH = -1

_DOT_AT_LINE_START = re.compile(rb"(?m)^\.")
_STARTTLS = {StartTls.AUTO: None, StartTls.REQUIRE: True, StartTls.NEVER: False}


class SmtpConnection:
    """Lives from ``open`` until ``quit`` or ``abort``; sends one message after another."""

    def __init__(self, smtp: SMTP) -> None:
        self._smtp = smtp

    @classmethod
    async def open(
        cls, server: SmtpServer, tls: ssl.SSLContext | None, patience: timedelta
    ) -> SmtpConnection:
        """Connect, encrypt and log in as *server* says; *patience* is for each answer.

        Raises:
            TransportError: Temporary, whatever the reason: it is never the message.
        """
        smtp = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password.get_secret_value() if server.password else None,
            use_tls=server.implicit_tls,
            start_tls=_STARTTLS[server.starttls],
            tls_context=tls,
            timeout=patience.total_seconds(),
            local_hostname=_our_name(),
        )
        connection = cls(smtp)
        try:
            with _failures(f"cannot use the mail server at {server}; check {server.setting}"):
                await smtp.connect()
                await connection._introduce_ourselves()
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _introduce_ourselves(self) -> None:
        """Say EHLO, or HELO to a server that knows no better, unless logging in has done so."""
        if self._smtp.is_ehlo_or_helo_needed:
            try:
                await self._smtp.ehlo()
            except SMTPHeloError:
                await self._smtp.helo()

    @property
    def is_open(self) -> bool:
        """Whether nobody has hung up, as far as we have heard."""
        return self._smtp.is_connected

    async def begin(self, message: OutgoingEmail) -> None:
        """Name the sender.

        Raises:
            TransportError: Temporary, but for a message too large.
            RecipientError: The address has letters that this server cannot write.
        """
        options, encoding = [], "ascii"
        if needs_utf8(message):
            if not self._smtp.supports_extension("smtputf8"):
                raise RecipientError("the mail server takes no address with such letters")
            options, encoding = ["SMTPUTF8"], "utf-8"
        with _failures("the mail server refuses our sender; check FIXLIFY_MAIL_FROM"):
            await self._smtp.mail(message.sender, options=options, encoding=encoding)

    async def address(self, message: OutgoingEmail) -> None:
        """Name the recipient and ask to hand the message over.

        Raises:
            TransportError: Refused, by the table in ``codes``, or the connection is lost.
        """
        encoding = "utf-8" if needs_utf8(message) else "ascii"
        try:
            await self._smtp.rcpt(message.to, encoding=encoding)
            response = await self._smtp.execute_command(b"DATA")
        except SMTPResponseException as error:
            raise refusal(error.code, error.message) from None
        except (SMTPException, OSError) as error:
            raise TransportError(
                "the mail server hung up before it had the message", permanent=False
            ) from error
        if response.code != _GO_AHEAD:
            raise refusal(response.code, response.message)

    async def hand_over(self, letter: bytes, patience: timedelta) -> str:
        """Write *letter* and return the server's answer.

        Raises:
            TransportError: Refused, by the table in ``codes``.
            OutcomeUnknownError: No answer came: the message may be on its way.
        """
        protocol = self._smtp.protocol
        lost = "the mail server hung up before it had the message"
        if protocol is None:
            raise TransportError(lost, permanent=False)
        try:
            protocol.write(_DOT_AT_LINE_START.sub(b"..", letter) + b".\r\n")
        except SMTPServerDisconnected as error:
            # Refused by our own side; not a byte has left.
            raise TransportError(lost, permanent=False) from error
        try:
            response = await protocol.read_response(patience.total_seconds())
        except (SMTPException, OSError) as error:
            raise OutcomeUnknownError(
                "the mail server had the message and did not answer; look for it there"
            ) from error
        if response.code != _ACCEPTED:
            raise refusal(response.code, response.message)
        return response.message

    async def noop(self) -> None:
        """Ask for a sign of life.

        Raises:
            TransportError: There was none.
        """
        with _failures("the mail server does not answer"):
            await self._smtp.noop()

    def quit(self) -> None:
        """Say goodbye and hang up without waiting for the reply; between messages only."""
        if self._smtp.protocol is not None and self.is_open:
            self._smtp.protocol.write(b"QUIT\r\n")
        self._smtp.close()

    def abort(self) -> None:
        """Hang up at once; what was written and has not left yet never leaves."""
        if isinstance(self._smtp.transport, asyncio.WriteTransport):
            self._smtp.transport.abort()
        self._smtp.close()


@contextmanager
def _failures(doing: str) -> Iterator[None]:
    """Turn aiosmtplib's errors into temporary ones that say what we were doing."""
    try:
        yield
    except SMTPResponseException as error:
        if error.code == _GIBBERISH:
            raise TransportError(f"{doing}: it speaks no SMTP", permanent=False) from None
        raise refused_before_the_recipient(error.code, error.message, doing) from None
    except SMTPTimeoutError:
        raise TransportError(f"{doing}: no answer in time", permanent=False) from None
    except (SMTPException, OSError, ValueError) as error:
        raise TransportError(f"{doing}: {error}", permanent=False) from error


def _our_name() -> str:
    """Return how to introduce ourselves, without asking a name server for it."""
    name = socket.gethostname()
    return name if "." in name else "[127.0.0.1]"
