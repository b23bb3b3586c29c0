"""The second release is the first with one more step, guarded for the runs under way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks.chaos.deployment import (
    PACKAGES,
    REPOSITORY,
    WORKFLOW,
    make_releases,
    with_a_new_step,
)
from fixlify.domain.errors import DevstackError


def test_the_new_step_is_for_new_runs_only() -> None:
    before = (REPOSITORY / WORKFLOW).read_text(encoding="utf-8")
    after = with_a_new_step(before)

    ast.parse(after)
    added = [line.strip() for line in after.splitlines() if line not in before.splitlines()]
    assert added == ['if workflow.patched("second-release"):', "await workflow.sleep(0.02)"]


def test_a_workflow_that_begins_otherwise_is_not_changed_in_silence() -> None:
    with pytest.raises(DevstackError, match="any more"):
        with_a_new_step("class AutomationWorkflow: ...")


def test_both_releases_are_whole_and_differ_in_the_workflow_alone(tmp_path: Path) -> None:
    releases = make_releases(tmp_path)

    def sources(release: Path) -> dict[Path, str]:
        return {
            file.relative_to(release): file.read_text(encoding="utf-8")
            for file in release.rglob("*.py")
        }

    first, second = sources(releases.first), sources(releases.second)
    assert {path.parts[0] for path in first} == set(PACKAGES)
    assert first.keys() == second.keys()
    assert {path for path in first if first[path] != second[path]} == {WORKFLOW}
