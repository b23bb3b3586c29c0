"""Which failures are worth another attempt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from fixlify.domain.errors import FixlifyError
from fixlify.storage.failures import blames_the_data, cause_of

UNUSABLE_DATA: Final = "UnusableData"
"""The type of the error that ends a run, because trying again would fail the same way."""

EXECUTION_ENDED: Final = "ExecutionEnded"
"""The type of the error that tells a run that its execution ended before it could begin."""

LANDLINE: Final = "Landline"
"""The type of the error of a text message whose number takes none."""

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


def send_failure(
    reason: str,
    kind: type[FixlifyError],
    *,
    permanent: bool,
    pause: timedelta | None = None,
    is_landline: bool = False,
) -> ApplicationError:
    """Return the failure of one attempt to send.

    Args:
        reason: In words, without anything personal.
        kind: Names it in the history.
        permanent: Whether another attempt is in vain.
        pause: How long to wait before it; None leaves that to the retry policy.
        is_landline: Whether the number takes no text messages.
    """
    # Benign: the world refusing a message is not a fault of this worker. The SDK would log a
    # stack trace and count it as one.
    return ApplicationError(
        reason,
        type=LANDLINE if is_landline else kind.__name__,
        non_retryable=permanent,
        next_retry_delay=None if permanent else pause,
        category=ApplicationErrorCategory.BENIGN,
    )
