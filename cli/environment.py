"""Where a command finds its settings: the environment, else the running embedded stack."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.running import read_running_stack
from fixlify.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from fixlify.settings import Settings


def home() -> Path:
    """Return the folder of the embedded stack: FIXLIFY_HOME, or ``.fixlify`` here."""
    return Path(os.environ.get("FIXLIFY_HOME", ".fixlify")).resolve()


def settings_of_this_process() -> Settings:
    """Read the settings, and make the running stack's ones the defaults of this process.

    The stack's settings go into ``os.environ``, because Temporal's own configuration reads
    them there too. What the user set is never replaced.

    Raises:
        ConfigurationError: Nothing is configured and no stack runs, or a setting is wrong.
    """
    from fixlify.settings import load_settings

    if not os.environ.get("FIXLIFY_DATABASE_URL"):
        running = read_running_stack(home())
        if running is None:
            raise ConfigurationError(
                "no database is configured: set FIXLIFY_DATABASE_URL, or start the embedded "
                f"stack with `make dev` (nothing runs in {home()})"
            )
        for name, value in running.environment.items():
            os.environ.setdefault(name, value)
    return load_settings()
