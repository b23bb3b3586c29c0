"""Node's tools and the browser: installed where they are missing, or a reason why not."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

FOLDER: Final = Path(__file__).parent
CHROMIUM: Final = Path("/usr/bin/chromium")
CHROMIUM_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

_INSTALL: Final = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")


def run_node(script: str, given: Any) -> Any:
    """Return what *script*, a file of this folder, makes of *given*; both are JSON."""
    install_tools()
    done = subprocess.run(
        ["node", FOLDER / script],
        input=json.dumps(given).encode(),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def install_tools() -> None:
    """Install what package-lock.json names, unless it stands there already."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        _do_without("node and npm are missing; install Debian's packages nodejs and npm")
    with (FOLDER / ".install.lock").open("w") as lock:
        # Every test process comes by here; the first one installs, the others find it done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = FOLDER / "node_modules" / ".package-lock.json"
        wanted = FOLDER / "package-lock.json"
        if installed.is_file() and installed.stat().st_mtime >= wanted.stat().st_mtime:
            return
        done = subprocess.run(
            _INSTALL, cwd=FOLDER, capture_output=True, text=True, check=False, timeout=200
        )
        if done.returncode:
            _do_without(f"npm ci failed in tests/html: {done.stderr.strip()[-300:]}")


def require_chromium() -> None:
    """Go on only where there is a browser to drive."""
    if not CHROMIUM.exists():
        _do_without(f"{CHROMIUM} is missing; install Debian's package chromium")


def _do_without(reason: str) -> NoReturn:
    # A developer may lack them; the machine that decides may not.
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
