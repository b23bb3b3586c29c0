"""Two minutes of faults of every kind lose nothing and repeat nothing (P1 to P11)."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.processes import environment_without_ours

SEED = 7
# Four and a half on a machine of its own; what else is tested meanwhile takes its share.
PATIENCE = timedelta(minutes=10)
PROMISES = {f"P{number}" for number in range(1, 12)}


@pytest.fixture(scope="module")
async def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, Any], str]:
    """The exit code of one run, what it printed for programs, and what it told people."""
    temporary = tmp_path_factory.mktemp("chaos")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.chaos"),
        *("--seed", str(SEED), "--minutes", "2", "--json"),
        cwd=Path(__file__).parents[2],
        env={**environment_without_ours(), "TMPDIR": str(temporary)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            output, told = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert not list(temporary.glob("fixlify-chaos-*")), "it leaves nothing behind"
    said = told.decode(errors="replace")
    assert process.returncode in (0, 1), said
    return process.returncode, json.loads(output), said


async def test_nothing_is_lost_and_nothing_repeated(
    outcome: tuple[int, dict[str, Any], str],
) -> None:
    code, result, told = outcome

    assert (result["holds"], result["lost"], result["duplicated"]) == (True, 0, 0), told
    assert result["promises"].keys() == PROMISES
    assert all(check["holds"] for check in result["promises"].values()), told
    assert code == 0, told


async def test_enough_went_wrong_to_say_so(outcome: tuple[int, dict[str, Any], str]) -> None:
    """A run that breaks nothing, or writes nothing, would prove nothing."""
    _, result, told = outcome

    assert result["seed"] == SEED
    assert result["faults"] >= 20, told
    assert len(result["faults_by_kind"]) >= 6, told
    assert result["faults_during_recovery"] >= 1, told
    assert result["changes"] >= 100, told
    assert result["emails"] >= 50, told
    assert result["texts"] >= 50, told
