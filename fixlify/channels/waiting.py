"""How long a server asks us to wait: the header ``Retry-After``, or words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

# No message is tried for longer, and nothing that is added to a date overflows.
LONGEST_WAIT: Final = timedelta(days=1)

_IN_UNITS = re.compile(r"(?i)\b(?:in|after|for|wait)\s+(\d{1,6})\s*(sec|min|hour)")
_ON_A_CLOCK = re.compile(r"(?i)\b(?:in|after)\s+(\d{1,2}):(\d{2}):(\d{2})\b")
_SECONDS: Final = {"sec": 1, "min": 60, "hour": 3600}


def retry_after(value: str | None) -> timedelta | None:
    """Return how long to wait; the header gives seconds or a date. None without a usable one.

    More than a day is a day.
    """
    if value is None:
        return None
    try:
        wait = timedelta(seconds=int(value))
    except OverflowError:
        return None
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)
    return _within_reason(wait)


def asked_in_words(text: str) -> timedelta | None:
    """Return how long *text* asks us to wait; SMTP has no header for it. None if it does not.

    Understood are "in 300 seconds", "after 5 minutes" and "in 00:05:00".
    """
    if (units := _IN_UNITS.search(text)) is not None:
        return _within_reason(timedelta(seconds=int(units[1]) * _SECONDS[units[2].lower()]))
    if (clock := _ON_A_CLOCK.search(text)) is not None:
        hours, minutes, seconds = map(int, clock.groups())
        return _within_reason(timedelta(hours=hours, minutes=minutes, seconds=seconds))
    return None


def _within_reason(wait: timedelta) -> timedelta:
    return min(max(wait, timedelta(0)), LONGEST_WAIT)
