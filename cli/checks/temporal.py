"""Look at Temporal: reachable, with our namespace and search attributes, and polled."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    GetSystemInfoRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from cli.checks.findings import Finding, failed, ok
from fixlify import temporal
from fixlify.domain import queues

# As in: ConnectError("tcp connect error", Os { code: 111, message: "Connection refused" })
_INNERMOST: Final = re.compile(r'message: "([^"]+)"')
_RPC_TIMEOUT: Final = timedelta(seconds=5)
# A worker that lives asks at least once a minute; the server remembers those that died longer.
_RECENT: Final = timedelta(minutes=2)
POLLED: Final = (
    (queues.AUTOMATIONS, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW),
    (queues.EMAIL, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
    (queues.SMS, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
    (queues.WEBHOOKS, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
    (queues.SWEEPS, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
)


async def check_temporal(address: str, namespace: str) -> AsyncIterator[Finding]:
    """Look at the Temporal server at *address* and at *namespace* on it."""
    try:
        client = await temporal.connect(address, namespace, identity="fixlify-doctor")
        info = await client.workflow_service.get_system_info(
            GetSystemInfoRequest(), timeout=_RPC_TIMEOUT
        )
    except temporal.CONNECTION_ERRORS as error:
        yield failed(
            "temporal.reachable",
            f"{address} does not answer: {_words(error)}",
            "Start it, or correct TEMPORAL_ADDRESS (and TEMPORAL_API_KEY, TEMPORAL_TLS…).",
        )
        return
    yield ok("temporal.reachable", f"Temporal {info.server_version} at {address}")
    space = await _namespace(client, namespace)
    yield space
    if space.remedy is not None:
        return
    yield await _search_attributes(client, namespace)
    for queue, kind in POLLED:
        yield await _pollers(client, namespace, queue, kind)


async def _namespace(client: Client, namespace: str) -> Finding:
    check = "temporal.namespace"
    try:
        description = await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=namespace), timeout=_RPC_TIMEOUT
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            create = f"temporal operator namespace create --namespace {namespace}"
            return failed(
                check, f"there is no '{namespace}'", f"Set TEMPORAL_NAMESPACE, or: {create}"
            )
        return failed(check, _words(error), "Check TEMPORAL_NAMESPACE and your rights in it.")
    kept = description.config.workflow_execution_retention_ttl.ToTimedelta()
    return ok(check, f"'{namespace}', keeps finished runs for {kept.days} days")


async def _search_attributes(client: Client, namespace: str) -> Finding:
    check = "temporal.search_attributes"
    try:
        registered = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=namespace), timeout=_RPC_TIMEOUT
        )
    except RPCError as error:
        return failed(check, _words(error), "Ask whoever runs Temporal to list them for you.")
    missing = [
        key.name
        for key in temporal.SEARCH_ATTRIBUTES
        if registered.custom_attributes.get(key.name) != IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    ]
    if missing:
        # The CLI pairs each name with a type of its own.
        names = " ".join(f"--name {name} --type Keyword" for name in missing)
        create = f"temporal operator search-attribute create --namespace {namespace} {names}"
        return failed(check, f"not registered as Keyword: {', '.join(missing)}", create)
    return ok(check, f"{len(temporal.SEARCH_ATTRIBUTES)} registered")


async def _pollers(
    client: Client, namespace: str, queue: str, kind: TaskQueueType.ValueType
) -> Finding:
    check = f"temporal.queue.{queue}"
    try:
        description = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
            ),
            timeout=_RPC_TIMEOUT,
        )
    except RPCError as error:
        return failed(check, _words(error), "Look at the Temporal server's log.")
    since = datetime.now(UTC) - _RECENT
    workers = {
        poller.identity
        for poller in description.pollers
        if poller.last_access_time.ToDatetime(UTC) >= since
    }
    if not workers:
        return failed(check, "nobody polls it, so nothing there is done", "Run `fixlify worker`.")
    return ok(check, f"polled by {', '.join(sorted(workers))}")


def _words(error: Exception) -> str:
    """Return what the SDK said, without the layers it was wrapped in on the way."""
    said = str(error).partition("\n")[0].strip()
    innermost = _INNERMOST.search(said)
    return innermost[1] if innermost else said
