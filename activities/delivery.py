"""The way every message goes out: claim it, hand it over once, record what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.failures import send_failure, usable_data
from fixlify.channels import Accepted
from fixlify.domain.delivery import DELIVERY_DEADLINES, pause_before
from fixlify.domain.durations import format_duration
from fixlify.domain.errors import OutcomeUnknownError, RecipientError, TransportError
from fixlify.domain.failures import FailureKind
from fixlify.domain.runs import MessageStatus, SendReceipt, SendRequest
from fixlify.storage.consent import suppress_opted_out
from fixlify.storage.database import Database
from fixlify.storage.messages import ClaimedMessage, Ledger, Report, claim_message
from fixlify.storage.messages.doubts import DoubtfulMessage, find_doubtful

# Together with the channels' own deadlines (two senders of 45 s) these stay below the time-out of
# one attempt (150 s), so that no attempt outlives its successor's start.
CLAIMING_DEADLINE: Final = timedelta(seconds=15)
# After the provider's answer the record must follow, or the message ends as unknown; longer
# than a restart of Postgres.
RECORDING_DEADLINE: Final = timedelta(seconds=20)
# A third of the time after which the workflow takes a silent attempt for dead.
HEARTBEAT_INTERVAL: Final = timedelta(seconds=3)
_RECORDING_PAUSE: Final = timedelta(milliseconds=250)

Recorded = TypeVar("Recorded")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of a message in doubt.

    ``accepted``: the provider has it, and it is not sent again; with ``failure`` it had it and
    gave it up. ``cleared`` says why it may be sent again. With none of them it is looked for
    again after ``pause``; None where nothing more will be known.
    """

    accepted: Accepted | None = None
    failure: TransportError | None = None
    cleared: str | None = None
    pause: timedelta | None = None


class Sender(Protocol):
    """How one channel sends, and what it does in doubt."""

    async def hand_over(self, message: ClaimedMessage, /) -> Accepted:
        """Hand *message* to the provider, once; raises as its channel does."""

    async def find(self, message: DoubtfulMessage, now: datetime, /) -> Finding:
        """Find out what became of *message*; *now* is the run's own clock."""

    def pause_in_doubt(self) -> timedelta | None:
        """Return how long after an unknown outcome it is worth looking; None for never."""

    def is_landline(self, code: str | None, /) -> bool:
        """Whether the provider's *code* says that the number takes no text messages."""


async def deliver(database: Database, request: SendRequest, sender: Sender) -> SendReceipt:
    """Send one message, unless an earlier attempt did or the truth has changed since.

    Returns:
        What became of the message; unless it was sent, with the reason. A ``held`` one may say
        when to try again, a ``cancelled`` one that the run is over.

    Raises:
        ApplicationError: Retryable when the provider may take it later, or when its fate may be
            known later; not retryable when it refused for good, or when nobody will know.
    """
    async with _heartbeat():
        return await _uninterrupted(Delivery(database, request, sender))


async def deliver_at_once(
    database: Database, request: SendRequest, sender: Sender, tries: FirstTries
) -> SendReceipt:
    """Try once to send one message, inside the workflow task of its run.

    Returns:
        As ``deliver``; or ``queued`` where the message is to take its place in the channel's
        queue, because its provider may take it later, or its fate may be known later, or too
        many are being tried already.

    Raises:
        ApplicationError: Not retryable, as ``deliver`` has it.
    """
    if not tries.begin():
        return SendReceipt(status=MessageStatus.QUEUED, reason="others are being tried")
    try:
        return await _uninterrupted(Delivery(database, request, sender))
    except ApplicationError as error:
        if error.non_retryable:
            raise
        return SendReceipt(
            status=MessageStatus.QUEUED, reason=error.message, pause=error.next_retry_delay
        )
    finally:
        tries.end()


