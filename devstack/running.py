"""Find the stack that runs in a folder, without loading what runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from devstack.locks import FileLock

LOCK_FILE: Final = "stack.lock"
STACK_FILE: Final = "stack.json"


def read_running_stack(home: Path) -> dict[str, Any] | None:
    """What the process that runs the stack in *home* says: its settings, ``ui_url``, ``pid``.

    None when nobody runs it, also when its last process was killed and left the file behind.
    """
    if not FileLock(home / LOCK_FILE).is_taken():
        return None
    try:
        stack: dict[str, Any] = json.loads((home / STACK_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        # Starting or stopping: there is nothing to use yet, or any more.
        return None
    return stack
