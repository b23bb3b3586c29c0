"""The embedded Temporal server is tuned, keeps its runs, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus

from devstack.temporal_server import RETENTION, SEARCH_ATTRIBUTES, EmbeddedTemporal
from fixlify.domain.errors import DevstackError
from tests.integration.devstack_owner import Owner, eventually, nothing_is_left_of, processes_of

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedTemporal]:
    async with EmbeddedTemporal(tmp_path_factory.mktemp("temporal")) as temporal:
        yield temporal


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def server_pid(folder: Path) -> int:
    return int((folder / "running.lock").read_text())


async def start_a_run(address: str) -> str:
    """Start a workflow that nobody works on; returns its id."""
    client = await Client.connect(address)
    handle = await client.start_workflow("nobody", id=f"run-{uuid4()}", task_queue="nobody")
    return handle.id


async def is_running(address: str, workflow_id: str) -> bool:
    client = await Client.connect(address)
    description = await client.get_workflow_handle(workflow_id).describe()
    return description.status is WorkflowExecutionStatus.RUNNING


async def test_what_a_run_is_found_by_is_registered(server: EmbeddedTemporal) -> None:
    client = await Client.connect(server.address)
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="default")
    )
    for name in SEARCH_ATTRIBUTES:
        assert listed.custom_attributes[name] == IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD


async def test_finished_runs_stay_for_a_month(server: EmbeddedTemporal) -> None:
    client = await Client.connect(server.address)
    described = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace="default")
    )
    assert described.config.workflow_execution_retention_ttl.ToTimedelta() == RETENTION


async def test_the_web_ui_answers(server: EmbeddedTemporal) -> None:
    assert server.ui_url is not None
    async with httpx2.AsyncClient(trust_env=False) as browser:
        page = await browser.get(server.ui_url)
    assert page.status_code == 200
    assert page.text.startswith("<!doctype html>")


async def test_it_is_told_everything_that_makes_it_fast(server: EmbeddedTemporal) -> None:
    [command] = [line for line in processes_of(server.folder) if "guard.py" not in line]
    for words in (
        "history.transferProcessorMaxPollRPS=1000",
        "matching.numTaskqueueReadPartitions=1",
        "matching.numTaskqueueWritePartitions=1",
        "matching.enableFairness=true",
        "journal_mode=WAL",
        "synchronous=NORMAL",
    ):
        assert words in command


def listening_addresses(pid: int) -> list[str]:
    """The addresses of the process's listening sockets, as /proc spells them."""
    links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = {found[1] for link in links if (found := re.match(r"socket:\[(\d+)\]", link))}
    tables = [Path("/proc/net/tcp").read_text(), Path("/proc/net/tcp6").read_text()]
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    # Columns: 1 local address, 3 state (0A listens), 9 the socket's number.
    return [row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in sockets]


@linux_only
async def test_it_listens_on_loopback_alone(server: EmbeddedTemporal) -> None:
    """Also on the ports it chooses itself, for metrics and between its services."""
    addresses = listening_addresses(server_pid(server.folder))
    assert len(addresses) > 2
    assert set(addresses) == {"0100007F"}


async def test_a_running_server_is_adopted_and_left_running(server: EmbeddedTemporal) -> None:
    async with EmbeddedTemporal(server.folder) as guest:
        assert guest.adopted
        assert guest.address == server.address
        assert guest.ui_url == server.ui_url
    assert await is_running(server.address, await start_a_run(server.address))


async def test_it_comes_back_with_its_runs_on_its_ports(tmp_path: Path) -> None:
    async with EmbeddedTemporal(tmp_path) as temporal:
        run = await start_a_run(temporal.address)
        address, ui_url = temporal.address, temporal.ui_url
    async with EmbeddedTemporal(tmp_path) as temporal:
        assert (temporal.address, temporal.ui_url) == (address, ui_url)
        assert await is_running(temporal.address, run)


async def test_without_a_web_ui_there_is_no_address_of_one(tmp_path: Path) -> None:
    async with EmbeddedTemporal(tmp_path, ui=False, namespace="other") as temporal:
        assert temporal.ui_url is None
        client = await Client.connect(temporal.address, namespace="other")
        assert [run async for run in client.list_workflows("FixlifyOrganization = 'x'")] == []


async def test_it_recovers_after_the_server_was_killed(tmp_path: Path) -> None:
    temporal = EmbeddedTemporal(tmp_path, ui=False)
    await temporal.start()
    try:
        run = await start_a_run(temporal.address)
        os.kill(server_pid(tmp_path), signal.SIGKILL)
        assert await temporal.wait() == 128 + signal.SIGKILL
        await temporal.start()
        assert await is_running(temporal.address, run)
    finally:
        await temporal.stop()


async def test_a_dying_server_is_not_adopted(tmp_path: Path) -> None:
    """Its guard is at it: who comes at that moment waits and starts a server of their own."""
    async with Owner("temporal", tmp_path) as owner:
        run = await start_a_run(owner.report["address"])
        await asyncio.to_thread(owner.kill, signal.SIGKILL)
        async with EmbeddedTemporal(tmp_path, ui=False) as temporal:
            assert not temporal.adopted
            assert await is_running(temporal.address, run)


@linux_only
async def test_the_server_goes_when_its_guard_is_killed(tmp_path: Path) -> None:
    temporal = EmbeddedTemporal(tmp_path, ui=False)
    await temporal.start()
    try:
        guards = [line for line in processes_of(tmp_path) if "guard.py" in line]
        os.kill(int(guards[0].split()[0]), signal.SIGKILL)
        await nothing_is_left_of(tmp_path, port_of(temporal.address))
    finally:
        await temporal.stop()


async def test_it_tries_again_when_somebody_is_faster(
    tmp_path: Path, server: EmbeddedTemporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when what took the port is a Temporal server in perfect health."""
    (tmp_path / "port").write_text(str(port_of(server.address)))
    # Only a lie about the port gets us into that moment.
    monkeypatch.setattr("devstack.ports.is_free", lambda port: True)
    async with EmbeddedTemporal(tmp_path, ui=False) as temporal:
        assert temporal.address != server.address


async def test_a_demanded_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        with pytest.raises(DevstackError, match=f"port {taken} for Temporal is taken"):
            await EmbeddedTemporal(tmp_path, taken).start()
        with pytest.raises(DevstackError, match=f"port {taken} for Temporal's Web UI is taken"):
            await EmbeddedTemporal(tmp_path, ui_port=taken).start()


async def test_a_program_that_is_not_temporal_says_what_it_said(tmp_path: Path) -> None:
    program = tmp_path / "temporal"
    program.write_text("#!/bin/sh\necho wrong architecture >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(DevstackError, match=r"Temporal did not start in .*: wrong architecture"):
        await EmbeddedTemporal(tmp_path / "data", binary=program).start()
    await eventually(lambda: not processes_of(tmp_path), "nothing is left")