class FirstTries:
    """How many sends this process tries inside workflow tasks; one for all its channels.

    Each holds up a workflow task for as long as its provider takes. Where one is slow, what is
    beyond *most* waits in its queue, and the tasks of other runs go on.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way = 0

    def begin(self) -> bool:
        """Take a place, to be given back by ``end``; return False where there is none."""
        if self._under_way >= self._most:
            return False
        self._under_way += 1
        return True

    def end(self) -> None:
        """Give the place back."""
        self._under_way -= 1


async def _uninterrupted(delivery: Delivery) -> SendReceipt:
    """Make the attempt to its end, even where the run is cancelled meanwhile.

    It cannot call the message back. The call has deadlines of its own, and only its answer
    tells what became of the message.
    """
    sending = asyncio.ensure_future(delivery.attempt())
    try:
        return await asyncio.shield(sending)
    except asyncio.CancelledError:
        await asyncio.gather(sending, return_exceptions=True)
        raise


class Delivery:
    """One attempt to send one message; lives as long as it."""

    def __init__(self, database: Database, request: SendRequest, sender: Sender) -> None:
        self._database = database
        self._request = request
        self._sender = sender
        info = activity.info()
        # Stamped by the Temporal server: one clock for all workers, and that of the run's timers.
        self._now = request.now or info.started_time
        # The time that a provider asked for, between two tries, counts too.
        self._begun = request.begun or request.now or info.scheduled_time
        self._attempt = info.attempt
        self._log = _log.bind(message_id=str(request.message_id))

    async def attempt(self) -> SendReceipt:
        """Claim the message and hand it over, or say what became of it; see ``deliver``."""
        claim = await self._claim()
        if isinstance(claim, SendReceipt) and claim.status is MessageStatus.UNKNOWN:
            settled = await self._resolve(claim)
            claim = settled if settled is not None else await self._claim()
        if isinstance(claim, SendReceipt):
            return self._settled(claim)
        try:
            accepted = await self._sender.hand_over(claim)
        except OutcomeUnknownError as error:
            return await self._doubt(str(error))
        except RecipientError as error:
            reason = str(error)
            await self._recorded(lambda ledger: ledger.refused(reason, None))
            raise send_failure(reason, RecipientError, permanent=True) from error
        except TransportError as error:
            self._log.warning(
                "A provider did not take a message.",
                reason=str(error),
                code=error.code,
                kind=error.kind.value,
            )
            return await self._refused(error, claim)
        return await self._recorded(lambda ledger: ledger.accepted(_answer(accepted)))

    async def _claim(self) -> ClaimedMessage | SendReceipt:
        request = self._request
        async with usable_data(), asyncio.timeout(CLAIMING_DEADLINE.total_seconds()):
            return await claim_message(
                self._database, request.message_id, request.organization_id, self._now
            )

    async def _resolve(self, standing: SendReceipt) -> SendReceipt | None:
        """Find out what became of a message in doubt; None where it may be sent again."""
        async with usable_data(), self._database.statement() as connection:
            doubtful = await find_doubtful(
                connection, self._request.message_id, self._request.organization_id
            )
        if doubtful is None:
            # A report of the provider has told meanwhile.
            return None
        finding = await self._sender.find(doubtful, self._now)
        if (failure := finding.failure) is not None:
            reason, code = str(failure), failure.code
            return await self._recorded(lambda ledger: ledger.refused(reason, code))
        if (accepted := finding.accepted) is not None:
            self._log.info("A message in doubt was found at its provider.")
            found = f"found at {accepted.provider} after its answer was lost"
            try:
                return await self._recorded(
                    lambda ledger: ledger.accepted(_answer(accepted), reason=found)
                )
            except IntegrityError:
                # Another message in doubt, with the same words, was found first.
                raise self._unknown(found, self._sender.pause_in_doubt()) from None
        if (cleared := finding.cleared) is not None:
            self._log.warning("A message in doubt is sent again.", reason=cleared)
            await self._recorded(lambda ledger: ledger.cleared(cleared))
            return None
        reason = standing.reason or "nobody knows whether it went out"
        raise self._unknown(reason, finding.pause)

    async def _doubt(self, reason: str) -> SendReceipt:
        self._log.error("Nobody knows whether a message went out.", reason=reason)
        receipt = await self._recorded(lambda ledger: ledger.lost(reason))
        if receipt.status is MessageStatus.UNKNOWN:
            raise self._unknown(receipt.reason or reason, self._sender.pause_in_doubt())
        return self._settled(receipt)

    def _unknown(self, reason: str, pause: timedelta | None) -> Exception:
        return send_failure(reason, OutcomeUnknownError, permanent=pause is None, pause=pause)

    async def _refused(self, error: TransportError, claim: ClaimedMessage) -> SendReceipt:
        """Record that the provider does not have the message; raise unless that ends it well."""
        reason, code = str(error), error.code
        if error.kind is FailureKind.OPTED_OUT:
            return await self._unwanted(reason, code, claim.recipient)
        if error.permanent:
            receipt = await self._recorded(lambda ledger: ledger.refused(reason, code))
            return self._settled(receipt)
        pause = pause_before(self._attempt, error.kind, error.retry_after)
        deadline = DELIVERY_DEADLINES[claim.message_class]
        if self._now + pause > self._begun + deadline:
            gave_up = f"gave up after {format_duration(deadline)}: {reason}"
            receipt = await self._recorded(lambda ledger: ledger.refused(gave_up, code))
            return self._settled(receipt)
        receipt = await self._recorded(lambda ledger: ledger.released(reason, code))
        if receipt.status is MessageStatus.QUEUED:
            raise send_failure(reason, TransportError, permanent=False, pause=pause) from error
        return self._settled(receipt)

    async def _unwanted(self, reason: str, code: str | None, recipient: str) -> SendReceipt:
        """Record a person's no, of which the provider knew before we did."""

        async def record(connection: AsyncConnection) -> SendReceipt:
            request = self._request
            evidence = {"message_id": str(request.message_id), "code": code}
            await suppress_opted_out(
                connection, request.organization_id, recipient, evidence=evidence
            )
            return await self._ledger(connection).unwanted(reason, code)

        return self._settled(await self._patiently(record))

    def _settled(self, receipt: SendReceipt) -> SendReceipt:
        """Return the receipt of a message that needs no call, or raise what its end means."""
        reason = receipt.reason or receipt.status.value
        if receipt.status is MessageStatus.UNKNOWN:
            raise self._unknown(reason, self._sender.pause_in_doubt())
        if receipt.status is MessageStatus.FAILED:
            is_landline = self._sender.is_landline(receipt.code)
            raise send_failure(reason, TransportError, permanent=True, is_landline=is_landline)
        return receipt

    def _ledger(self, connection: AsyncConnection) -> Ledger:
        return Ledger(connection, self._request.message_id, self._request.organization_id)

    async def _recorded(self, record: Callable[[Ledger], Awaitable[SendReceipt]]) -> SendReceipt:
        return await self._patiently(lambda connection: record(self._ledger(connection)))

    async def _patiently(
        self, record: Callable[[AsyncConnection], Awaitable[Recorded]]
    ) -> Recorded:
        """Write what became of the message, through a database that may be restarting."""
        async with asyncio.timeout(RECORDING_DEADLINE.total_seconds()):
            while True:
                try:
                    async with self._database.statement() as connection:
                        return await record(connection)
                except IntegrityError:
                    raise
                except DBAPIError:
                    await asyncio.sleep(_RECORDING_PAUSE.total_seconds())


def _answer(accepted: Accepted) -> Report:
    return Report(
        provider=accepted.provider,
        status=MessageStatus.SENT,
        provider_id=accepted.provider_id,
        segments=accepted.segments,
        price=accepted.price,
        price_currency=accepted.price_currency,
        sender=accepted.sender,
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
