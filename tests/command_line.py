"""The command line in the test's own process, with an environment of its own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from cli.main import cli
from cli.output import console, errors
from fixlify.settings import variables

NOWHERE = "/nonexistent"
"""A folder in which no embedded stack runs."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and the exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """Standard output line by line, without spaces at the ends."""
        return [line.rstrip() for line in self.out.splitlines()]


class CommandLine:
    """Runs ``fixlify`` with exactly these settings; what this process has is out of sight."""

    def __init__(self, **settings: str) -> None:
        self._environment: dict[str, str | None] = {
            **dict.fromkeys(variables()),
            "FIXLIFY_HOME": NOWHERE,
            "COLUMNS": "80",
            **settings,
        }

    def fixlify(self, *arguments: str, stdin: str | bytes | None = None) -> Said:
        """Run one command to its end; an error that nobody turned into a sentence is raised."""
        # They read the environment once, when the first command of this process was imported.
        console.width = errors.width = int(self._environment["COLUMNS"] or 80)
        result = CliRunner().invoke(
            cli,
            arguments,
            input=stdin,
            env=self._environment,
            prog_name="fixlify",
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    async def run(self, *arguments: str, stdin: str | bytes | None = None) -> Said:
        """Run one command beside this event loop, which its servers may need."""
        return await asyncio.to_thread(self.fixlify, *arguments, stdin=stdin)
