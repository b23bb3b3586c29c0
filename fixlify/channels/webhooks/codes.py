"""What a receiver of webhooks answers, and what we make of it.

Any success takes the webhook. The same request gets the same answer from a client's error, so
those are for good; what passes with time, and everything that is the server's fault, is for now.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from fixlify.channels.waiting import retry_after
from fixlify.domain.errors import TransportError

GONE: Final = "410"
"""The code of a receiver that wants no more webhooks, ever."""


class Meaning(NamedTuple):
    """Whether another attempt is in vain, and why in words."""

    permanent: bool
    reason: str


FOR_GOOD, FOR_NOW = True, False

MEANINGS: Mapping[int, Meaning] = MappingProxyType(
    {
        400: Meaning(FOR_GOOD, "it does not understand the request"),
        401: Meaning(FOR_GOOD, "it does not let us in; check the secret it verifies with"),
        403: Meaning(FOR_GOOD, "it does not let us in; check the secret it verifies with"),
        404: Meaning(FOR_GOOD, "there is nothing at this address; correct the URL"),
        405: Meaning(FOR_GOOD, "it takes no POST; correct the URL"),
        408: Meaning(FOR_NOW, "the request took too long to arrive"),
        409: Meaning(FOR_NOW, "it is busy with the same thing"),
        410: Meaning(FOR_GOOD, "it wants no more webhooks"),
        413: Meaning(FOR_GOOD, "the request is too large for it; name fewer fields"),
        415: Meaning(FOR_GOOD, "it takes no JSON"),
        422: Meaning(FOR_GOOD, "it cannot use what it was told"),
        425: Meaning(FOR_NOW, "it wants to be asked again"),
        429: Meaning(FOR_NOW, "too many requests at once"),
        500: Meaning(FOR_NOW, "it has an internal error"),
        502: Meaning(FOR_NOW, "what stands before it cannot reach it"),
        503: Meaning(FOR_NOW, "it is unavailable"),
        504: Meaning(FOR_NOW, "what stands before it cannot reach it"),
    }
)


def refusal(host: str, status: int, headers: Mapping[str, str]) -> TransportError:
    """Return what an answer other than success means; *headers* by any spelling of their names."""
    fallback = Meaning(FOR_GOOD, "it refuses the request")
    if 300 <= status < 400:
        fallback = Meaning(FOR_GOOD, "it has moved; write the address it has now")
    elif status >= 500:
        fallback = Meaning(FOR_NOW, "it is not working as it should")
    meaning = MEANINGS.get(status, fallback)
    return TransportError(
        f"{host} answered {status}: {meaning.reason}",
        permanent=meaning.permanent,
        code=str(status),
        retry_after=retry_after(headers.get("Retry-After")),
    )
