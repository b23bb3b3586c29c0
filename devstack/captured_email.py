"""One email as a mail server received it."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from functools import cached_property

from pydantic import AwareDatetime, BaseModel, ConfigDict


class CapturedEmail(BaseModel):
    """One message as the server received it.

    ``recipients`` and ``sender`` are the envelope's; ``accepted_at`` is ``time.monotonic()`` in
    seconds. What is inside is parsed when somebody looks: that takes longer than receiving it.
    """

    model_config = ConfigDict(frozen=True)

    recipients: tuple[str, ...]
    sender: str
    raw: bytes
    received_at: AwareDatetime
    accepted_at: float

    @cached_property
    def headers(self) -> dict[str, str]:
        """The headers, decoded; of a repeated one, the last."""
        return {name: str(value) for name, value in self._message.items()}

    @cached_property
    def subject(self) -> str:
        """The subject, decoded; empty without one."""
        return str(self._message["Subject"] or "")

    @cached_property
    def text(self) -> str:
        """The plain text; empty without one."""
        part = self._message.get_body(("plain",))
        return _content(part) if part else ""

    @cached_property
    def html(self) -> str | None:
        """The HTML; None without one."""
        part = self._message.get_body(("html",))
        return _content(part) if part else None

    @cached_property
    def _message(self) -> EmailMessage:
        return BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(self.raw)

    def __str__(self) -> str:
        return f"{self.sender} → {', '.join(self.recipients)}: {self.subject}"


def _content(part: MIMEPart) -> str:
    try:
        content = str(part.get_content())
    except LookupError:
        # A character set nobody knows: show what can be shown.
        content = bytes(part.get_payload(decode=True)).decode(errors="replace")
    # As it was written; the wire has line ends of its own.
    return content.replace("\r\n", "\n")
