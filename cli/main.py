"""The fixlify command: a thin layer over the engine; every import that takes time is late."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from types import MappingProxyType

import click

from fixlify.domain.errors import FixlifyError

# Command name to module and attribute: help and completion must not load the whole engine.
_COMMANDS = MappingProxyType(
    {
        "demo": "cli.demo:demo",
        "dev": "cli.dev:dev",
        "migrate": "cli.migrate:migrate",
        "worker": "cli.worker:worker",
        "starter": "cli.starter:starter",
        "automations": "cli.automations:automations",
        "executions": "cli.executions:executions",
        "doctor": "cli.doctor:doctor",
    }
)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order they are written above."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command, or return None when nobody has that name."""
        if name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 failed, and the message says what to do; 2 wrong usage.",
)
@click.version_option(version("fixlify-automations"), prog_name="fixlify")
def cli() -> None:
    """Keep the promises a field-service company makes: every automation a durable workflow.

    Settings come from the environment. Where FIXLIFY_DATABASE_URL is not set, commands talk
    to the embedded stack that `fixlify dev` runs in this folder.
    """


def main() -> None:
    """Run the command line; an error of ours is a sentence, not a traceback."""
    try:
        cli(prog_name="fixlify")
    except FixlifyError as error:
        click.secho("fixlify: ", err=True, nl=False, fg="red", bold=True)
        click.echo(str(error), err=True)
        sys.exit(1)
