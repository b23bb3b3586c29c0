"""Find a message in Twilio's own list, where nobody heard whether it was taken.

Twilio keeps no word of ours with a message, so it is known by its number, its time and its
text. The list is read by number only: its filter ``DateSent`` knows days and not moments, and
what is still queued has no such date.
https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources
"""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

from fixlify.channels.protocol import OutgoingSms
from fixlify.domain.errors import TransportError

PAGE_SIZE: Final = 100
LOOKED_AT: Final = 1000
# The newest are first, but by when they were sent: Twilio queues for ten hours at most.
QUEUED_AT_MOST: Final = timedelta(hours=10)

_OURS: Final = "outbound-api"
_TRIAL_PREFIX: Final = "Sent from your Twilio trial account - "

# Smart encoding turns these into what phones write in seven bits; which into which is not ours
# to know. https://www.twilio.com/docs/messaging/services/smart-encoding-char-list
_LOOK_ALIKE: Final = str.maketrans(
    dict.fromkeys('"`´ˊˋʹʺˮʻʼʽˈ‘’‚‛“”„‟«»‹›❛❜❝❞〝〞＂＇′″‵‶', "'")  # noqa: RUF001
    | dict.fromkeys("‐‑‒–—―−•⁃﹣－", "-")  # noqa: RUF001
    | dict.fromkeys("÷⁄∕⧸", "/")  # noqa: RUF001
)


async def find(
    listed: AsyncIterator[Any], message: OutgoingSms, *, since: datetime, known: frozenset[str]
) -> Any | None:
    """Return the one of *listed* that is *message*, the oldest of several; None without one.

    Args:
        listed: messages to its number as the SDK gives them, the newest first.
        message: what was handed over, perhaps.
        since: when, at the earliest, by Twilio's clock.
        known: the ``sid`` of messages that are others.

    Raises:
        TransportError: The list does not tell.
    """
    found = None
    # The list has whole seconds.
    earliest, text = since.replace(microsecond=0), comparable(message.body)
    count = 0
    async for each in listed:
        count += 1
        if each.date_created < earliest - QUEUED_AT_MOST:
            return found
        if (
            each.date_created < earliest
            or str(each.direction) != _OURS
            or each.to != message.to
            or each.sid in known
        ):
            continue
        if not each.body:
            raise TransportError(
                "Twilio keeps no texts for this account, so it cannot tell which messages it "
                "has; look for the message there",
                permanent=False,
            )
        if comparable(each.body) == text:
            found = each
    if count >= LOOKED_AT:
        raise TransportError(
            "Twilio lists too many messages to this number; look for the message there",
            permanent=False,
        )
    return found


def comparable(text: str) -> str:
    """Return *text* without the differences that Twilio makes: quotes, dashes, white space."""
    plain = unicodedata.normalize("NFKC", text.translate(_LOOK_ALIKE)).translate(_LOOK_ALIKE)
    visible = "".join(each for each in plain if unicodedata.category(each) != "Cf")
    words = " ".join(visible.split())
    return words.removeprefix(_TRIAL_PREFIX)
