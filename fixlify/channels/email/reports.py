"""Read what mail servers send back: delivery-status reports (RFC 3464) about our messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes, message_from_string
from email.errors import MessageError
from email.message import Message
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

LONGEST_READ: Final = 256 * 1024
"""Bytes of a mail that are looked at. What a server says comes first, the returned mail last."""

# A report has half a dozen parts, and mail that it returns a few more. Parsing takes the time of
# lines times depth, so what is nested like this is not parsed at all.
_MOST_PARTS: Final = 40
_PART: Final = re.compile(rb"(?im)^content-type:\s{0,10}(?:multipart|message)/")
# Each group of fields is about one recipient; every message of ours has one, lists may have more.
_MOST_RECIPIENTS: Final = 50
_MOST_BLANK_LINES: Final = 2_000
_LONGEST_DIAGNOSTIC: Final = 300

# As ``message.message_id_header`` writes it, in brackets or bare.
_UUID: Final = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_NAMED: Final = re.compile(rf"\s*<?({_UUID})(?:@[^\s<>@]{{1,255}})?>?\s*", re.ASCII)
_NAMED_WITHIN: Final = re.compile(rf"<({_UUID})@[^\s<>@]{{1,255}}>", re.ASCII)
# RFC 3463; found within the words of a server, too.
_STATUS: Final = re.compile(r"(?<![0-9.])([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")
_BLANK_LINE: Final = re.compile(r"\n[ \t]*\n")
_UNSTORABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")

_STATUS_TYPES: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})
_RETURNED_TYPES: Final = frozenset(
    {"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"}
)


class Action(StrEnum):
    """What a server did with a message (RFC 3464, section 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a mail server says of one message of ours and one address.

    ``recipient`` is the address that we wrote to, where the server knows it, else the one that
    it ended at. ``status`` is an enhanced code such as ``5.1.1``. ``diagnostic`` are the
    server's words, in one line, which may quote the address.
    """

    message_id: UUID
    recipient: str
    action: Action
    status: str | None = None
    diagnostic: str | None = None


_DEAD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "5.1.0": "the address is not accepted",
        "5.1.1": "there is no such mailbox",
        "5.1.2": "there is no such mail domain",
        "5.1.3": "the address is not valid",
        "5.1.6": "the mailbox has moved and left no address",
        "5.1.10": "the domain takes no mail",
        "5.2.1": "the mailbox is disabled",
        "5.4.1": "the recipient's server refuses the address",
        "5.4.4": "there is no way to the mail domain",
        "5.7.13": "the mailbox's account is disabled",
    }
)
# What servers without enhanced codes of their own say of a mailbox nobody has.
_NOBODY: Final = re.compile(
    r"(?i)\b(?:no such (?:user|recipient|mailbox|address|person)"
    r"|(?:user|recipient|mailbox|address|account) (?:is )?(?:unknown|not found|does not exist"
    r"|doesn't exist|disabled|invalid)"
    r"|(?:unknown|invalid|non-?existent) (?:user|recipient|mailbox|address|account)"
    r"|no mailbox here|user doesn't have a|not a known user)\b"
)


def means_no_mailbox(status: str | None, diagnostic: str | None) -> bool:
    """Whether a refusal says that nobody has the address, now or later.

    A full mailbox, mail that was taken for spam and a rule against us say nothing of the kind.

    Args:
        status: The enhanced code, such as ``5.1.1``.
        diagnostic: The server's words; they count where *status* is missing or ``5.0.0``.
    """
    words = diagnostic or ""
    if status is None or status.endswith(".0.0"):
        within = _STATUS.search(words)
        status = within[1] if within else status
    if status is not None and not status.endswith(".0.0"):
        return status in _DEAD
    return not (status or "5").startswith("4") and _NOBODY.search(words) is not None


def message_named(text: str) -> UUID | None:
    """Return the message that a Message-ID (``<id@host>``) or its bare id names, None if none."""
    named = _NAMED.fullmatch(text)
    return UUID(named[1]) if named else None


def read_reports(mail: bytes) -> tuple[DeliveryReport, ...]:
    """Return what *mail* reports about messages of ours; nothing where it is no such report.

    Whatever it is given, it returns: mail from outside may be anything.
    """
    mail = mail[:LONGEST_READ]
    if len(_PART.findall(mail)) > _MOST_PARTS or _is_shredded(mail):
        return ()
    try:
        return tuple(_reports(message_from_bytes(mail)))
    except (MessageError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        # The parser's own mistakes, which hostile mail finds.
        return ()


def _is_shredded(mail: bytes) -> bool:
    """Whether there are more blank lines than a report has, each of which begins something."""
    return mail.count(b"\n\n") + mail.count(b"\n\r\n") > _MOST_BLANK_LINES


def _reports(mail: Message) -> Iterator[DeliveryReport]:
    parts = list(mail.walk())
    # What is attached to the mail that came back is not about it: the first one counts.
    status = next((part for part in parts if part.get_content_type() in _STATUS_TYPES), None)
    if status is None:
        return
    groups = _groups(status)
    message_id = _message_id(mail, parts, groups)
    if message_id is None:
        return
    for fields in groups[: _MOST_RECIPIENTS + 1]:
        recipient = _address(fields, "Original-Recipient") or _address(fields, "Final-Recipient")
        action = _text(fields, "Action").strip().lower()
        if recipient is None or action not in set(Action):
            continue
        found = _STATUS.search(_text(fields, "Status"))
        diagnostic = _text(fields, "Diagnostic-Code").partition(";")
        yield DeliveryReport(
            message_id=message_id,
            recipient=recipient,
            action=Action(action),
            status=found[1] if found else None,
            diagnostic=_one_line(diagnostic[2] or diagnostic[0]),
        )


def _groups(part: Message) -> list[Message]:
    """Return the groups of fields of a report: about the message, then about each recipient."""
    payload = part.get_payload()
    if not isinstance(payload, list):
        return [message_from_string(group) for group in _BLANK_LINE.split(_decoded(part))]
    groups = [group for group in payload if isinstance(group, Message)]
    if part.get_content_type() == "message/delivery-status":
        return groups
    # The standard parser takes the other kind for a mail, and the recipients for its text.
    rest = groups[0].get_payload() if groups else ""
    others = _BLANK_LINE.split(rest.replace("\r\n", "\n")) if isinstance(rest, str) else []
    return [*groups, *map(message_from_string, others)]


def _message_id(mail: Message, parts: list[Message], groups: list[Message]) -> UUID | None:
    # Most return the mail or its headers; Gmail names it in the report, Exchange as replies do.
    for headers in _returned(parts):
        for name in ("X-Fixlify-Message-Id", "Message-ID"):
            if named := message_named(_text(headers, name)):
                return named
    for fields in groups:
        for name in ("X-Original-Message-ID", "Original-Envelope-Id"):
            if named := message_named(_text(fields, name)):
                return named
    for name in ("In-Reply-To", "References", "X-Failed-Message-ID"):
        if within := _NAMED_WITHIN.search(_text(mail, name)):
            return UUID(within[1])
    return None


def _returned(parts: list[Message]) -> Iterator[Message]:
    """Yield the headers of the mail that comes back, as far as the report has them."""
    for part in parts[1:]:
        kind = part.get_content_type()
        payload = part.get_payload()
        if kind not in _RETURNED_TYPES:
            continue
        if isinstance(payload, list):
            yield from (each for each in payload[:1] if isinstance(each, Message))
        else:
            yield message_from_string(_decoded(part).lstrip())


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return text.replace("\r\n", "\n")


def _address(fields: Message, name: str) -> str | None:
    """Return the address of a field such as ``rfc822; ann@example.com``, None without one."""
    kind, separator, address = _text(fields, name).partition(";")
    address = (address if separator else kind).strip().strip("<>").strip()
    return address if "@" in address and len(address) <= 320 else None


def _text(headers: Message, name: str) -> str:
    """Return a header's text, empty where there is none; whatever bytes it has."""
    value = headers.get(name)
    # Bytes that are no text come as halves of surrogate pairs, which nobody else takes.
    return "" if value is None else str(value).encode("utf-8", "replace").decode("utf-8")


def _one_line(text: str) -> str | None:
    line = " ".join(_UNSTORABLE.sub(" ", text).split())
    return line[:_LONGEST_DIAGNOSTIC] or None
