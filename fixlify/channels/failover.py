"""Two senders as one: while the first is out, or asks for less, the second sends.

The second is tried only where the first surely does not have the message and another sender
may do better. Never in doubt, never after a person's no, never for what is wrong with the
message or with one mailbox.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar

import structlog

from fixlify.channels.email.codes import is_of_the_mailbox
from fixlify.channels.protocol import Accepted, OutgoingEmail, OutgoingSms, SmsChannel
from fixlify.domain.errors import RecipientError, TransportError
from fixlify.domain.failures import FAILS_OVER, FailureKind

PASSED_OVER_FOR: Final = timedelta(seconds=30)
PASSED_OVER_AT_MOST: Final = timedelta(hours=1)
# Later than this, what is left of the attempt's time is not enough for the second. The next
# attempt finds the first passed over, and goes to the second at once.
SECOND_TRIED_WITHIN: Final = timedelta(seconds=10)

# Of the person or the number, whoever sends; and in doubt nobody sends again.
_TRUE_OF_EVERY_SENDER: Final = frozenset(
    {FailureKind.OPTED_OUT, FailureKind.LANDLINE, FailureKind.UNKNOWN}
)

Outgoing = TypeVar("Outgoing", contravariant=True)
Clock = Callable[[], float]
"""Seconds that never go back."""

_log = structlog.get_logger(__name__)


class Sender(Protocol[Outgoing]):
    """What the channels for email and for text messages have in common."""

    async def send(self, message: Outgoing, /) -> Accepted:
        """Hand *message* over, once."""

    async def check(self) -> None:
        """Reach the provider and log in, sending nothing."""

    async def aclose(self) -> None:
        """Close every connection."""


class _Breaker:
    """Whether the first sender is passed over, why and until when; lives as long as its pair."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: float | None = None
        self._is_on_trial = False
        self.reason: TransportError | None = None

    @property
    def is_closed(self) -> bool:
        """Whether every message is the first's."""
        return self._until is None

    @property
    def time_left(self) -> timedelta:
        """How long until a message may try the first again."""
        return timedelta(seconds=max(0.0, (self._until or 0.0) - self._clock()))

    def begins_trial(self) -> bool:
        """Whether this message is the one that finds out if the first is back."""
        if self._is_on_trial or self.time_left:
            return False
        self._is_on_trial = True
        return True

    def end_trial(self) -> None:
        self._is_on_trial = False

    def open(self, error: TransportError) -> None:
        wait = min(max(PASSED_OVER_FOR, error.retry_after or PASSED_OVER_FOR), PASSED_OVER_AT_MOST)
        until = self._clock() + wait.total_seconds()
        if self.is_closed:
            _log.warning("The first sender is passed over; the second sends.", reason=str(error))
        # Several messages may fail together: the longest wait that was asked for counts.
        self._until = max(until, self._until or until)
        self.reason = error

    def close(self) -> None:
        if not self.is_closed:
            _log.info("The first sender answers again.")
        self._until, self.reason = None, None


