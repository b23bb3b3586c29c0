"""What a recorded history tells of its run."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from fixlify.domain.runs import PlannedStep, RunOutcome, RunPlan, StepKind, StepStatus


class Recording:
    """One file of histories, read once."""

    def __init__(self, file: Path) -> None:
        self.name = file.stem
        self._file = file

    @cached_property
    def text(self) -> str:
        """The history as it lies there."""
        return self._file.read_text(encoding="utf-8")

    @cached_property
    def decoded(self) -> str:
        """The history with all that is encoded in it made legible."""
        return json.dumps(_with_payloads_decoded(self._events), ensure_ascii=False)

    @property
    def workflow(self) -> str:
        """The name of the workflow it is a history of."""
        name: str = _attributes(self._events[0])["workflowType"]["name"]
        return name

    @property
    def activities(self) -> set[str]:
        """The names of the activities that were called, local ones included."""
        return {name for name, _ in self._local_activities()} | {
            _attributes(event)["activityType"]["name"]
            for event in self._of("ACTIVITY_TASK_SCHEDULED")
        }

    @property
    def patches(self) -> set[str]:
        """The ids of the patches it was recorded with."""
        return {
            json.loads(_payload(_attributes(event)["details"]["patch-data"]))["id"]
            for event in self._of("MARKER_RECORDED")
            if _attributes(event)["markerName"] == "core_patch"
        }

    @property
    def kinds_done(self) -> set[StepKind]:
        """The kinds of the steps that this very run did, well or not."""
        results = [
            RunOutcome.model_validate_json(_payload(_attributes(event)["result"]))
            for event in self._of("WORKFLOW_EXECUTION_COMPLETED")
        ]
        before = {outcome.step_id for outcome in self._plan.done}
        return {
            outcome.kind
            for result in results
            for outcome in result.outcomes
            if outcome.status is not StepStatus.SKIPPED and outcome.step_id not in before
        }

    @property
    def kinds_told(self) -> set[StepKind]:
        """The kinds of the steps that a signal found waiting: asleep, or held."""
        kinds = {step.id: step.kind for step in _every_step(self._plan.steps)}
        asleep: dict[str, StepKind] = {}
        told: set[StepKind] = set()
        for event in self._events:
            attributes = _attributes(event)
            match event["eventType"].removeprefix("EVENT_TYPE_"):
                case "TIMER_STARTED" if "userMetadata" in event:
                    summary: str = json.loads(_decoded(event["userMetadata"]["summary"]))
                    asleep[attributes["timerId"]] = kinds[summary.partition(":")[0]]
                case "TIMER_FIRED" | "TIMER_CANCELED":
                    asleep.pop(attributes["timerId"], None)
                case "WORKFLOW_EXECUTION_SIGNALED":
                    told |= set(asleep.values())
        return told

    @property
    def _plan(self) -> RunPlan:
        (plan,) = [result for name, result in self._local_activities() if name == "fetch_context"]
        return RunPlan.model_validate_json(plan)

    @cached_property
    def _events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = json.loads(self.text)["events"]
        return events

    def _of(self, kind: str) -> Iterator[dict[str, Any]]:
        return (event for event in self._events if event["eventType"] == f"EVENT_TYPE_{kind}")

    def _local_activities(self) -> Iterator[tuple[str, str]]:
        for event in self._of("MARKER_RECORDED"):
            if _attributes(event)["markerName"] == "core_local_activity":
                details = _attributes(event)["details"]
                result = _payload(details["result"]) if "result" in details else ""
                yield json.loads(_payload(details["data"]))["activity_type"], result


def _attributes(event: dict[str, Any]) -> dict[str, Any]:
    return next((value for key, value in event.items() if key.endswith("EventAttributes")), {})


def _payload(payloads: dict[str, Any]) -> str:
    return _decoded(payloads["payloads"][0])


def _decoded(payload: dict[str, str]) -> str:
    return b64decode(payload.get("data", "")).decode("utf-8", "replace")


def _every_step(steps: tuple[PlannedStep, ...]) -> Iterator[PlannedStep]:
    for step in steps:
        yield step
        yield from _every_step(step.then)
        yield from _every_step(step.otherwise)


def _with_payloads_decoded(node: object) -> object:
    if isinstance(node, dict):
        return {
            key: _decoded(node)
            if key == "data" and isinstance(value, str)
            else _with_payloads_decoded(value)
            for key, value in node.items()
        }
    return [_with_payloads_decoded(item) for item in node] if isinstance(node, list) else node
