"""Every command, option and setting is in the reference, and the reference names no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.main import cli
from fixlify.settings import Settings

REFERENCE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
SECTIONS = dict(
    re.findall(r"^##+ (fixlify [a-z -]+)\n(.*?)(?=^##|\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
)


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((f"fixlify {name} {each}", sub) for each, sub in command.commands.items())
        elif command is not None:
            yield f"fixlify {name}", command


COMMANDS = dict(commands())


def test_the_reference_has_a_section_for_each_command_and_no_other() -> None:
    assert set(SECTIONS) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_usage_line_names_each_option_and_no_other(name: str) -> None:
    usage = "".join(re.findall(r"(?:^    .*\n)+", SECTIONS[name], re.MULTILINE)[:1])
    options = {
        option
        for parameter in COMMANDS[name].params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert set(re.findall(r"--[a-z-]+", usage)) == options


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*) \| (.*) \|$", REFERENCE, re.MULTILINE)
    wanted = [
        (
            str(field.validation_alias),
            field.description,
            "required" if field.is_required() else f"`{field.default}`" if field.default else "",
        )
        for field in Settings.model_fields.values()
    ]
    assert rows == wanted
