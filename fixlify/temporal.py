"""Connecting to Temporal: address, data converter and the search attributes runs carry."""

from __future__ import annotations

from typing import Final

from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError

ORGANIZATION: Final = SearchAttributeKey.for_keyword("FixlifyOrganization")
AUTOMATION: Final = SearchAttributeKey.for_keyword("FixlifyAutomation")
SUBJECT: Final = SearchAttributeKey.for_keyword("FixlifySubject")
TRIGGER: Final = SearchAttributeKey.for_keyword("FixlifyTrigger")

SEARCH_ATTRIBUTES: Final = (ORGANIZATION, AUTOMATION, SUBJECT, TRIGGER)
"""What the namespace must know before the first start; all keywords, nothing personal."""

CONNECTION_ERRORS: Final = (RPCError, RuntimeError)
"""What ``connect`` raises: the SDK reports a refused connection as a RuntimeError."""


async def connect(
    address: str, namespace: str, *, identity: str | None = None, runtime: Runtime | None = None
) -> Client:
    """Connect to Temporal, or raise one of ``CONNECTION_ERRORS``.

    TLS, API key and further ``TEMPORAL_*`` settings are read by ``temporalio.envconfig``;
    *address* and *namespace* override what it finds.
    """
    options = ClientConfig.load_client_connect_config()
    options["target_host"] = address
    options["namespace"] = namespace
    return await Client.connect(
        **options, data_converter=pydantic_data_converter, identity=identity, runtime=runtime
    )
