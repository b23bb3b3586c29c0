"""What Twilio answers, and what we make of it.

Codes are listed at https://www.twilio.com/docs/api/errors. What is wrong with the account
or its settings is for now: it would refuse every message, so they wait, visibly, until
somebody repairs it. What is wrong with the number or the text is for good.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from fixlify.channels.waiting import retry_after
from fixlify.domain.errors import OutcomeUnknownError, TransportError
from fixlify.domain.failures import FailureKind


class Meaning(NamedTuple):
    """Whether another attempt is in vain, and why in words."""

    permanent: bool
    reason: str


FOR_GOOD, FOR_NOW = True, False

MEANINGS: Mapping[int, Meaning] = MappingProxyType(
    {
        # The number
        21211: Meaning(FOR_GOOD, "the number is not valid"),
        21214: Meaning(FOR_GOOD, "the number cannot be reached"),
        21217: Meaning(FOR_GOOD, "the number is not valid"),
        21408: Meaning(FOR_GOOD, "the account may not send to that country"),
        21421: Meaning(FOR_GOOD, "the number is not valid"),
        21604: Meaning(FOR_GOOD, "the message has no number"),
        21608: Meaning(FOR_GOOD, "a trial account sends to verified numbers only"),
        21610: Meaning(FOR_GOOD, "the recipient opted out with STOP"),
        21612: Meaning(FOR_GOOD, "there is no way from our number to theirs"),
        21614: Meaning(FOR_GOOD, "the number takes no text messages"),
        21635: Meaning(FOR_GOOD, "the number is a landline"),
        # The text
        21602: Meaning(FOR_GOOD, "the message is empty"),
        21605: Meaning(FOR_GOOD, "the message is too long"),
        21617: Meaning(FOR_GOOD, "the message is too long"),
        21619: Meaning(FOR_GOOD, "the message is empty"),
        # The account
        20003: Meaning(FOR_NOW, "the account or its token is wrong; check TWILIO_AUTH_TOKEN"),
        20005: Meaning(FOR_NOW, "the account is not active"),
        20006: Meaning(FOR_NOW, "the account may not do this"),
        20008: Meaning(FOR_NOW, "test credentials cannot send; use the live ones"),
        20404: Meaning(FOR_NOW, "the account does not exist; check TWILIO_ACCOUNT_SID"),
        30002: Meaning(FOR_NOW, "the account is suspended"),
        # Our number
        21212: Meaning(FOR_NOW, "our number is not valid; check TWILIO_FROM_NUMBER"),
        21603: Meaning(FOR_NOW, "our number is missing; check TWILIO_FROM_NUMBER"),
        21606: Meaning(FOR_NOW, "our number is not this account's; check TWILIO_FROM_NUMBER"),
        21609: Meaning(FOR_NOW, "Twilio cannot call back the status URL; check its address"),
        21659: Meaning(FOR_NOW, "our number is not this account's; check TWILIO_FROM_NUMBER"),
        21660: Meaning(FOR_NOW, "our number is another account's; check TWILIO_FROM_NUMBER"),
        21701: Meaning(FOR_NOW, "the messaging service does not exist"),
        21703: Meaning(FOR_NOW, "the messaging service has no number"),
        21704: Meaning(FOR_NOW, "the messaging service has no number"),
        21705: Meaning(FOR_NOW, "the messaging service is not valid"),
        # Too much at once
        14107: Meaning(FOR_NOW, "too many messages at once"),
        20429: Meaning(FOR_NOW, "too many requests at once"),
        21611: Meaning(FOR_NOW, "our number's queue is full"),
        30001: Meaning(FOR_NOW, "Twilio's queue is full"),
        63038: Meaning(FOR_NOW, "the account has sent all it may today"),
        # Twilio itself
        20500: Meaning(FOR_NOW, "Twilio has an internal error"),
        20503: Meaning(FOR_NOW, "Twilio is unavailable"),
    }
)

HTTP_MEANINGS: Mapping[int, Meaning] = MappingProxyType(
    {
        401: MEANINGS[20003],
        403: MEANINGS[20006],
        404: MEANINGS[20404],
        407: Meaning(FOR_NOW, "the proxy on the way wants us to log in"),
        408: Meaning(FOR_NOW, "the request took too long to arrive"),
        429: MEANINGS[20429],
    }
)
"""Statuses that come without a code of Twilio's."""

_LANDLINES = {21614, 21635, 30006}

# Without Twilio's own code beside them, these may come from something that lost sight of a
# request it had passed on, or from Twilio after it had taken the message.
_LOST_ON_THE_WAY = {500, 502, 504}


def refusal(status: int, text: str, headers: Mapping[str, str]) -> TransportError:
    """Return what an answer other than success means.

    A client's error that nobody knows is permanent, since the same request gets the same
    answer; a server's is temporary: Twilio did not take the message.

    Args:
        status: the HTTP status.
        text: the body. Its message may quote the number: only its code is used.
        headers: by any spelling of their names; ``Retry-After`` is read.
    """
    code = _code(text)
    if code is None and status in _LOST_ON_THE_WAY:
        return OutcomeUnknownError(
            f"Twilio, or a gateway before it, answered {status}; look for the message there"
        )
    fallback = Meaning(FOR_GOOD, "it refuses the message")
    if not 400 <= status < 500:
        fallback = Meaning(FOR_NOW, "it is not working as it should")
    meaning = HTTP_MEANINGS.get(status, fallback)
    if code is not None:
        meaning = MEANINGS.get(code, meaning)
    return TransportError(
        f"Twilio answered {code or f'HTTP {status}'}: {meaning.reason}",
        permanent=meaning.permanent,
        code=str(code or status),
        retry_after=retry_after(headers.get("Retry-After")),
    )


def failure_kind(code: str | None) -> FailureKind:
    """Return what a code of Twilio's means for the message, as the ledger keeps it."""
    if code is not None and code.isdecimal() and int(code) in _LANDLINES:
        return FailureKind.LANDLINE
    return FailureKind.PERMANENT


def _code(text: str) -> int | None:
    try:
        answer: Any = json.loads(text)
        return int(answer["code"])
    except (ValueError, TypeError, KeyError):
        return None
