"""What mail servers answer, and what we make of it.

A code is the reply (``550``), and where the server gives one the enhanced status of RFC 3463
(``5.1.1``), listed at https://www.iana.org/assignments/smtp-enhanced-status-codes. The most
precise line below wins; without one the first digit decides: 4 is for now, 5 is for good.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from fixlify.domain.errors import TransportError


class Meaning(NamedTuple):
    """Whether another attempt is in vain, and why in words."""

    permanent: bool
    reason: str


FOR_GOOD, FOR_NOW = True, False

MEANINGS: Mapping[str, Meaning] = MappingProxyType(
    {
        # The address
        "5.1.1": Meaning(FOR_GOOD, "there is no such mailbox"),
        "5.1.2": Meaning(FOR_GOOD, "there is no such mail domain"),
        "5.1.3": Meaning(FOR_GOOD, "the address is not valid"),
        "5.1.6": Meaning(FOR_GOOD, "the mailbox has moved and left no address"),
        "5.1.10": Meaning(FOR_GOOD, "the domain takes no mail"),
        # The mailbox
        "5.2.0": Meaning(FOR_GOOD, "the mailbox takes no mail"),
        "5.2.1": Meaning(FOR_GOOD, "the mailbox is disabled"),
        "5.2.2": Meaning(FOR_GOOD, "the mailbox is full"),
        "4.2.1": Meaning(FOR_NOW, "the mailbox is disabled for now"),
        "4.2.2": Meaning(FOR_NOW, "the mailbox is full"),
        # The message
        "5.2.3": Meaning(FOR_GOOD, "the message is too large for the mailbox"),
        "5.3.4": Meaning(FOR_GOOD, "the message is too large"),
        "5.6.0": Meaning(FOR_GOOD, "the server does not understand the message"),
        "5.7.1": Meaning(FOR_GOOD, "the server's rules refuse it, as spam or as a relay"),
        "5.7.9": Meaning(FOR_NOW, "the server wants another way to log in"),
        "5.7.25": Meaning(FOR_GOOD, "our server's name does not match its address"),
        "5.7.26": Meaning(FOR_GOOD, "our domain lacks SPF or DKIM"),
        "4.7.1": Meaning(FOR_NOW, "the server asks us to try again later"),
        # Logging in: our settings are wrong, not the message. It waits until they are right.
        "5.7.0": Meaning(FOR_NOW, "the server wants us to log in or to encrypt"),
        "5.7.8": Meaning(FOR_NOW, "the server refuses our user name or password"),
        "530": Meaning(FOR_NOW, "the server wants us to log in or to encrypt"),
        "534": Meaning(FOR_NOW, "the server wants another way to log in"),
        "535": Meaning(FOR_NOW, "the server refuses our user name or password"),
        "538": Meaning(FOR_NOW, "the server wants us to encrypt before we log in"),
        # Replies without an enhanced status
        "421": Meaning(FOR_NOW, "the server is closing down or busy"),
        "450": Meaning(FOR_NOW, "the mailbox is busy"),
        "451": Meaning(FOR_NOW, "the server asks us to try again later"),
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

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?!\S)")


def refusal(code: int, text: str) -> TransportError:
    """Return what a server's answer to a recipient or a message means.

    Args:
        code: the reply code.
        text: the rest of the reply. It may quote the address: only its enhanced status is used.
    """
    enhanced = _ENHANCED.match(text)
    full = f"{code} {enhanced[1]}" if enhanced else str(code)
    fallback = Meaning(
        code >= 500, "the server refuses it" if code >= 500 else "the server is busy"
    )
    meaning = MEANINGS.get(enhanced[1] if enhanced else "") or MEANINGS.get(str(code), fallback)
    return TransportError(
        f"the mail server answered {full}: {meaning.reason}",
        permanent=meaning.permanent,
        code=full,
    )


def refused_before_the_recipient(code: int, text: str, doing: str) -> TransportError:
    """Return what a refusal means that is not about the message but about us.

    A wrong password or a sender that the server does not know would refuse every message;
    they wait, visibly, until somebody repairs it. Only size is the message's own.
    """
    error = refusal(code, text)
    permanent = error.code in {"552 5.3.4", "523", "552", "552 5.2.3"}
    return TransportError(f"{doing}: {error}", permanent=permanent, code=error.code)
