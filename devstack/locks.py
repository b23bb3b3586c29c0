"""Files that say who is using a folder, and stop saying so when that process is gone."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class FileLock:
    """One exclusive lock on one file, from ``try_acquire`` until ``release`` or our death.

    The kernel keeps the lock, so ``kill -9`` frees it and a file left behind blocks nobody.
    The file is never removed: a second process could otherwise lock a name that is no more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """The locked file, to be inherited by processes that should hold the lock with us."""
        if self._descriptor is None:
            raise RuntimeError(f"{self.path} is not locked")
        return self._descriptor

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def try_acquire(self, note: str = "") -> bool:
        """Lock the file and write *note* into it for others to read; False when it is taken."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self.write(note)
        return True

    def write(self, note: str) -> None:
        """Replace what others read in the file; only the holder may."""
        os.pwrite(self.descriptor, note.encode(), 0)
        os.ftruncate(self.descriptor, len(note.encode()))

    def release(self) -> None:
        """Let go; processes that inherited the descriptor keep the lock until they end."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_taken(self) -> bool:
        """Whether somebody holds the lock; asking may make them fail to take it just then."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def note(self) -> str:
        """What the last holder wrote; empty when nobody ever did."""
        try:
            return self.path.read_text().strip()
        except FileNotFoundError:
            return ""
