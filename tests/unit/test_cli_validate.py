"""``automations validate`` finds what is wrong, and needs neither database nor settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixlify.library import shipped_automations
from tests.broken_automations import BROKEN, Broken
from tests.command_line import CommandLine

GOOD = "name: Thanks\ntrigger: {type: job_completed}\nsteps:\n  - {type: send_sms, text: Thanks}\n"


@pytest.fixture
def command_line() -> CommandLine:
    return CommandLine()


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.what)
def test_what_is_wrong_is_said_with_file_path_and_nearest_name(
    broken: Broken, tmp_path: Path, command_line: CommandLine
) -> None:
    file = tmp_path / "thanks.yaml"
    file.write_text(broken.yaml)

    said = command_line.fixlify("automations", "validate", str(file))

    assert said.code == 2
    assert said.out == ""
    problem, verdict = said.err.splitlines()
    where = f"{file}: {broken.path}: " if broken.path else f"{file}: "
    assert problem.startswith(where)
    assert broken.says in problem
    assert verdict == "Not valid: one problem."


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.what)
def test_json_has_the_same_problem(
    broken: Broken, tmp_path: Path, command_line: CommandLine
) -> None:
    file = tmp_path / "thanks.yaml"
    file.write_text(broken.yaml)

    said = command_line.fixlify("automations", "validate", str(file), "--json")

    assert said.code == 2
    (problem,) = said.document["problems"]
    assert said.document["valid"] is False
    assert (problem["source"], problem["path"]) == (str(file), broken.path)
    assert broken.says in problem["message"]


def test_a_valid_file_is_named(tmp_path: Path, command_line: CommandLine) -> None:
    file = tmp_path / "thanks.yaml"
    file.write_text(GOOD)
    said = command_line.fixlify("automations", "validate", str(file))
    assert (said.code, said.out) == (0, f"{file}: valid: Thanks\n")


def test_every_problem_of_every_file_is_printed_together(
    tmp_path: Path, command_line: CommandLine
) -> None:
    for number, broken in enumerate(BROKEN):
        (tmp_path / f"{number:02}.yaml").write_text(broken.yaml)
    (tmp_path / "good.yaml").write_text(GOOD)

    said = command_line.fixlify("automations", "validate", str(tmp_path), "missing.yaml")

    *problems, verdict = said.err.splitlines()
    assert said.code == 2
    assert [broken.says in line for broken, line in zip(BROKEN, problems, strict=False)] == [
        True
    ] * len(BROKEN)
    assert problems[-1] == "missing.yaml: cannot be read: No such file or directory"
    assert verdict == f"Not valid: {len(BROKEN) + 1} problems."
    assert said.out == f"{tmp_path / 'good.yaml'}: valid: Thanks\n"


def test_the_documents_of_one_file_are_told_apart(
    tmp_path: Path, command_line: CommandLine
) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(GOOD + "---\nname: Other\ntrigger: {type: job_creatd}\n")
    said = command_line.fixlify("automations", "validate", str(file))
    assert said.err.startswith(f"{file} (document 2): trigger.type: unknown type 'job_creatd'")


def test_two_automations_with_one_name_are_refused(
    tmp_path: Path, command_line: CommandLine
) -> None:
    for name in ("a.yaml", "b.yml"):
        (tmp_path / name).write_text(GOOD)
    said = command_line.fixlify("automations", "validate", str(tmp_path))
    assert said.code == 2
    assert f"{tmp_path}/b.yml: name: 'Thanks' is in {tmp_path}/a.yaml too" in said.err


def test_standard_input_is_a_file_like_others(command_line: CommandLine) -> None:
    said = command_line.fixlify("automations", "validate", "-", stdin=GOOD)
    assert (said.code, said.out) == (0, "standard input: valid: Thanks\n")


def test_standard_input_must_be_text(command_line: CommandLine) -> None:
    said = command_line.fixlify("automations", "validate", "-", stdin=b"name: \xff\xfe")
    assert (said.code, said.err.splitlines()[0]) == (2, "standard input: is not text in UTF-8")


def test_a_folder_is_searched_to_the_bottom(tmp_path: Path, command_line: CommandLine) -> None:
    below = tmp_path / "reminders" / "winter"
    below.mkdir(parents=True)
    (below / "thanks.yml").write_text(GOOD)
    (tmp_path / "notes.txt").write_text("not an automation")
    said = command_line.fixlify("automations", "validate", str(tmp_path))
    assert (said.code, said.out) == (0, f"{below}/thanks.yml: valid: Thanks\n")


def test_a_folder_without_yaml_is_wrong_usage(tmp_path: Path, command_line: CommandLine) -> None:
    said = command_line.fixlify("automations", "validate", str(tmp_path))
    assert said.code == 2
    assert "no YAML file below" in said.err


@pytest.mark.parametrize("command", ["apply", "validate"])
def test_no_file_at_all_is_wrong_usage(command: str, command_line: CommandLine) -> None:
    said = command_line.fixlify("automations", command)
    assert said.code == 2
    assert "automations list --shipped" in said.err


def test_the_shipped_automations_are_listed_without_a_database(command_line: CommandLine) -> None:
    said = command_line.fixlify("automations", "list", "--shipped")
    assert said.code == 0
    assert all(any(line.startswith(name) for line in said.lines) for name in shipped_automations())
    listed = command_line.fixlify("automations", "list", "--shipped", "--json").document
    assert [each["shipped"] for each in listed] == list(shipped_automations())