class _Failover(Generic[Outgoing]):
    def __init__(
        self, first: Sender[Outgoing], second: Sender[Outgoing], *, clock: Clock = time.monotonic
    ) -> None:
        """Describe the pair; both are its own from now on."""
        self._first, self._second = first, second
        self._clock = clock
        self._breaker = _Breaker(clock)

    async def send(self, message: Outgoing, /) -> Accepted:
        """Hand *message* over once, by the first sender or by the second.

        ``Accepted.sender`` tells by which. After an outage of the first it is passed over for
        ``PASSED_OVER_FOR``, or for as long as it asked; then one message tries it again.

        When both fail, what the second says of the person or the number is true of every
        sender, and its doubt forbids another attempt. Any other refusal is the second's own:
        it may refuse for good what the first will take (a relay that does not know us, a
        number with no way to that country), so the first's word is waited for.

        Raises:
            TransportError: Nobody has it.
            OutcomeUnknownError: One of them may have it.
            RecipientError: No provider of this kind can take the address.
        """
        is_trial = False
        if not self._breaker.is_closed:
            is_trial = self._breaker.begins_trial()
            if not is_trial:
                return await self._send_second(message)
        began = self._clock()
        try:
            accepted = await self._first.send(message)
            if is_trial:
                self._breaker.close()
            return accepted
        except TransportError as error:
            if not self._is_outage(error):
                self._note(error, is_trial)
                raise
            self._breaker.open(error)
            if self._clock() - began > SECOND_TRIED_WITHIN.total_seconds():
                raise _again_soon(error) from error
        finally:
            if is_trial:
                self._breaker.end_trial()
        return await self._send_second(message)

    async def check(self) -> None:
        """Check both.

        Raises:
            TransportError: Saying what is wrong with the first, the second, or both.
        """
        failures = []
        for sender in (self._first, self._second):
            try:
                await sender.check()
            except TransportError as error:
                failures.append(str(error))
        if failures:
            raise TransportError("; ".join(failures), permanent=False)

    async def aclose(self) -> None:
        """Close both; the pair is not used again."""
        await asyncio.gather(self._first.aclose(), self._second.aclose())

    def _is_outage(self, error: TransportError) -> bool:
        """Whether the first has failed in a way in which another sender need not."""
        return error.kind in FAILS_OVER

    def _note(self, error: TransportError, is_trial: bool) -> None:
        """Draw what can be drawn from a failure that stays the message's own."""
        if error.kind is FailureKind.UNKNOWN:
            # This message is in doubt; the next ones need not be.
            self._breaker.open(error)
        elif is_trial:
            # It answers, whatever it thinks of this message.
            self._breaker.close()

    async def _send_second(self, message: Outgoing) -> Accepted:
        try:
            return await self._second.send(message)
        except TransportError as error:
            if error.kind in _TRUE_OF_EVERY_SENDER:
                raise
            raise self._both_failed(error) from error
        except RecipientError as error:
            raise self._both_failed(error) from error

    def _both_failed(self, second: TransportError | RecipientError) -> TransportError:
        """Return the first's failure, with when to try again."""
        first, first_is_back_in = self._breaker.reason, self._breaker.time_left
        if isinstance(second, TransportError) and second.kind in FAILS_OVER:
            asked = second.retry_after
            wait = None if asked is None else min(asked, first_is_back_in)
        else:
            # Only the first can still take it.
            wait = first_is_back_in
        if first is None or first.kind not in FAILS_OVER:
            # It left another message in doubt; of this one it has not heard.
            told = "the first sender is passed over for now"
            return TransportError(
                f"{told}; the second: {second}", permanent=False, retry_after=wait
            )
        return TransportError(
            f"{first}; the second sender: {second}",
            permanent=False,
            kind=first.kind,
            code=first.code,
            retry_after=wait,
        )


class FailoverEmail(_Failover[OutgoingEmail]):
    """An email channel over two mail servers; lives as long as the worker."""

    def _is_outage(self, error: TransportError) -> bool:
        return super()._is_outage(error) and not is_of_the_mailbox(error.code)


class FailoverSms(_Failover[OutgoingSms]):
    """A text-message channel over two numbers; lives as long as the worker."""

    def __init__(
        self, first: SmsChannel, second: SmsChannel, *, clock: Clock = time.monotonic
    ) -> None:
        """Describe the pair; both are its own from now on."""
        super().__init__(first, second, clock=clock)
        self._searched = first, second

    async def find_sent(
        self, message: OutgoingSms, /, *, since: datetime, known: frozenset[str]
    ) -> Accepted | None:
        """Look for *message* in the lists of both; either may have had it.

        Raises:
            TransportError: One list cannot be read now, and the other does not have it.
        """
        answers = await asyncio.gather(
            *(each.find_sent(message, since=since, known=known) for each in self._searched),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, Accepted):
                return answer
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return None


def _again_soon(error: TransportError) -> TransportError:
    """Return *error* without its wait, which is the first's: the next attempt is the second's."""
    return TransportError(str(error), permanent=False, kind=error.kind, code=error.code)
