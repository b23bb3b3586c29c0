"""How long a server asks us to wait: the header ``Retry-After``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime


def retry_after(value: str | None) -> timedelta | None:
    """Return how long to wait; the header gives seconds or a date. None without a usable one."""
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
    return max(wait, timedelta(0))
