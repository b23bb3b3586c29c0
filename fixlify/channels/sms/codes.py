"""What Twilio answers and reports, and what we make of it.

Codes are listed at https://www.twilio.com/docs/api/errors. What is wrong with the account
or its settings is for now: it would refuse every message, so they wait, visibly, until
somebody repairs it. What is wrong with the number or the text is for good.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from fixlify.channels.meanings import FOR_GOOD, FOR_NOW, LANDLINE, OPTED_OUT, SLOWER, Meaning
from fixlify.channels.waiting import retry_after
from fixlify.domain.errors import OutcomeUnknownError, TransportError
from fixlify.domain.failures import FailureKind

MEANINGS: Final[Mapping[int, Meaning]] = MappingProxyType(
    {
        # The person
        21610: Meaning(OPTED_OUT, "the recipient opted out with STOP"),
        # The number
        21211: Meaning(FOR_GOOD, "the number is not valid"),
        21214: Meaning(FOR_GOOD, "the number cannot be reached"),
        21217: Meaning(FOR_GOOD, "the number is not valid"),
        21265: Meaning(FOR_GOOD, "the number is a short code, which takes no messages"),
        21266: Meaning(FOR_GOOD, "the number is our own"),
        21407: Meaning(FOR_GOOD, "this kind of number takes no text messages"),
        21408: Meaning(FOR_GOOD, "the account may not send to that country"),
        21421: Meaning(FOR_GOOD, "the number is not valid"),
        21604: Meaning(FOR_GOOD, "the message has no number"),
        21608: Meaning(FOR_GOOD, "a trial account sends to verified numbers only"),
        21612: Meaning(FOR_GOOD, "there is no way from our number to theirs"),
        21614: Meaning(LANDLINE, "the number takes no text messages"),
        21635: Meaning(LANDLINE, "the number is a landline"),
        30006: Meaning(LANDLINE, "the number is a landline, or its carrier is out of reach"),
        # The text
        21602: Meaning(FOR_GOOD, "the message is empty"),
        21605: Meaning(FOR_GOOD, "the message is too long"),
        21617: Meaning(FOR_GOOD, "the message is too long"),
        21618: Meaning(FOR_GOOD, "the message has characters that cannot be sent"),
        21619: Meaning(FOR_GOOD, "the message is empty"),
        30019: Meaning(FOR_GOOD, "the message is too long for the carrier"),
        30044: Meaning(FOR_GOOD, "a trial account sends short messages only"),
        # The account
        20003: Meaning(FOR_NOW, "the account or its token is wrong; check TWILIO_AUTH_TOKEN"),
        20005: Meaning(FOR_NOW, "the account is not active"),
        20006: Meaning(FOR_NOW, "the account may not do this"),
        20008: Meaning(FOR_NOW, "test credentials cannot send; use the live ones"),
        20404: Meaning(FOR_NOW, "the account does not exist; check TWILIO_ACCOUNT_SID"),
        30002: Meaning(FOR_NOW, "the account is suspended"),
        # Our number
        14108: Meaning(FOR_NOW, "our number sends no text messages; check {number}"),
        21212: Meaning(FOR_NOW, "our number is not valid; check {number}"),
        21267: Meaning(FOR_NOW, "a trial account sends from numbers only; check {number}"),
        21601: Meaning(FOR_NOW, "our number is not this account's; check {number}"),
        21603: Meaning(FOR_NOW, "our number is missing; check {number}"),
        21606: Meaning(FOR_NOW, "our number is not this account's; check {number}"),
        21609: Meaning(FOR_NOW, "Twilio cannot call back the status URL; check FIXLIFY_PUBLIC_URL"),
        21659: Meaning(FOR_NOW, "our number is not this account's; check {number}"),
        21660: Meaning(FOR_NOW, "our number is another account's; check {number}"),
        21661: Meaning(FOR_NOW, "our number sends no text messages; check {number}"),
        21701: Meaning(FOR_NOW, "the messaging service does not exist"),
        21703: Meaning(FOR_NOW, "the messaging service has no number"),
        21704: Meaning(FOR_NOW, "the messaging service has no number"),
        21705: Meaning(FOR_NOW, "the messaging service is not valid"),
        30018: Meaning(FOR_NOW, "that country's carriers want our sender registered first"),
        30024: Meaning(FOR_NOW, "the carrier does not know our number"),
        30032: Meaning(FOR_NOW, "our toll-free number is not verified yet"),
        30033: Meaning(FOR_NOW, "our registered campaign is suspended"),
        30034: Meaning(FOR_NOW, "our number is not registered with the American carriers"),
        30035: Meaning(FOR_NOW, "our number is still being registered"),
        30037: Meaning(FOR_NOW, "the account may not send messages now"),
        # Too much at once
        14107: Meaning(SLOWER, "too many messages at once"),
        20429: Meaning(SLOWER, "too many requests at once"),
        21611: Meaning(SLOWER, "our number's queue is full"),
        30001: Meaning(SLOWER, "Twilio's queue is full"),
        30017: Meaning(SLOWER, "the carrier's network is overloaded"),
        30022: Meaning(SLOWER, "the carrier takes no more messages a second from our campaign"),
        30023: Meaning(SLOWER, "the carrier takes no more messages from us today"),
        30027: Meaning(SLOWER, "the carrier takes no more messages from us today"),
        30036: Meaning(SLOWER, "the message waited too long in Twilio's queue"),
        63038: Meaning(SLOWER, "the account has sent all it may today"),
        # The way there
        30003: Meaning(FOR_NOW, "the phone is switched off or out of reach"),
        30004: Meaning(FOR_GOOD, "the recipient or the carrier blocks our messages"),
        30005: Meaning(FOR_GOOD, "the number is not in service"),
        30007: Meaning(FOR_GOOD, "the carrier filtered it as spam"),
        30008: Meaning(FOR_NOW, "the carrier did not say why"),
        30009: Meaning(FOR_NOW, "a part of the message was lost on the way"),
        30010: Meaning(FOR_GOOD, "the message costs more than the account allows"),
        30039: Meaning(FOR_GOOD, "the same message went back and forth too often"),
        30410: Meaning(FailureKind.UNKNOWN, "the carrier did not answer, and may have it"),
        # Twilio itself
        20500: Meaning(FOR_NOW, "Twilio has an internal error"),
        20503: Meaning(FOR_NOW, "Twilio is unavailable"),
    }
)

HTTP_MEANINGS: Final[Mapping[int, Meaning]] = MappingProxyType(
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

NUMBER_SETTING: Final = "TWILIO_FROM_NUMBER"

_REFUSES = Meaning(FOR_GOOD, "it refuses the message")
_FAILS = Meaning(FOR_NOW, "it is not working as it should")

# Without Twilio's own code beside them, these may come from something that lost sight of a
# request it had passed on, or from Twilio after it had taken the message.
_LOST_ON_THE_WAY = {500, 502, 504}


def refusal(
    status: int, text: str, headers: Mapping[str, str], number_setting: str = NUMBER_SETTING
) -> TransportError:
    """Return what an answer other than success means.

    A client's error that nobody knows is permanent, since the same request gets the same
    answer; a server's is temporary: Twilio did not take the message.

    Args:
        status: the HTTP status.
        text: the body. Its message may quote the number: only its code is used.
        headers: by any spelling of their names; ``Retry-After`` is read.
        number_setting: the variable that our number comes from.
    """
    code = _code(text)
    if code is None and status in _LOST_ON_THE_WAY:
        return OutcomeUnknownError(
            f"Twilio, or a gateway before it, answered {status}; look for the message there"
        )
    meaning = HTTP_MEANINGS.get(status, _REFUSES if 400 <= status < 500 else _FAILS)
    if code is not None:
        meaning = MEANINGS.get(code, meaning)
    reason = meaning.reason.format(number=number_setting)
    told = f"Twilio answered {code or f'HTTP {status}'}: {reason}"
    if meaning.kind is FailureKind.UNKNOWN:
        return OutcomeUnknownError(told)
    return TransportError(
        told,
        permanent=meaning.permanent,
        kind=meaning.kind,
        code=str(code or status),
        retry_after=retry_after(headers.get("Retry-After")),
    )


def delivery_reason(code: str | None) -> str:
    """Return, as a clause, why a message that Twilio had taken did not arrive.

    Args:
        code: the ``ErrorCode`` of a status callback, None where it has none. Whatever it is,
            nothing of it but a number is repeated.
    """
    number = int(code) if code and code.isascii() and code.isdecimal() and len(code) <= 6 else None
    if not number:
        return "Twilio does not say why"
    if (meaning := MEANINGS.get(number)) is not None:
        return meaning.reason.format(number=NUMBER_SETTING)
    return f"Twilio reports {number}; see https://www.twilio.com/docs/api/errors/{number}"


def is_landline(code: str | None) -> bool:
    """Whether *code*, as the ledger keeps it, says that the number takes no text messages."""
    meaning = MEANINGS.get(int(code)) if code is not None and code.isdecimal() else None
    return meaning is not None and meaning.kind is LANDLINE


def _code(text: str) -> int | None:
    try:
        answer: Any = json.loads(text)
        return int(answer["code"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
