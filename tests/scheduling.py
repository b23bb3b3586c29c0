"""A Temporal namespace of a test's own: schedules are known to a whole namespace."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client

from fixlify import temporal

RETENTION = timedelta(days=1)


async def new_namespace(client: Client) -> str:
    """Make a namespace with our search attributes on the server of *client*; return its name."""
    name = f"test-{uuid4().hex[:12]}"
    retention = Duration()
    retention.FromTimedelta(RETENTION)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=retention)
    )
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=name,
            search_attributes={key.name: keyword for key in temporal.SEARCH_ATTRIBUTES},
        )
    )
    return name
