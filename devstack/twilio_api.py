"""Twilio's Message resource as its API shows it: fields, pages, callbacks.

https://www.twilio.com/docs/messaging/api/message-resource
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from pydantic import AwareDatetime, BaseModel, ConfigDict

from devstack.sms_fates import Refusal

API_VERSION = "2010-04-01"
ACCOUNTS_PATH = f"/{API_VERSION}/Accounts"
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 1000
MAX_BODY_CHARACTERS = 1600
SEGMENT_PRICE = Decimal("0.00790")
# What Twilio has not passed on has no date of sending, and is never found by one.
_NOT_SENT_YET = frozenset({"accepted", "queued"})
_UNPAID = _NOT_SENT_YET | {"failed"}


class CapturedSms(BaseModel):
    """One message as the server received it, with the status its delivery has reached.

    ``accepted_at`` is ``time.monotonic()`` in seconds.
    """

    model_config = ConfigDict(frozen=True)

    sid: str
    to: str
    from_: str
    messaging_service_sid: str | None = None
    body: str
    segments: int
    status: str = "queued"
    error_code: int | None = None
    received_at: AwareDatetime
    accepted_at: float

    def __str__(self) -> str:
        return f"{self.from_} → {self.to} ({self.status}): {self.body}"


def missing_parameter(form: Mapping[str, str]) -> Refusal | None:
    """What Twilio says about a message without recipient, sender or words; None if complete."""
    if not form.get("To"):
        return Refusal(400, 21604, "A 'To' phone number is required.")
    if not form.get("From") and not form.get("MessagingServiceSid"):
        return Refusal(400, 21603, "A 'From' phone number is required.")
    if not form.get("Body"):
        return Refusal(400, 21602, "Message body is required.")
    if len(form["Body"]) > MAX_BODY_CHARACTERS:
        limit = f"The concatenated message body exceeds the {MAX_BODY_CHARACTERS} character limit."
        return Refusal(400, 21617, limit)
    to = form["To"]
    if not (to.startswith("+") and to[1:].isdecimal() and 7 < len(to) <= 16):
        return Refusal(400, 21211, "Invalid 'To' Phone Number")
    return None


def representation(message: CapturedSms, account_sid: str) -> dict[str, Any]:
    """The JSON of a message, with every field Twilio has."""
    created = format_datetime(message.received_at)
    price = None if message.status in _UNPAID else str(-SEGMENT_PRICE * message.segments)
    uri = f"{ACCOUNTS_PATH}/{account_sid}/Messages/{message.sid}"
    return {
        "account_sid": account_sid,
        "api_version": API_VERSION,
        "body": message.body,
        "date_created": created,
        "date_sent": created if _is_sent(message) else None,
        "date_updated": created,
        "direction": "outbound-api",
        "error_code": message.error_code,
        "error_message": None,
        "from": message.from_ or None,
        "messaging_service_sid": message.messaging_service_sid,
        "num_media": "0",
        # A messaging service has not chosen a sender yet, nor how to cut the words.
        "num_segments": "0" if message.status == "accepted" else str(message.segments),
        "price": price,
        "price_unit": "USD",
        "sid": message.sid,
        "status": message.status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "tags": None,
        "to": message.to,
        "uri": f"{uri}.json",
    }


def page_of(
    messages: Sequence[CapturedSms], query: Mapping[str, str], account_sid: str
) -> dict[str, Any]:
    """One page of a listing, the newest first; *query* is the request's.

    ``To`` and ``From`` are compared exactly, ``DateSent`` by day or, with ``<`` or ``>`` in its
    name (or ``<=``, ``>=``), inclusively by day or instant. What is not sent yet has no such
    date. ``PageToken`` names the last message of the page before, so that what arrives
    meanwhile moves nothing.
    """
    found = [message for message in reversed(messages) if _is_asked_for(message, query)]
    size = max(1, min(int(query.get("PageSize", DEFAULT_PAGE_SIZE)), MAX_PAGE_SIZE))
    page = int(query.get("Page", 0))
    start = _start(found, query.get("PageToken"), page * size)
    records = found[start : start + size]
    more = start + size < len(found)

    def uri(number: int, **token: str) -> str:
        asked = {name: value for name, value in query.items() if name != "PageToken"}
        parameters = {**asked, "PageSize": size, "Page": number, **token}
        return f"{ACCOUNTS_PATH}/{account_sid}/Messages.json?{urlencode(parameters)}"

    return {
        "end": start + max(len(records) - 1, 0),
        "first_page_uri": uri(0),
        "messages": [representation(message, account_sid) for message in records],
        "next_page_uri": uri(page + 1, PageToken="PA" + records[-1].sid) if more else None,
        "page": page,
        "page_size": size,
        "previous_page_uri": uri(page - 1) if page > 0 else None,
        "start": start,
        "uri": uri(page),
    }


def _start(found: Sequence[CapturedSms], token: str | None, position: int) -> int:
    if token is not None:
        for index, message in enumerate(found):
            if token == "PA" + message.sid:
                return index + 1
    return position


def _is_asked_for(message: CapturedSms, query: Mapping[str, str]) -> bool:
    asked = query.get("DateSent")
    before = query.get("DateSent<") or query.get("DateSent<=")
    after = query.get("DateSent>") or query.get("DateSent>=")
    return (
        query.get("To", message.to) == message.to
        and query.get("From", message.from_) == message.from_
        and (_is_sent(message) or not (asked or before or after))
        and _is_on_day(message, asked)
        and _order(message, before) <= 0
        and _order(message, after) >= 0
    )


def _is_sent(message: CapturedSms) -> bool:
    return message.status not in _NOT_SENT_YET


def _is_on_day(message: CapturedSms, day: str | None) -> bool:
    # The SDK appends midnight to a day.
    return not day or message.received_at.date().isoformat() == day.partition("T")[0]


def _order(message: CapturedSms, moment: str | None) -> int:
    """Below, at or above 0 as the message is before, at or after *moment*; 0 without one.

    A day (``2026-11-21``) is compared with the message's day in UTC, an instant
    (``2026-11-21T19:00:00Z``) with its second.
    """
    if not moment:
        return 0
    if "T" in moment:
        asked = datetime.fromisoformat(moment)
        own = message.received_at.replace(microsecond=0)
        return (own > asked) - (own < asked)
    day, own_day = date.fromisoformat(moment), message.received_at.date()
    return (own_day > day) - (own_day < day)


def callback_parameters(message: CapturedSms, account_sid: str) -> dict[str, str]:
    """The form Twilio posts to a status callback."""
    parameters = {
        "AccountSid": account_sid,
        "ApiVersion": API_VERSION,
        "From": message.from_,
        "MessageSid": message.sid,
        "MessageStatus": message.status,
        "SmsSid": message.sid,
        "SmsStatus": message.status,
        "To": message.to,
    }
    if message.messaging_service_sid:
        parameters["MessagingServiceSid"] = message.messaging_service_sid
    if message.error_code is not None:
        parameters["ErrorCode"] = str(message.error_code)
    return parameters
