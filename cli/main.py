"""The fixlify command: a thin layer over the engine; every import that takes time is late."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import IO, Any, NamedTuple, NoReturn

import click

from fixlify.domain.errors import DefinitionError, FixlifyError

USAGE = 2
"""The exit code of wrong usage, as click has it; a bad definition is one."""


class Entry(NamedTuple):
    """Where a command is, and its line in the help."""

    target: str
    summary: str


# Help reads the summaries here: it must not load the engine, and works without the optional
# packages of the embedded stack.
COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "demo": Entry("cli.demo:demo", "Watch one SQL UPDATE become an email and an SMS."),
        "dev": Entry("cli.dev:dev", "Run the whole stack here, until Ctrl-C."),
        "migrate": Entry("cli.migrate:migrate", "Bring the database to the newest schema."),
        "worker": Entry("cli.worker:worker", "Run workflows and sends (and the relay)."),
        "starter": Entry("cli.starter:starter", "Run the relay, the HTTP API or both."),
        "automations": Entry(
            "cli.automations:automations", "Apply automations, see them, switch them on and off."
        ),
        "templates": Entry(
            "cli.templates:templates", "See what messages are made of; import your own."
        ),
        "organization": Entry(
            "cli.company:organization", "Say how your company looks, and where its messages lead."
        ),
        "executions": Entry(
            "cli.executions:executions", "See what automations did, and what they did not and why."
        ),
        "messages": Entry(
            "cli.messages:messages", "See what became of every message; settle one in doubt."
        ),
        "why": Entry("cli.why:why", "Tell why a client was written to, or was not."),
        "rules": Entry(
            "cli.rules:rules", "Say when messages to clients may go, and how many; check it."
        ),
        "consent": Entry(
            "cli.consent:consent", "See what a client does not want; opt them out, or in again."
        ),
        "suppressions": Entry(
            "cli.suppressions:suppressions", "See addresses that get nothing; add or remove one."
        ),
        "schedules": Entry(
            "cli.schedules:schedules", "See when everything runs by itself; pause, resume, run it."
        ),
        "events": Entry(
            "cli.events:events", "Report what happened elsewhere, and see what was recorded."
        ),
        "keys": Entry("cli.keys:keys", "Let other programs report events over HTTP, or no longer."),
        "webhooks": Entry(
            "cli.webhooks:webhooks", "Say where failed runs are told; show the signing secret."
        ),
        "channels": Entry(
            "cli.channels:channels", "See every channel; pause one, or say how fast it may send."
        ),
        "email-report": Entry(
            "cli.email_report:email_report", "Record what a mail that came back says."
        ),
        "stats": Entry("cli.stats:stats", "Show what automations did lately, and what waits now."),
        "stop": Entry("cli.stop:stop", "In an emergency: hold everything, losing nothing."),
        "resume": Entry("cli.resume:resume", "Lift a stop, and let go on what it held."),
        "doctor": Entry(
            "cli.doctor:doctor", "Check what is configured, reachable, migrated and polled."
        ),
    }
)


class Failure(click.ClickException):
    """An error of ours on its way to a person: a sentence, not a traceback."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message to standard error, which leaves standard output to ``--json``."""
        click.secho("fixlify: ", err=True, nl=False, fg="red", bold=True)
        click.echo(self.format_message(), err=True)


class Refusal(Failure):
    """An automation or an event that is not valid."""

    exit_code = USAGE


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order they are written above."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command, or return None when nobody has that name."""
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what the engine raises ends as a message and an exit code."""
        try:
            return super().invoke(ctx)
        except DefinitionError as error:
            raise Refusal(str(error)) from error
        except FixlifyError as error:
            raise Failure(str(error)) from error


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=(
        "Exit codes: 0 done; 1 failed, and the message says what to do; 2 wrong usage, or an "
        "automation or event that is not valid."
    ),
)
@click.version_option(package_name="fixlify-automations", prog_name="fixlify")
def cli() -> None:
    """Keep the promises a field-service company makes: every automation a durable workflow.

    Settings come from the environment. Where FIXLIFY_DATABASE_URL is not set, commands talk
    to the embedded stack that `fixlify dev` runs in this folder.
    """


def main() -> None:
    """Run the command line of this process, and end it."""
    try:
        cli(prog_name="fixlify")
    except SystemExit as ending:
        _leave(ending.code if isinstance(ending.code, int) else int(ending.code is not None))


def _leave(exit_code: int) -> NoReturn:
    """End the process without taking the interpreter apart first.

    Temporal's SDK has threads of its own; one that calls into an interpreter on its way out
    aborts the process (``PyGILState_Release``) after everything went well.
    """
    # What an ordinary exit does, short of that.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
