"""A launch starts one workflow per execution, that a person finds and that exposes nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig, RPCError

from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.domain.ids import new_id, workflow_id
from fixlify.storage.database import Database
from fixlify.storage.executions import PendingExecution
from fixlify.storage.listen import EventSignal
from starter.launch import LONGEST_SUMMARY, Launcher
from starter.relay import Relay
from tests.engine import eventually
from tests.office import Office
from tests.relaying import ON_COMPLETION, RecordingLauncher, age, relay_everything


def execution(**fields: Any) -> PendingExecution:
    made = PendingExecution(
        id=new_id(),
        organization_id=new_id(),
        automation_id=new_id(),
        automation="Visit reminder",
        version=3,
        trigger_type="job_status_changed",
        subject_type="job",
        subject_id="J-2019",
    )
    return replace(made, **fields)


class Started:
    """The server's side: what was started, ended again when the test is over."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.launched: list[PendingExecution] = []

    async def launch(self, *executions: PendingExecution) -> list[Any]:
        """Launch as the relay does."""
        self.launched += executions
        return await Launcher(self.client, eager=False).launch(executions)

    def handle(self, of: PendingExecution) -> Any:
        return self.client.get_workflow_handle(workflow_id(of.id, of.redrives))

    async def close(self) -> None:
        for each in self.launched:
            try:
                await self.handle(each).terminate()
            except RPCError:
                continue


@pytest.fixture
async def started(temporal_client: Client) -> AsyncIterator[Started]:
    """Workflows without a worker: they stay where their start left them."""
    server = Started(temporal_client)
    yield server
    await server.close()


class TestOneWorkflow:
    """However often and by whomever an execution is launched, it has one workflow."""

    async def test_it_has_the_executions_id(self, started: Started) -> None:
        one = execution()
        assert await started.launch(one) == [one.id]
        description = await started.handle(one).describe()
        assert description.id == f"automation/{one.id}"
        assert description.workflow_type == "automation"
        assert description.task_queue == "automations"
        assert description.status is WorkflowExecutionStatus.RUNNING

    async def test_launching_twice_starts_one(self, started: Started) -> None:
        one = execution()
        await started.launch(one)
        first = await started.handle(one).describe()
        assert await started.launch(one) == [one.id]
        assert (await started.handle(one).describe()).run_id == first.run_id

    async def test_ten_relays_at_once_start_one(self, started: Started) -> None:
        one = execution()
        results = await asyncio.gather(*(started.launch(one) for _ in range(10)))
        assert results == [[one.id]] * 10

        async def listed() -> list[str]:
            query = f"FixlifyOrganization = '{one.organization_id}'"
            return [found.run_id async for found in started.client.list_workflows(query)]

        await eventually(listed)
        assert len(await listed()) == 1

    async def test_a_workflow_that_is_over_is_not_started_again(self, started: Started) -> None:
        one = execution()
        await started.launch(one)
        await started.handle(one).terminate()
        ended = await started.handle(one).describe()
        assert await started.launch(one) == [one.id]
        again = await started.handle(one).describe()
        assert (again.run_id, again.status) == (ended.run_id, WorkflowExecutionStatus.TERMINATED)

    async def test_each_redrive_has_a_workflow_of_its_own(self, started: Started) -> None:
        """The one before has ended, and its id is taken for ever."""
        one = execution()
        await started.launch(one)
        await started.handle(one).terminate()
        again = replace(one, redrives=1)
        assert await started.launch(again, again) == [one.id, one.id]
        description = await started.handle(again).describe()
        assert description.id == f"automation/{one.id}~1"
        assert description.status is WorkflowExecutionStatus.RUNNING

    async def test_more_than_are_started_at_once(self, started: Started) -> None:
        many = [execution() for _ in range(50)]
        assert await started.launch(*many) == [each.id for each in many]


