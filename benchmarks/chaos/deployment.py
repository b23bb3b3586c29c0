"""Two releases of the engine as folders, so that one can be deployed over the other."""

from __future__ import annotations

import compileall
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fixlify.domain.errors import DevstackError

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final[Sequence[str]] = (
    "fixlify",
    "workflows",
    "activities",
    "worker",
    "starter",
    "cli",
    "devstack",
)
WORKFLOW: Final = Path("workflows", "automation.py")

# The story of a run: what every release begins with.
_BEGINNING: Final = re.compile(
    r"^ {4}@workflow\.run\n {4}async def run\(self, run: AutomationRun\) -> RunOutcome:\n",
    re.MULTILINE,
)
# What a careful author does to a workflow that has runs under way: a new step, for new runs only.
_NEW_STEP: Final = (
    '        if workflow.patched("second-release"):\n            await workflow.sleep(0.02)\n'
)


@dataclass(frozen=True, slots=True)
class Releases:
    """Folders from which ``python -m cli`` runs one release or the other."""

    first: Path
    second: Path


def make_releases(folder: Path) -> Releases:
    """Copy the engine twice below *folder*; the second has another workflow.

    Copies, so that nobody who edits the engine meanwhile deploys a third release.
    """
    releases = Releases(folder / "first", folder / "second")
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, releases.first / package)
    # Compiled once and not at every start: what is killed so often should be back soon.
    compileall.compile_dir(releases.first, quiet=2)
    shutil.copytree(releases.first, releases.second)
    changed = releases.second / WORKFLOW
    changed.write_text(with_a_new_step(changed.read_text(encoding="utf-8")), encoding="utf-8")
    return releases


def with_a_new_step(source: str) -> str:
    """Return the module of the automation workflow with one more step, for new runs only.

    Raises:
        DevstackError: The workflow does not begin the way it did.
    """
    beginning = _BEGINNING.search(source)
    if beginning is None:
        raise DevstackError(
            f"{WORKFLOW} has no `async def run(self, run: AutomationRun)` any more; "
            "say in benchmarks/chaos/deployment.py where a second release differs"
        )
    return source[: beginning.end()] + _NEW_STEP + source[beginning.end() :]
