"""Everything that exists is connected to something that uses it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import workflows
from activities.actions import ActionActivities
from activities.decisions import DecisionActivities
from activities.email import EmailActivities
from activities.executions import ExecutionActivities
from activities.rendering import RenderingActivities
from activities.sms import SmsActivities
from activities.sweeps import SweepActivities
from activities.webhooks import WebhookActivities
from cli.checks import temporal as temporal_checks
from devstack.temporal_server import SEARCH_ATTRIBUTES, EmbeddedTemporal
from fixlify import temporal
from fixlify.channels.webhooks import WebhookChannel
from fixlify.domain import queues
from fixlify.domain.steps import Step
from fixlify.settings import variables
from tests.replay.scenarios import SCENARIOS
from tests.replay.stepping import STEP_SCENARIOS
from worker.workers import WORKFLOWS, build_workers

ROOT = Path(__file__).parent.parent.parent
ACTIVITIES = (
    ExecutionActivities,
    DecisionActivities,
    ActionActivities,
    RenderingActivities,
    EmailActivities,
    SmsActivities,
    SweepActivities,
    WebhookActivities,
)
# What the stories are told with.
PARTS_OF_WORKFLOWS = {"calls", "holding", "memory", "run"}


def _types(union: Any) -> set[str]:
    members = get_args(get_args(union)[0])
    return {member.model_fields["type"].default for member in members}


def _activity_names() -> set[str]:
    return {
        definition.name
        for owner in ACTIVITIES
        for method in vars(owner).values()
        if (definition := getattr(method, "__temporal_activity_definition", None)) is not None
    }


def test_every_workflow_file_is_registered() -> None:
    """One file per business act; a file nobody registered would never run."""
    folder = Path(workflows.__file__).parent
    files = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    registered = {workflow.__module__.removeprefix("workflows.") for workflow in WORKFLOWS}
    assert registered == files - PARTS_OF_WORKFLOWS


async def test_every_activity_is_registered_and_every_queue_has_a_worker(
    temporal_server: EmbeddedTemporal,
) -> None:
    class Nobody:
        async def send(self, message: object) -> Any:
            raise AssertionError(message)

        async def find_sent(self, message: object, **_: object) -> Any:
            raise AssertionError(message)

        async def check(self) -> None: ...

        async def aclose(self) -> None: ...

    database = None
    # A connection of its own: the SDK lets a connection have one worker per queue, and these
    # never run.
    client = await temporal.connect(temporal_server.address, "default")
    workers = build_workers(
        client,
        database,  # type: ignore[arg-type]  # nothing runs
        email=Nobody(),
        sms=Nobody(),
        webhooks=WebhookChannel(),
        sender="a@example.com",
    )
    registered = {
        name
        for worker in workers
        for name in (worker._activity_worker._activities if worker._activity_worker else ())
    }
    assert registered == _activity_names()
    named = {value for name, value in vars(queues).items() if name.isupper()}
    assert {worker.task_queue for worker in workers} == named
    assert {queue for queue, _ in temporal_checks.POLLED} == named


def test_every_kind_of_step_is_in_a_recorded_history() -> None:
    played = [each.automation for each in SCENARIOS.values()]
    automations = "\n".join([*played, *(each.automation for each in STEP_SCENARIOS.values())])
    for step in _types(Step):
        assert f"type: {step}" in automations


def test_the_embedded_server_knows_every_search_attribute() -> None:
    assert {attribute.name for attribute in temporal.SEARCH_ATTRIBUTES} == set(SEARCH_ATTRIBUTES)


def test_every_setting_is_documented() -> None:
    documented = (ROOT / "docs" / "connect.md").read_text(encoding="utf-8")
    missing = {name for name in variables() if not re.search(rf"`{name}\b", documented)}
    assert not missing, f"describe them in docs/connect.md: {sorted(missing)}"


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    for page in folder.glob("0*.md"):
        assert f"({page.name})" in listed