class TestWhatAPersonSees:
    """The Web UI says what a run is about, and nothing about people."""

    async def test_summary_and_details(self, started: Started) -> None:
        one = execution()
        await started.launch(one)
        description = await started.handle(one).describe()
        assert await description.static_summary() == "Visit reminder: J-2019"
        details = await description.static_details()
        assert "Automation **Visit reminder**, version 3" in details
        assert "Set off by `job_status_changed` of job `J-2019`" in details
        assert f"fixlify executions show {one.id}" in details

    async def test_search_attributes(self, started: Started) -> None:
        one = execution()
        await started.launch(one)
        found = (await started.handle(one).describe()).typed_search_attributes
        assert {key.name: found[key] for key in temporal.SEARCH_ATTRIBUTES} == {
            "FixlifyOrganization": str(one.organization_id),
            "FixlifyAutomation": str(one.automation_id),
            "FixlifySubject": "J-2019",
            "FixlifyTrigger": "job_status_changed",
        }

    async def test_companies_take_turns(self, started: Started) -> None:
        """The queues are shared; a company with a backlog must not hold up the others."""
        one = execution()
        await started.launch(one)
        info = (await started.handle(one).describe()).raw_description.workflow_execution_info
        assert info.priority.fairness_key == str(one.organization_id)

    async def test_nothing_personal_is_in_it(
        self, started: Started, office: Office, engine_database: Database
    ) -> None:
        """Ids, search attributes and summaries are not encrypted."""
        await office.apply(ON_COMPLETION)
        await office.write_status(await office.add_job(), "completed")
        recording = RecordingLauncher()
        await relay_everything(Relay(engine_database, recording, EventSignal(office.url)))
        (one,) = recording.asked
        await started.launch(one)

        written = str((await started.handle(one).describe()).raw_description)
        written += (await started.handle(one).fetch_history()).to_json()
        assert str(one.id) in written
        for personal in ("Ada", "Byron", "ada@", "2125550123", "Boiler", "Thank you", "Northwind"):
            assert personal not in written

    @pytest.mark.parametrize(
        "fields",
        [
            {"subject_id": "J" * 2_600},
            {"subject_id": "✓" * 1_000},
            {"subject_id": "😀" * 1_000},
            {"automation": "😀" * 200},
            {"automation": "**bold** `code` \u202e\n"},
        ],
    )
    async def test_names_of_any_length_can_be_started(
        self, started: Started, fields: dict[str, str]
    ) -> None:
        """What Temporal refuses stays pending for ever, and first in every sweep."""
        one = execution(**fields)
        assert await started.launch(one) == [one.id]
        description = await started.handle(one).describe()
        assert len((await description.static_summary()).encode()) <= LONGEST_SUMMARY


class TestFailures:
    """A start that fails costs nobody else theirs, and is tried again."""

    async def test_a_namespace_that_is_not_there(self, temporal_server: EmbeddedTemporal) -> None:
        nowhere = await temporal.connect(temporal_server.address, "nowhere")
        assert await Launcher(nowhere, eager=False).launch([execution()]) == []

    async def test_a_server_that_is_gone(self, tmp_path: Path) -> None:
        impatient = RetryConfig(max_elapsed_time_millis=100, max_retries=1)
        async with EmbeddedTemporal(tmp_path, ui=False) as server:
            client = await Client.connect(
                server.address, retry_config=impatient, data_converter=pydantic_data_converter
            )
        assert await Launcher(client, eager=False).launch([execution(), execution()]) == []

    async def test_nothing_to_launch(self, temporal_client: Client) -> None:
        assert await Launcher(temporal_client, eager=False).launch([]) == []

    async def test_the_execution_stays_pending_until_it_is_launched(
        self,
        temporal_server: EmbeddedTemporal,
        started: Started,
        office: Office,
        engine_database: Database,
    ) -> None:
        await office.apply(ON_COMPLETION)
        await office.write_status(await office.add_job(), "completed")
        nowhere = await temporal.connect(temporal_server.address, "nowhere")
        events = EventSignal(office.url)
        broken = Relay(engine_database, Launcher(nowhere, eager=False), events)
        await relay_everything(broken)
        (row,) = await office.executions()
        assert (row["status"], row["launched_at"]) == ("pending", None)

        await age(office, "taken_at", timedelta(minutes=1))
        working = Relay(engine_database, Launcher(started.client, eager=False), events)
        assert await working.launch_waiting() == 1
        (row,) = await office.executions()
        assert row["launched_at"] is not None
        handle = started.client.get_workflow_handle(workflow_id(row["id"]))
        assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
        await handle.terminate()
