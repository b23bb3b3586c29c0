"""What a newcomer types works on a bare machine, and says what is missing where it cannot."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TARGETS = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
# All that the scripts may count on besides a Python.
POSIX_TOOLS = ("sh", "dirname", "sed", "mkdir", "mv", "rm")
# A PATH need not have it under this name, and a virtual environment's would hide the base.
PYTHON = Path(sys.executable).resolve()
FETCH_DEADLINE = 300

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def _pypi_is_reachable() -> bool:
    try:
        socket.create_connection(("pypi.org", 443), timeout=5).close()
    except OSError:
        return False
    return True


def _script(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with a copy of scripts/uv, and bin/ with nothing but POSIX tools."""
    (tmp_path / "bin").mkdir()
    for tool in POSIX_TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / "bin" / tool).symlink_to(found)
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/uv", tmp_path / "scripts/uv")
    return tmp_path


@pytest.fixture
def run_uv(bare: Path) -> Run:
    """Call the copy with bin/ as the whole PATH."""

    def run(
        *arguments: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        inherited = {name: it for name, it in os.environ.items() if not name.startswith("UV_")}
        return subprocess.run(
            [bare / "scripts/uv", *arguments],
            env={**inherited, "PATH": str(bare / "bin"), **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=FETCH_DEADLINE,
        )

    return run


def test_make_alone_explains_every_target() -> None:
    printed = subprocess.run(
        ["make", "-C", ROOT], capture_output=True, text=True, check=True
    ).stdout
    explained = re.findall(r"^  make (\S+) +\S", printed, flags=re.MULTILINE)
    assert explained == TARGETS
    assert {"help", "demo", "dev", "test", "check", "fmt", "record-histories"} <= set(TARGETS)


def test_no_target_is_taken_for_a_file() -> None:
    """There is a tests/ folder today; a test/ one would silence `make test`."""
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert declared
    assert declared[1].split() == TARGETS


def test_a_commit_is_held_to_what_make_check_holds_it_to() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = {
        " ".join(re.findall(r"\b(?:ruff check|ruff format|mypy|lint-imports)\b", hook["entry"]))
        for repository in config["repos"]
        for hook in repository["hooks"]
    }
    check = (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    tools = set(re.findall(r"\$\(RUN\) (ruff check|ruff format|mypy|lint-imports)\b", check))
    assert hooks == tools


@pytest.mark.parametrize("python_has_venv", [True, False])
def test_a_machine_without_uv_fetches_it(bare: Path, run_uv: Run, python_has_venv: bool) -> None:
    """Also where Python has no ensurepip and the distribution forbids pip to touch it (PEP 668)."""
    if not _pypi_is_reachable():
        pytest.skip("PyPI is not reachable from here")
    if python_has_venv and importlib.util.find_spec("ensurepip") is None:
        pytest.skip("this Python has no ensurepip")
    (bare / "bin/python3").symlink_to(PYTHON)
    env = {}
    if not python_has_venv:
        if not _has_module("pip"):
            pytest.skip("this Python has no pip")
        env = {"PYTHONPATH": _without(bare, "venv"), "PIP_BREAK_SYSTEM_PACKAGES": "0"}

    first = run_uv("--version", env=env)
    second = run_uv("--version", env=env)

    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("uv ")
    assert first.stderr.startswith("Fetching uv ")
    assert second.stdout == first.stdout
    assert not second.stderr, "the second call fetches nothing"
    assert [found.name for found in (bare / ".build").iterdir()] == ["bin"], "nothing is left over"


def test_a_python_without_pip_is_told_what_to_install(bare: Path, run_uv: Run) -> None:
    """Debian's python3 package, with neither python3-venv nor python3-pip."""
    (bare / "bin/python3").symlink_to(PYTHON)
    tried = run_uv("--version", env={"PYTHONPATH": _without(bare, "venv", "pip")})
    assert tried.returncode == 1
    assert "No module named venv" in tried.stderr
    assert "apt-get install python3-venv" in tried.stderr
    assert not list((bare / ".build/bin").iterdir()), "nothing half done is left"


def test_an_old_python_is_named(bare: Path, run_uv: Run) -> None:
    _script(bare / "bin/python3", '[ "$1" = --version ] || exit 1', "echo Python 3.9.2")
    tried = run_uv("--version")
    assert tried.returncode == 1
    assert "Python 3.11 or newer is needed, and this PATH has Python 3.9.2." in tried.stderr


def test_no_python_at_all_is_said(run_uv: Run) -> None:
    tried = run_uv("--version")
    assert tried.returncode == 1
    assert "this PATH has no python3." in tried.stderr


def test_the_uv_that_is_there_is_used(bare: Path, run_uv: Run) -> None:
    """And it is told to use the Python that is there, and to fetch none."""
    (bare / "bin/python3").symlink_to(PYTHON)
    _script(
        bare / "bin/uv",
        '[ "$1" = --version ] && { echo "uv 0.10.2"; exit; }',
        'echo "$@, $UV_PYTHON, $UV_PYTHON_DOWNLOADS, ${VIRTUAL_ENV-no environment}"',
    )
    tried = run_uv("sync", "--locked", env={"VIRTUAL_ENV": "/elsewhere"})
    version = subprocess.run(
        [bare / "bin/python3", "-c", "import sys; print(sys.executable)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert tried.stdout == f"sync --locked, {version}, never, no environment\n"
    assert not (bare / ".build").exists()


@pytest.mark.parametrize("found", ['echo "uv 0.4.30"', "exit 127"])
def test_a_uv_too_old_or_broken_is_passed_over(bare: Path, run_uv: Run, found: str) -> None:
    """A shim of pyenv answers to the name and runs nothing."""
    (bare / "bin/python3").symlink_to(PYTHON)
    _script(bare / "bin/uv", found)
    _script(bare / ".build/bin/uv", 'echo "uv 0.13.9"')
    assert run_uv("--version").stdout == "uv 0.13.9\n"


def test_an_environment_that_works_keeps_its_python(bare: Path, run_uv: Run) -> None:
    """Naming another one would make uv build it again."""
    _script(bare / ".venv/bin/python", "exit 0")
    _script(
        bare / "bin/uv",
        '[ "$1" = --version ] && { echo "uv 0.10.2"; exit; }',
        'echo "${UV_PYTHON-as it is}"',
    )
    assert run_uv("sync").stdout == "as it is\n"


@pytest.mark.parametrize("target", ["demo", "dev"])
def test_ctrl_c_reaches_the_program_and_make_does_not_complain(tmp_path: Path, target: str) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    _script(
        tmp_path / "scripts/uv",
        '[ "$1" = run ] || exit 0',
        "trap 'echo stopping; exit 0' INT",
        "echo ready",
        "while :; do :; done",
    )
    # A group of its own is what a terminal sends Ctrl-C to.
    with subprocess.Popen(
        ["make", "-C", tmp_path, target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as make:
        assert make.stdout
        try:
            while make.stdout.readline() != "ready\n":
                assert make.poll() is None
            os.killpg(make.pid, signal.SIGINT)
            stdout, stderr = make.communicate(timeout=30)
        finally:
            if make.poll() is None:
                os.killpg(make.pid, signal.SIGKILL)
    assert stdout == "stopping\n"
    # GNU make may lose a race with itself for the child it was told of, and then says so; what
    # must not be there is a complaint about the program.
    assert not re.search(r"\*\*\* \[.*\] (Error|Interrupt)", stderr)


@pytest.mark.parametrize(
    ("check", "test", "code"),
    [("true", "true", 0), ("false", "true", 1), ("true", "false", 1)],
)
def test_ci_runs_both_and_ends_with_the_summary(
    tmp_path: Path, check: str, test: str, code: int
) -> None:
    """A failed check hides no test result, and a pipe hides no failure."""
    closing = "===== 12 passed, 1 skipped in 3.21s ====="
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    recipes = f"check:\n\t@{check}\ntest:\n\t@echo '{closing}'\n\t@{test}\n"
    (tmp_path / "Makefile").write_text(recipes)

    ran = subprocess.run([tmp_path / ".ci/run"], capture_output=True, text=True, check=False)

    assert ran.returncode == code
    assert ran.stdout.splitlines()[-1] == closing


def _has_module(name: str) -> bool:
    looked = subprocess.run([PYTHON, "-c", f"import {name}"], capture_output=True, check=False)
    return looked.returncode == 0


def _without(bare: Path, *modules: str) -> str:
    """A PYTHONPATH that hides *modules* of the standard library and site-packages."""
    hiding = bare / "hiding"
    hiding.mkdir()
    for module in modules:
        (hiding / f"{module}.py").write_text(f"raise SystemExit('No module named {module}')\n")
    return str(hiding)
