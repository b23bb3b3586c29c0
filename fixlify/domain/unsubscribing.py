"""The signed links by which a person unsubscribes, without saying who they are."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final
from urllib.parse import quote
from uuid import UUID

from fixlify.domain.errors import UnsubscribeTokenError

PATH: Final = "/u/"
"""Where the links lead, below the public address."""

SHORTEST_KEY: Final = 16
"""Characters of a key that signs links."""

# Letters and digits alone, in either case: no program that finds links in a text takes the end
# for a full stop, and none that writes them small breaks one. 35 bytes fill 56 of them exactly.
_TOKEN: Final = re.compile(r"[a-zA-Z2-7]{56}", re.ASCII)
_VERSION: Final = b"\x01"
# RFC 2104, section 5: no less than half of the hash.
_SIGNATURE_BYTES: Final = 18
_PURPOSE: Final = b"fixlify unsubscribe\x00"
# RFC 5322, section 3.4.1, without what a link has a meaning of its own for.
_ADDRESS: Final = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")
_PLAIN_IN_ADDRESS: Final = "@!$*+-=^_`{|}~'"


def keys_of(secret: str) -> tuple[bytes, ...]:
    """Return the keys in *secret*, which commas separate: the first signs, each is believed."""
    return tuple(key.strip().encode() for key in secret.split(",") if key.strip())


def unsubscribe_url(public_url: str, secret: str, message_id: UUID) -> str:
    """Return the link that unsubscribes whoever got the message: ``https://host/u/…``.

    It names the message alone. Without the key nobody makes one; with it the same message has
    the same link for ever.
    """
    named = _VERSION + message_id.bytes
    token = base64.b32encode(named + _signature(named, keys_of(secret)[0])).decode("ascii")
    return f"{public_url.rstrip('/')}{PATH}{token.lower()}"


def message_of(token: str, secret: str) -> UUID:
    """Return the message whose link ends in *token*.

    Raises:
        UnsubscribeTokenError: None of the keys in *secret* has signed it.
    """
    if not _TOKEN.fullmatch(token):
        raise UnsubscribeTokenError
    try:
        raw = base64.b32decode(token.upper())
    except binascii.Error:
        raise UnsubscribeTokenError from None
    named, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
    # Every key is tried, so that the time tells nobody which one fits.
    fits = [hmac.compare_digest(signature, _signature(named, key)) for key in keys_of(secret)]
    if not any(fits) or not named.startswith(_VERSION):
        raise UnsubscribeTokenError
    return UUID(bytes=named[len(_VERSION) :])


def _signature(named: bytes, key: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + named, hashlib.sha256)[:_SIGNATURE_BYTES]


class UnsubscribeLinks:
    """How people get out of marketing email; lives as long as its process.

    Args:
        public_url: Where the HTTP API is reached from outside; None where nobody said.
        secret: ``FIXLIFY_LINK_SECRET``; None where nobody made one.
    """

    def __init__(self, public_url: str | None = None, secret: str | None = None) -> None:
        self._public_url = public_url
        self._secret = secret

    def url_for(self, message_id: UUID) -> str | None:
        """Return the link that takes one click, None where links cannot be made."""
        if not self._public_url or not self._secret or not keys_of(self._secret):
            return None
        return unsubscribe_url(self._public_url, self._secret, message_id)

    def way_out(self, message_id: UUID, reply_to: str | None) -> str | None:
        """Return that link, or in its place the address of whoever answers the mail.

        Args:
            message_id: The message as the ledger names it.
            reply_to: The company's own address.

        Returns:
            ``https://…`` or ``mailto:…``; None where there is neither.
        """
        link = self.url_for(message_id)
        if link is None and _ADDRESS.fullmatch(reply_to or ""):
            return f"mailto:{quote(reply_to or '', safe=_PLAIN_IN_ADDRESS)}?subject=unsubscribe"
        return link
