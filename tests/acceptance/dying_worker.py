"""A worker process that does ``kill -9`` to itself at one point of the way of a message.

Run as ``python -m tests.acceptance.dying_worker CHANNEL POINT``; the point ``never`` lives.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from typing import Any, Final
from unittest.mock import patch

from activities.delivery import Delivery
from activities.email import EmailSender
from activities.sms import SmsSender
from fixlify.domain.delivery import InDoubt
from fixlify.domain.rules import MessageClass
from fixlify.settings import load_settings
from worker.process import run_worker

POINTS: Final = ("before the claim", "before the call", "after the call", "after the record")
SENDERS: Final[dict[str, type[Any]]] = {"email": EmailSender, "sms": SmsSender}


def impatient(at_most_once: frozenset[MessageClass], certain_after: timedelta) -> InDoubt:
    """Return the policy of the engine, with pauses that a test can wait for."""
    del certain_after  # A test cannot wait for the shortest there is.
    return InDoubt(
        look_after=timedelta(milliseconds=500),
        certain_after=timedelta(seconds=3),
        send_again_after=timedelta(milliseconds=500),
        at_most_once=at_most_once,
    )


def die() -> None:
    """End this process at once, as a power failure would."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying(original: Any, channel: str, *, after: bool) -> Any:
    """Return the method *original* of a delivery, which dies before or *after* its work."""

    async def method(self: Delivery, *arguments: Any, **keywords: Any) -> Any:
        is_ours = isinstance(self._sender, SENDERS[channel])
        if is_ours and not after:
            die()
        result = await original(self, *arguments, **keywords)
        if is_ours and after:
            die()
        return result

    return method


def dying_call(original: Any, *, after: bool) -> Any:
    """Return the hand-over *original*, which dies before or *after* its call."""

    async def method(self: Any, *arguments: Any) -> Any:
        if not after:
            die()
        result = await original(self, *arguments)
        die()
        return result

    return method


def main() -> None:
    """Run a worker that dies at the point it was told."""
    channel, point = sys.argv[1:]
    sender = SENDERS[channel]
    patches = {
        "before the claim": (Delivery, "_claim", dying(Delivery._claim, channel, after=False)),
        "before the call": (sender, "hand_over", dying_call(sender.hand_over, after=False)),
        "after the call": (sender, "hand_over", dying_call(sender.hand_over, after=True)),
        "after the record": (Delivery, "_recorded", dying(Delivery._recorded, channel, after=True)),
    }
    with patch("worker.process.InDoubt", impatient):
        if point in patches:
            with patch.object(*patches[point]):
                asyncio.run(run_worker(load_settings(), asyncio.Event()))
        else:
            asyncio.run(run_worker(load_settings(), asyncio.Event()))


if __name__ == "__main__":
    main()
