"""Which failures are worth another attempt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from temporalio.exceptions import ApplicationError

from fixlify.storage.failures import blames_the_data, cause_of

UNUSABLE_DATA: Final = "UnusableData"
"""The type of the error that ends a run, because trying again would fail the same way."""

EXECUTION_ENDED: Final = "ExecutionEnded"
"""The type of the error that tells a run that its execution ended before it could begin."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def usable_data() -> AsyncIterator[None]:
    """Turn what a healthy database would refuse again into an error that is not retried.

    A database that is away raises as it did, and is asked again. The error names its type
    only: its text may quote a person, and travels into Temporal's history.
    """
    try:
        yield
    except ApplicationError:
        raise
    except Exception as error:
        if not blames_the_data(error):
            raise
        cause = cause_of(error)
        _log.error("Stored data cannot be used; its run fails.", cause=cause)
        raise ApplicationError(
            f"stored data cannot be used ({cause})", type=UNUSABLE_DATA, non_retryable=True
        ) from None
