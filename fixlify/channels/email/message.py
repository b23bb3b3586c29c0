"""Write one email as bytes that any mail server takes."""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Any

from fixlify.channels.protocol import OutgoingEmail


class _PlainHeaders(EmailPolicy):
    """The standard policy, without parsing and folding what is already fit to send.

    That work is four fifths of the processor time of a message.
    """

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        is_fit = isinstance(value, str) and value.isascii() and value.isprintable()
        if is_fit and "=?" not in value and len(name) + len(": ") + len(value) <= 78:
            return name, value
        return super().header_store_parse(name, value)

    def header_fetch_parse(self, name: str, value: Any) -> Any:
        # The generator asks for nothing but the content types below, which are parsed.
        return value


_ASCII = _PlainHeaders(linesep="\r\n", cte_type="7bit")
_UTF8 = _ASCII.clone(utf8=True)

# No text can fake the boundary and add a part of its own: in quoted-printable a "=" is
# always followed by two hexadecimal digits or the end of its line.
_BOUNDARY = "=_fixlify_="
_PLAIN = _ASCII.header_factory("Content-Type", 'text/plain; charset="utf-8"')
_HTML = _ASCII.header_factory("Content-Type", 'text/html; charset="utf-8"')
_BOTH = _ASCII.header_factory("Content-Type", f'multipart/alternative; boundary="{_BOUNDARY}"')
_ENCODING = _ASCII.header_factory("Content-Transfer-Encoding", "quoted-printable")


_UNSENDABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def write_message(message: OutgoingEmail) -> bytes:
    """Return *message* with its headers, in lines of CRLF, ready for DATA.

    Whatever its fields contain, each header stays one header. A ``reply_to`` that is not an
    address is left out.

    Raises:
        ValueError: The sender is not an address.
    """
    policy = _UTF8 if needs_utf8(message) else _ASCII
    letter = EmailMessage(policy=policy)
    letter["From"] = str(Address(_line(message.sender_name or ""), addr_spec=message.sender))
    letter["To"] = str(Address(addr_spec=message.to))
    letter["Subject"] = _line(message.subject)
    letter["Date"] = format_datetime(datetime.now(UTC))
    letter["Message-ID"] = message_id_header(message)
    if reply_to := _address(message.reply_to):
        letter["Reply-To"] = reply_to
    # Out-of-office programs answer people, not this: RFC 3834.
    letter["Auto-Submitted"] = "auto-generated"
    letter["X-Fixlify-Message-Id"] = str(message.message_id)
    letter["MIME-Version"] = "1.0"
    if message.html is None:
        _fill(letter, _PLAIN, message.text)
    else:
        letter["Content-Type"] = _BOTH
        for content_type, text in ((_PLAIN, message.text), (_HTML, message.html)):
            part = EmailMessage(policy=policy)
            _fill(part, content_type, text)
            letter.attach(part)
    return letter.as_bytes()


def message_id_header(message: OutgoingEmail) -> str:
    """Return the Message-ID, by which answers and bounces name this message."""
    return f"<{message.message_id}@{message.sender.rpartition('@')[2]}>"


def needs_utf8(message: OutgoingEmail) -> bool:
    """Whether an address has other letters than ASCII, which only some servers take."""
    return not (message.to.isascii() and message.sender.isascii())


def _fill(part: EmailMessage, content_type: Any, text: str) -> None:
    part["Content-Type"] = content_type
    part["Content-Transfer-Encoding"] = _ENCODING
    lines = "\n".join(text.splitlines()) + "\n"
    encoded = binascii.b2a_qp(lines.encode("utf-8", "replace"), istext=True)
    part.set_payload(encoded.decode("ascii"))


def _line(text: str) -> str:
    """Return *text* as one line: a line break would begin a header of its own."""
    return _UNSENDABLE.sub("", " ".join(text.split()))


def _address(raw: str | None) -> str | None:
    try:
        return str(Address(addr_spec=raw)) if raw and raw.isascii() else None
    except (ValueError, IndexError):
        return None
