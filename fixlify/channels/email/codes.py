"""What mail servers answer, and what we make of it.

A code is the reply (``550``), and where the server gives one the enhanced status of RFC 3463
(``5.1.1``), listed at https://www.iana.org/assignments/smtp-enhanced-status-codes. The most
precise line below wins; without one the first digit decides: 4 is for now, 5 is for good.

What is wrong with us (a login, a sender that is not ours, a limit that is used up) is never the
message's fault: it would refuse every message, so they wait, visibly, or go by another server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fixlify.channels.meanings import FOR_GOOD, FOR_NOW, SLOWER, Meaning
from fixlify.channels.waiting import asked_in_words
from fixlify.domain.errors import TransportError

MEANINGS: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        # The address
        "5.1.0": Meaning(FOR_GOOD, "the address is not accepted"),
        "5.1.1": Meaning(FOR_GOOD, "there is no such mailbox"),
        "5.1.2": Meaning(FOR_GOOD, "there is no such mail domain"),
        "5.1.3": Meaning(FOR_GOOD, "the address is not valid"),
        "5.1.4": Meaning(FOR_GOOD, "the address means more than one mailbox"),
        "5.1.6": Meaning(FOR_GOOD, "the mailbox has moved and left no address"),
        "5.1.10": Meaning(FOR_GOOD, "the domain takes no mail"),
        "5.4.1": Meaning(FOR_GOOD, "the recipient's server refuses the address"),
        "5.4.4": Meaning(FOR_GOOD, "there is no way to the mail domain"),
        "5.4.6": Meaning(FOR_GOOD, "mail to this address goes in circles"),
        "5.4.14": Meaning(FOR_GOOD, "mail to this address goes in circles"),
        "4.1.1": Meaning(FOR_NOW, "the mailbox cannot be looked up for now"),
        "4.1.2": Meaning(FOR_NOW, "the mail domain cannot be looked up for now"),
        "4.4.1": Meaning(FOR_NOW, "the recipient's server does not answer"),
        "4.4.2": Meaning(FOR_NOW, "the connection to the recipient's server broke"),
        "4.4.3": Meaning(FOR_NOW, "the mail domain cannot be looked up for now"),
        # The mailbox
        "5.2.0": Meaning(FOR_GOOD, "the mailbox takes no mail"),
        "5.2.1": Meaning(FOR_GOOD, "the mailbox is disabled"),
        "5.2.2": Meaning(FOR_GOOD, "the mailbox is full"),
        "5.7.13": Meaning(FOR_GOOD, "the mailbox's account is disabled"),
        "4.2.0": Meaning(FOR_NOW, "the mailbox takes no mail for now"),
        "4.2.1": Meaning(FOR_NOW, "the mailbox is disabled for now, or gets too much at once"),
        "4.2.2": Meaning(FOR_NOW, "the mailbox is full"),
        # The message
        "5.2.3": Meaning(FOR_GOOD, "the message is too large for the mailbox"),
        "5.3.4": Meaning(FOR_GOOD, "the message is too large"),
        "5.6.0": Meaning(FOR_GOOD, "the server does not understand the message"),
        "5.6.7": Meaning(FOR_GOOD, "the server takes no address with such letters"),
        "5.7.1": Meaning(FOR_GOOD, "the server's rules refuse it, as spam or as a relay"),
        "5.7.2": Meaning(FOR_GOOD, "we may not write to this mailing list"),
        # Our name, which is for whoever keeps the mail domain to repair
        "5.7.20": Meaning(FOR_GOOD, "the message carries no valid DKIM signature"),
        "5.7.23": Meaning(FOR_GOOD, "our domain's SPF record does not name this server"),
        "5.7.25": Meaning(FOR_GOOD, "our server's name does not match its address"),
        "5.7.26": Meaning(FOR_GOOD, "our domain lacks SPF or DKIM"),
        "5.7.27": Meaning(FOR_GOOD, "our domain takes no mail, so nobody takes mail from it"),
        "5.1.7": Meaning(FOR_NOW, "our sender's address is not valid; check FIXLIFY_MAIL_FROM"),
        "5.1.8": Meaning(FOR_NOW, "our sender's domain is not accepted; check FIXLIFY_MAIL_FROM"),
        "5.7.60": Meaning(FOR_NOW, "the login may not send as our sender; check FIXLIFY_MAIL_FROM"),
        # Too much at once
        "4.3.2": Meaning(SLOWER, "the server takes no mail for now"),
        "4.4.5": Meaning(SLOWER, "the server is overloaded"),
        "4.5.3": Meaning(SLOWER, "the server has had too many recipients at once"),
        "4.7.0": Meaning(SLOWER, "the server asks us to send more slowly"),
        "4.7.1": Meaning(SLOWER, "the server asks us to try again later"),
        "4.7.28": Meaning(SLOWER, "the server has had too much mail from us"),
        "5.4.5": Meaning(SLOWER, "our account has sent all it may today"),
        # The server
        "4.3.0": Meaning(FOR_NOW, "the server has a fault"),
        "4.3.1": Meaning(FOR_NOW, "the server is out of space"),
        "4.3.5": Meaning(FOR_NOW, "the server is set up wrongly"),
        "4.7.5": Meaning(FOR_NOW, "the server's encryption fails"),
        # Logging in: our settings are wrong, not the message. It waits until they are right.
        "5.7.0": Meaning(FOR_NOW, "the server wants us to log in or to encrypt"),
        "5.7.3": Meaning(FOR_NOW, "the server refuses our user name or password"),
        "5.7.8": Meaning(FOR_NOW, "the server refuses our user name or password"),
        "5.7.9": Meaning(FOR_NOW, "the server wants another way to log in"),
        "5.7.10": Meaning(FOR_NOW, "the server wants us to encrypt"),
        "5.7.11": Meaning(FOR_NOW, "the server wants us to encrypt before we log in"),
        "5.7.14": Meaning(FOR_NOW, "our account must be confirmed in a browser first"),
        "5.7.57": Meaning(FOR_NOW, "the server wants us to log in"),
        "5.7.139": Meaning(FOR_NOW, "our account may not log in this way"),
        "530": Meaning(FOR_NOW, "the server wants us to log in or to encrypt"),
        "534": Meaning(FOR_NOW, "the server wants another way to log in"),
        "535": Meaning(FOR_NOW, "the server refuses our user name or password"),
        "538": Meaning(FOR_NOW, "the server wants us to encrypt before we log in"),
        # Replies without an enhanced status
        "421": Meaning(SLOWER, "the server is closing down or busy"),
        "450": Meaning(FOR_NOW, "the mailbox is busy"),
        "451": Meaning(SLOWER, "the server asks us to try again later"),
        "452": Meaning(FOR_NOW, "the server is out of space"),
        "454": Meaning(FOR_NOW, "logging in fails for now"),
        "501": Meaning(FOR_GOOD, "the address is not valid"),
        "521": Meaning(FOR_GOOD, "the domain takes no mail"),
        "523": Meaning(FOR_GOOD, "the message is too large"),
        "550": Meaning(FOR_GOOD, "there is no such mailbox, or it is not for us"),
        "551": Meaning(FOR_GOOD, "the mailbox is elsewhere"),
        "552": Meaning(FOR_GOOD, "the mailbox is full or the message too large"),
        "553": Meaning(FOR_GOOD, "the address is not allowed"),
        "554": Meaning(FOR_GOOD, "the server refuses the message"),
        "556": Meaning(FOR_GOOD, "the domain takes no mail"),
    }
)

_REFUSES = Meaning(FOR_GOOD, "the server refuses it")
_IS_BUSY = Meaning(FOR_NOW, "the server is busy")
_TOO_MUCH = Meaning(SLOWER, "the server asks us to send more slowly")

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?!\S)")
# Some say it in words only; Amazon's "454 Throttling failure" is the best known.
_ASKS_FOR_LESS = re.compile(r"(?i)throttl|rate.?limit|grey-?list|gray-?list|too (many|much|fast)")
_TOO_LARGE = frozenset({"552", "523", "5.3.4", "5.2.3"})
# RFC 3463: x.1 is about an address, x.2 about a mailbox. A bare 450 is a busy mailbox.
_OF_THE_MAILBOX = re.compile(r"450|\d{3} 4\.[12]\.\d+")


def refusal(code: int, text: str) -> TransportError:
    """Return what a server's answer to a recipient or a message means.

    Args:
        code: the reply code.
        text: the rest of the reply. It may quote the address: only its enhanced status is used,
            and how long it asks us to wait.
    """
    enhanced = _ENHANCED.match(text)
    full = f"{code} {enhanced[1]}" if enhanced else str(code)
    meaning = _meaning(code, enhanced[1] if enhanced else None, text)
    return TransportError(
        f"the mail server answered {full}: {meaning.reason}",
        permanent=meaning.permanent,
        kind=meaning.kind,
        code=full,
        retry_after=None if meaning.permanent else asked_in_words(text),
    )


def refused_before_the_recipient(code: int, text: str, doing: str) -> TransportError:
    """Return what a refusal means that is not about the message but about us.

    A wrong password or a sender that the server does not know would refuse every message;
    they wait, visibly, until somebody repairs it. Only size is the message's own.
    """
    error = refusal(code, text)
    is_too_large = (error.code or "").rpartition(" ")[2] in _TOO_LARGE
    ours = SLOWER if error.kind is SLOWER else FOR_NOW
    return TransportError(
        f"{doing}: {error}",
        permanent=is_too_large,
        kind=FOR_GOOD if is_too_large else ours,
        code=error.code,
        retry_after=error.retry_after,
    )


def is_of_the_mailbox(code: str | None) -> bool:
    """Whether *code*, of a temporary refusal, is about one mailbox and not about the server."""
    return code is not None and _OF_THE_MAILBOX.fullmatch(code) is not None


def _meaning(code: int, enhanced: str | None, text: str) -> Meaning:
    if (precise := MEANINGS.get(enhanced or "")) is not None:
        return precise
    if code < 500 and _ASKS_FOR_LESS.search(text):
        return _TOO_MUCH
    return MEANINGS.get(str(code), _REFUSES if code >= 500 else _IS_BUSY)
