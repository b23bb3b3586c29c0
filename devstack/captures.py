"""Keep what was sent, and let others wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

Message = TypeVar("Message")


class Captures(Generic[Message]):
    """The messages a catcher accepted, oldest first; lives as long as its catcher."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._listeners: list[Callable[[Message], None]] = []
        self._arrival = asyncio.Event()

    def on_accept(self, listener: Callable[[Message], None]) -> None:
        """Call *listener* with every message, before its sender hears that it was accepted."""
        self._listeners.append(listener)

    def clear(self) -> None:
        """Forget every message; listeners stay."""
        self.messages.clear()

    async def wait_for(
        self,
        predicate: Callable[[Message], bool] = lambda _: True,
        timeout: timedelta = timedelta(seconds=10),  # noqa: ASYNC109 - a deadline is the point
    ) -> Message:
        """The oldest message that satisfies *predicate*, at once or when it arrives.

        Raises:
            TimeoutError: None did within *timeout*; the message lists what did arrive.
        """
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                while True:
                    for message in self.messages:
                        if predicate(message):
                            return message
                    await self._arrival.wait()
        except TimeoutError as error:
            arrived = "\n".join(str(message) for message in self.messages) or "nothing"
            raise TimeoutError(f"no such message within {timeout}; arrived: {arrived}") from error

    def _accept(self, message: Message) -> None:
        self.messages.append(message)
        for listener in self._listeners:
            listener(message)
        # Whoever waits now is woken; whoever waits next waits for the next message.
        self._arrival.set()
        self._arrival = asyncio.Event()
