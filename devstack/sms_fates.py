"""The numbers that make the SMS catcher fail, and how.

Answers at once (``To``; nothing is captured unless the table says so):

| number         | HTTP | code  | what it is                                                  |
|----------------|------|-------|-------------------------------------------------------------|
| +15005550001   | 400  | 21211 | not a phone number (Twilio's own test number)               |
| +15005550002   | 400  | 21612 | no route to this number (Twilio's own)                      |
| +15005550003   | 400  | 21408 | no permission for this region (Twilio's own)                |
| +15005550004   | 400  | 21610 | the recipient opted out with STOP (Twilio's own)            |
| +15005550009   | 400  | 21614 | not a mobile number (Twilio's own)                          |
| +15005554290   | 429  | 20429 | too many requests, every time; ``Retry-After: 1``           |
| +15005554291   | 429  | 20429 | the same the first time, then accepted                      |
| +15005555000   | 500  | 20500 | internal error, every time                                  |
| +15005555001   | 500  | 20500 | the same the first time, then accepted                      |
| +15005555030   | 503  | 20503 | unavailable, every time                                     |
| +15005555031   | 503  | 20503 | the same the first time, then accepted                      |
| +15005550020   | none |       | hangs: no answer, nothing captured                          |
| +15005550021   | none |       | captured, then hangs                                        |
| +15005550022   | none |       | cuts the connection, nothing captured                       |
| +15005550023   | none |       | captured, then cuts the connection without answering        |
| +15005550024   | 201  |       | captured, answers after ``slowness`` (2 s)                  |
| +15005550025   | none |       | captured, cuts the connection; listed after `listing_delay` |

Delivery that fails later (accepted with 201; told by status callback and by a GET):

| number         | ends as     | code  | what it is                                       |
|----------------|-------------|-------|--------------------------------------------------|
| +15005553000   | queued      |       | nothing more is ever heard                       |
| +15005553001   | failed      | 30001 | queue overflow                                   |
| +15005553003   | undelivered | 30003 | handset unreachable                              |
| +15005553005   | undelivered | 30005 | unknown handset                                  |
| +15005553006   | undelivered | 30006 | landline or unreachable carrier                  |
| +15005553007   | undelivered | 30007 | filtered by the carrier as spam                  |
| +15005553008   | undelivered | 30008 | unknown error                                    |
| +15005553010   | delivered   |       | every callback comes twice                       |
| +15005553011   | delivered   |       | ``delivered`` is told before ``sent``            |
| +15005553012   | delivered   |       | every callback comes before the API's answer     |

Senders (``From``), as Twilio's test credentials have them:

| number         | HTTP | code  | what it is                        |
|----------------|------|-------|-----------------------------------|
| +15005550001   | 400  | 21212 | not a phone number                |
| +15005550006   | 201  |       | a good one                        |
| +15005550007   | 400  | 21606 | not a number of this account      |
| +15005550008   | 400  | 21611 | its queue is full                 |

Every other number is accepted, and delivered; ``SmsCatcher.outage`` refuses them all, while it
is set. Twilio's test numbers:
https://www.twilio.com/docs/iam/test-credentials; codes: https://www.twilio.com/docs/api/errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto

GOOD_SENDER = "+15005550006"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer: HTTP status, Twilio's code and words."""

    status: int
    code: int
    message: str
    retry_after: timedelta | None = None


class Ending(Enum):
    """What becomes of the HTTP request."""

    ANSWERED = auto()
    ANSWERED_LATE = auto()
    HANGS = auto()
    CUT = auto()


@dataclass(frozen=True, slots=True)
class Report:
    """One step of a message's delivery, told by a status callback."""

    status: str
    error_code: int | None = None


SENT, DELIVERED = Report("sent"), Report("delivered")
FINAL = frozenset({"delivered", "undelivered", "failed"})


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to a message sent to one number."""

    refusal: Refusal | None = None
    first_time_only: bool = False
    captured: bool = True
    ending: Ending = Ending.ANSWERED
    reports: tuple[Report, ...] = (SENT, DELIVERED)
    reports_first: bool = False
    listed_late: bool = False


def _undelivered(code: int) -> Fate:
    return Fate(reports=(SENT, Report("undelivered", code)))


TOO_MANY = Refusal(429, 20429, "Too Many Requests", retry_after=timedelta(seconds=1))
BROKEN = Refusal(500, 20500, "An internal server error has occurred")
UNAVAILABLE = Refusal(503, 20503, "Service unavailable")

ORDINARY = Fate()
RECIPIENTS: Mapping[str, Fate] = {
    "+15005550001": Fate(Refusal(400, 21211, "Invalid 'To' Phone Number: +1500555XXXX")),
    "+15005550002": Fate(
        Refusal(
            400, 21612, "Message cannot be sent with the current combination of 'To' and 'From'"
        )
    ),
    "+15005550003": Fate(
        Refusal(400, 21408, "Permission to send an SMS has not been enabled for the region")
    ),
    "+15005550004": Fate(Refusal(400, 21610, "Attempt to send to unsubscribed recipient")),
    "+15005550009": Fate(Refusal(400, 21614, "'To' number is not a valid mobile number")),
    "+15005554290": Fate(TOO_MANY),
    "+15005554291": Fate(TOO_MANY, first_time_only=True),
    "+15005555000": Fate(BROKEN),
    "+15005555001": Fate(BROKEN, first_time_only=True),
    "+15005555030": Fate(UNAVAILABLE),
    "+15005555031": Fate(UNAVAILABLE, first_time_only=True),
    "+15005550020": Fate(captured=False, ending=Ending.HANGS),
    "+15005550021": Fate(ending=Ending.HANGS),
    "+15005550022": Fate(captured=False, ending=Ending.CUT),
    "+15005550023": Fate(ending=Ending.CUT),
    "+15005550024": Fate(ending=Ending.ANSWERED_LATE),
    "+15005550025": Fate(ending=Ending.CUT, listed_late=True),
    "+15005553000": Fate(reports=()),
    "+15005553001": Fate(reports=(Report("failed", 30001),)),
    "+15005553003": _undelivered(30003),
    "+15005553005": _undelivered(30005),
    "+15005553006": _undelivered(30006),
    "+15005553007": _undelivered(30007),
    "+15005553008": _undelivered(30008),
    "+15005553010": Fate(reports=(SENT, SENT, DELIVERED, DELIVERED)),
    "+15005553011": Fate(reports=(DELIVERED, SENT)),
    "+15005553012": Fate(reports_first=True),
}
SENDERS: Mapping[str, Refusal] = {
    "+15005550001": Refusal(400, 21212, "Invalid 'From' Phone Number"),
    "+15005550007": Refusal(
        400, 21606, "The 'From' phone number is not a valid, message-capable number of this account"
    ),
    "+15005550008": Refusal(400, 21611, "This 'From' number has exceeded its queue of messages"),
}
