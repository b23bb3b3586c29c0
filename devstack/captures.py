"""Keep what was sent, and let others wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

Message = TypeVar("Message")


class Captures(Generic[Message]):
    """The messages a catcher accepted, oldest first; lives as long as its catcher."""

    def __init__(self, folder: Path | None) -> None:
        """Start empty; *folder* is where each message is also kept as a file, None keeps none."""
        self.messages: list[Message] = []
        self._listeners: list[Callable[[Message], None]] = []
        self._arrival = asyncio.Event()
        self._folder = folder
        # One thread: several would only fight our event loop for the interpreter.
        self._writer: ThreadPoolExecutor | None = None

    def on_accept(self, listener: Callable[[Message], None]) -> None:
        """Call *listener* with every message, before its sender hears that it was accepted."""
        self._listeners.append(listener)

    def clear(self) -> None:
        """Forget every message; listeners and files stay."""
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
        self._wake()

    def _replace(self, position: int, message: Message) -> None:
        """Put what became of a message in its place."""
        self.messages[position] = message
        self._wake()

    def _wake(self) -> None:
        # Whoever waits now is woken; whoever waits next waits for the next message.
        self._arrival.set()
        self._arrival = asyncio.Event()

    def _open_folder(self) -> None:
        if self._folder is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="captures")

    def _save(self, received_at: datetime, name: str, content: bytes) -> None:
        """Write a message into our folder, sorted by time, without making its sender wait."""
        if self._folder is not None and self._writer is not None:
            file = self._folder / f"{received_at:%Y%m%dT%H%M%S.%fZ}-{name}"
            self._writer.submit(file.write_bytes, content)

    async def _close_folder(self) -> None:
        """Return when every file is written."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await asyncio.to_thread(writer.shutdown)
