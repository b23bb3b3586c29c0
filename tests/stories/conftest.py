"""The engine around each story's company, on the real server or on one that skips time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from shutil import which
from sys import prefix

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify import temporal
from tests.engine import Engine, running_engine
from tests.office import Office
from tests.stories.waiting import WaitingRoom


@pytest.fixture(params=[1000, 0], ids=["cached", "replaying-every-task"])
async def engine(
    request: pytest.FixtureRequest,
    office: Office,
    temporal_client: Client,
    mail: MailCatcher,
    phone: SmsCatcher,
) -> AsyncIterator[Engine]:
    """The engine on the real Temporal server; once more with the workflow cache off."""
    async with running_engine(
        office, temporal_client, mail, phone, max_cached_workflows=request.param
    ) as engine:
        yield engine


@pytest.fixture(scope="session")
async def time_machine() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal server on which waiting takes no time."""
    server = which("temporal-test-server", path=str(Path(prefix) / "bin"))
    async with await WorkflowEnvironment.start_time_skipping(
        data_converter=pydantic_data_converter,
        test_server_existing_path=server,
    ) as environment:
        await environment.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                search_attributes={
                    attribute.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
                    for attribute in temporal.SEARCH_ATTRIBUTES
                }
            )
        )
        yield environment


@pytest.fixture
async def patient_engine(
    office: Office, time_machine: WorkflowEnvironment, mail: MailCatcher, phone: SmsCatcher
) -> AsyncIterator[Engine]:
    """The engine on the server that skips time; ``settled`` makes it skip."""
    async with running_engine(office, time_machine.client, mail, phone) as engine:
        yield engine


@pytest.fixture
async def room(
    office: Office, patient_engine: Engine, time_machine: WorkflowEnvironment
) -> AsyncIterator[WaitingRoom]:
    """The company and its engine, for stories about waiting."""
    room = WaitingRoom(office, patient_engine, time_machine)
    yield room
    await room.close()
