"""Today's workflow code can carry on what any earlier code began."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

import activities
from fixlify.domain.runs import WAITS, StepKind
from tests.replay.reading import Recording
from tests.replay.record import EVERY_SCENARIO, HISTORIES
from worker.sandbox import workflow_runner
from worker.workers import WORKFLOWS
from workflows.automation import LISTENS, RENDERS_AGAIN

RECORDED = {file.stem: Recording(file) for file in sorted(HISTORIES.glob("*.json"))}
AUTOMATIONS = [each for each in RECORDED.values() if each.workflow == "automation"]


@pytest.mark.parametrize("name", RECORDED)
async def test_a_recorded_history_replays(name: str) -> None:
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_runner=workflow_runner(),
    )
    history = WorkflowHistory.from_json(f"automation/{name}", RECORDED[name].text)
    await replayer.replay_workflow(history)


def test_every_scenario_is_recorded() -> None:
    assert set(RECORDED) >= set(EVERY_SCENARIO)


@pytest.mark.parametrize("name", ["continued-in-a-new-history", "continued-while-held"])
def test_a_run_that_went_on_in_a_new_history_is_recorded_in_each(name: str) -> None:
    assert "EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW" in RECORDED[f"{name}-1"].text
    assert "continuedExecutionRunId" in RECORDED[name].text


def test_every_workflow_is_recorded() -> None:
    names = {workflow.__temporal_workflow_definition.name for workflow in WORKFLOWS}
    assert {each.workflow for each in RECORDED.values()} == names


def test_every_activity_is_called_in_some_history() -> None:
    modules = [
        import_module(f"activities.{each.name}") for each in iter_modules(activities.__path__)
    ]
    names = {
        definition.name
        for module in modules
        for owner in vars(module).values()
        if isinstance(owner, type)
        for method in vars(owner).values()
        if (definition := getattr(method, "__temporal_activity_definition", None)) is not None
    }
    assert {name for each in RECORDED.values() for name in each.activities} == names


def test_every_kind_of_step_is_done_in_some_history() -> None:
    assert {kind for each in AUTOMATIONS for kind in each.kinds_done} == set(StepKind)


def test_every_kind_of_wait_is_told_something_in_some_history() -> None:
    """A signal that finds a run asleep is where most of its branches begin."""
    assert {kind for each in AUTOMATIONS for kind in each.kinds_told} >= WAITS


def test_runs_of_before_a_held_message_was_written_anew_are_among_them() -> None:
    """One that is recorded over goes the new way, and nobody replays the old one any more."""
    assert RENDERS_AGAIN in RECORDED["messages-held-then-written-anew"].patches
    assert RENDERS_AGAIN not in RECORDED["held-then-released"].patches


@pytest.mark.parametrize("name", RECORDED)
def test_a_history_holds_nothing_personal(name: str) -> None:
    """Names, addresses and texts stay in Postgres (the office's client is Ada Byron)."""
    for personal in ("Ada", "Byron", "ada@example.com", "2125550123", "Boiler repair", "Who is"):
        assert personal not in RECORDED[name].decoded


def test_runs_that_were_told_while_an_older_worker_had_them_are_among_them() -> None:
    """Relays are replaced while older workers still run; those pass over what they do not know."""
    older = RECORDED["told-by-an-older-worker"]
    assert older.kinds_told >= {StepKind.WAIT, StepKind.SMS}
    assert LISTENS not in older.patches
