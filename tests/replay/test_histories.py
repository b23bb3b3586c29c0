"""Today's workflow code can carry on what any earlier code began."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from tests.replay.record import HISTORIES
from tests.replay.scenarios import SCENARIOS, SWEEP_SCENARIOS
from worker.sandbox import workflow_runner
from worker.workers import WORKFLOWS

RECORDED = sorted(HISTORIES.glob("*.json"))


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
async def test_a_recorded_history_replays(file: Path) -> None:
    history = await asyncio.to_thread(file.read_text, encoding="utf-8")
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_runner=workflow_runner(),
    )
    await replayer.replay_workflow(WorkflowHistory.from_json(f"automation/{file.stem}", history))


def test_every_scenario_is_recorded() -> None:
    assert {file.stem for file in RECORDED} >= {*SCENARIOS, *SWEEP_SCENARIOS}


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_a_history_holds_nothing_personal(file: Path) -> None:
    """Names, addresses and texts stay in Postgres (the office's client is Ada Byron)."""
    decoded = _with_payloads_decoded(file.read_text(encoding="utf-8"))
    for personal in ("Ada", "Byron", "ada@example.com", "2125550123", "Boiler repair"):
        assert personal not in decoded


def _with_payloads_decoded(history: str) -> str:
    from base64 import b64decode

    def walk(node: object) -> object:
        if isinstance(node, dict):
            return {
                key: b64decode(value).decode("utf-8", "replace")
                if key == "data" and isinstance(value, str)
                else walk(value)
                for key, value in node.items()
            }
        return [walk(item) for item in node] if isinstance(node, list) else node

    return json.dumps(walk(json.loads(history)), ensure_ascii=False)
