"""The text of an API key: made once, shown once, and afterwards known by its hash alone."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

_KEY: Final = re.compile(r"fx_live_[0-9a-f]{8}_[0-9a-f]{48}")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key nobody has yet; ``text`` is the secret, ``prefix`` is for people to tell keys apart."""

    prefix: str
    text: str = field(repr=False)


def new_key() -> NewKey:
    """Return a key with 192 random bits."""
    prefix = secrets.token_hex(4)
    return NewKey(prefix, f"fx_live_{prefix}_{secrets.token_hex(24)}")


def is_key(text: str) -> bool:
    """Whether *text* could be one of ours."""
    return _KEY.fullmatch(text) is not None


def key_hash(text: str) -> str:
    """Return the SHA-256 of a key, in hexadecimal.

    Random bits need no salt and no slow hash: there is nothing to guess them from.
    """
    return hashlib.sha256(text.encode()).hexdigest()
