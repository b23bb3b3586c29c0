"""The command line as a whole: its help, its commands and its exit codes."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from cli.main import COMMANDS, LazyGroup, cli
from fixlify.domain.errors import ConfigurationError, DefinitionError, NotFoundError, Problem
from tests.command_line import CommandLine

HEAVY = ("sqlalchemy", "temporalio", "pydantic", "rich", "psycopg", "twilio", "aiosmtpd", "uvicorn")


def test_help_loads_none_of_the_engine() -> None:
    code = (
        "import sys; from cli.main import cli; cli(['--help'], standalone_mode=False); "
        f"print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.endswith("loaded: []\n")


def test_help_names_every_command_and_the_exit_codes() -> None:
    said = CommandLine().fixlify("--help")
    assert said.code == 0
    assert all(f"\n  {name} " in said.out for name in COMMANDS)
    assert "Exit codes: 0 done; 1 failed" in said.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_loaded_and_explains_itself(name: str) -> None:
    said = CommandLine().fixlify(name, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: fixlify {name}")
    cut_off = [line for line in said.lines if line.endswith("...")]
    assert not [line for line in cut_off if not line.startswith("Usage:")]


def test_an_unknown_command_is_wrong_usage() -> None:
    assert CommandLine().fixlify("automate").code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("FIXLIFY_X is not set"), 1),
        (NotFoundError("no automation 'x'"), 1),
        (DefinitionError("a.yaml", [Problem("name", "is missing")]), 2),
    ],
)
def test_an_error_of_ours_is_a_sentence_and_an_exit_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command(cls=LazyGroup, invoke_without_command=True)
    def broken() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        broken([])
    assert end.value.code == code
    assert capsys.readouterr() == ("", f"fixlify: {error}\n")


def test_a_command_without_settings_says_what_to_set() -> None:
    said = CommandLine().fixlify("automations", "list")
    assert said.code == 1
    assert said.out == ""
    assert "set FIXLIFY_DATABASE_URL, or start the embedded stack with `make dev`" in said.err


def test_the_program_runs_as_a_process() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "cli", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith("fixlify, version ")
    assert isinstance(cli, LazyGroup)
