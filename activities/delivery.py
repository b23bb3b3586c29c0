"""The way every message goes out: claim it, hand it over once, record what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.failures import usable_data
from fixlify.channels import Accepted
from fixlify.domain.errors import (
    FixlifyError,
    OutcomeUnknownError,
    RecipientError,
    TransportError,
)
from fixlify.domain.runs import MessageStatus, SendReceipt, SendRequest
from fixlify.storage.database import Database
from fixlify.storage.messages import ClaimedMessage, Ledger, claim_message

# Together with the channels' own deadlines (50 s) these stay below the time-out of one attempt
# (90 s), so that no attempt outlives its successor's start.
CLAIMING_DEADLINE: Final = timedelta(seconds=15)
# After the provider's answer the record must follow, or the message ends as unknown; longer
# than a restart of Postgres.
RECORDING_DEADLINE: Final = timedelta(seconds=20)
# A third of the time after which the workflow takes a silent attempt for dead.
HEARTBEAT_INTERVAL: Final = timedelta(seconds=3)
_RECORDING_PAUSE: Final = timedelta(milliseconds=250)

_log = structlog.get_logger(__name__)


async def deliver(
    database: Database,
    request: SendRequest,
    hand_over: Callable[[ClaimedMessage], Awaitable[Accepted]],
) -> SendReceipt:
    """Send one message, unless an earlier attempt did or the truth has changed since.

    Returns:
        What became of the message; unless it was sent, with the reason. A ``held`` one may say
        when to try again, a ``cancelled`` one that the run is over.

    Raises:
        ApplicationError: Retryable when the provider may take it later; not retryable when it
            refused for good, or when nobody knows whether it took it.
    """
    async with _heartbeat():
        # Stamped by the Temporal server: one clock for all workers, and that of the run's timers.
        now = activity.info().started_time
        sending = asyncio.ensure_future(_deliver(database, request, hand_over, now))
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            # A run cancelled in the middle of a call cannot call the message back. The call has
            # deadlines of its own, and only its answer tells what became of the message.
            await asyncio.gather(sending, return_exceptions=True)
            raise


async def _deliver(
    database: Database,
    request: SendRequest,
    hand_over: Callable[[ClaimedMessage], Awaitable[Accepted]],
    now: datetime,
) -> SendReceipt:
    async with usable_data(), asyncio.timeout(CLAIMING_DEADLINE.total_seconds()):
        claim = await claim_message(database, request.message_id, request.organization_id, now)
    if isinstance(claim, SendReceipt):
        return _settled(claim)
    log = _log.bind(message_id=str(request.message_id))

    try:
        accepted = await hand_over(claim)
    except OutcomeUnknownError as error:
        reason = str(error)
        log.error("Nobody knows whether a message went out; it is not sent again.", reason=reason)
        return _settled(await _recorded(database, request, lambda ledger: ledger.lost(reason)))
    except RecipientError as error:
        reason = str(error)
        await _recorded(database, request, lambda ledger: ledger.refused(reason, None))
        raise _failure(reason, RecipientError, permanent=True) from error
    except TransportError as error:
        log.warning(
            "A provider did not take a message.",
            reason=str(error),
            code=error.code,
            permanent=error.permanent,
        )
        await _record_refusal(database, request, error)
        raise _failure(
            str(error), TransportError, permanent=error.permanent, retry_after=error.retry_after
        ) from error

    return await _recorded(
        database,
        request,
        lambda ledger: ledger.accepted(accepted.provider, accepted.provider_id, accepted.segments),
    )


@asynccontextmanager
async def _heartbeat() -> AsyncIterator[None]:
    """Tell Temporal during a slow attempt that this worker is alive.

    Without it a worker's death would be noticed only when the whole attempt times out.
    """

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())
            activity.heartbeat()

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()


async def _record_refusal(
    database: Database, request: SendRequest, error: TransportError
) -> SendReceipt:
    reason, code = str(error), error.code
    if error.permanent:
        return await _recorded(database, request, lambda ledger: ledger.refused(reason, code))
    return await _recorded(database, request, lambda ledger: ledger.released(reason, code))


async def _recorded(
    database: Database,
    request: SendRequest,
    record: Callable[[Ledger], Awaitable[SendReceipt]],
) -> SendReceipt:
    """Write what became of the message, through a database that may be restarting."""
    async with asyncio.timeout(RECORDING_DEADLINE.total_seconds()):
        while True:
            try:
                async with database.statement() as connection:
                    return await record(
                        Ledger(connection, request.message_id, request.organization_id)
                    )
            except DBAPIError:
                await asyncio.sleep(_RECORDING_PAUSE.total_seconds())


def _settled(receipt: SendReceipt) -> SendReceipt:
    """Return the receipt of a message that needs no call, or raise what its end means."""
    reason = receipt.reason or receipt.status.value
    if receipt.status is MessageStatus.UNKNOWN:
        raise _failure(reason, OutcomeUnknownError, permanent=True)
    if receipt.status is MessageStatus.FAILED:
        raise _failure(reason, TransportError, permanent=True)
    return receipt


def _failure(
    reason: str,
    kind: type[FixlifyError],
    *,
    permanent: bool,
    retry_after: timedelta | None = None,
) -> ApplicationError:
    # Benign: the world refusing a message is not a fault of this worker. The SDK would log a
    # stack trace and count it as one.
    return ApplicationError(
        reason,
        type=kind.__name__,
        non_retryable=permanent,
        next_retry_delay=retry_after,
        category=ApplicationErrorCategory.BENIGN,
    )
