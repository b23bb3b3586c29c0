"""The delivery ledger: one row per execution and step, and only legal transitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.endings import WAITS_FOR_A_WORD, ending_told
from fixlify.domain.rules import MessageClass
from fixlify.domain.runs import TAKEN, MessageStatus, SendReceipt
from fixlify.storage.database import Database
from fixlify.storage.decisions import record_decision
from fixlify.storage.messages.claims import CLAIM, LOOK
from fixlify.storage.messages.gate import TOO_LATE, Verdict, weigh
from fixlify.storage.messages.reports import Report
from fixlify.storage.truth import hold_of


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """A message that this attempt, and no other, may hand to a provider."""

    id: UUID
    message_class: MessageClass
    recipient: str
    sender_name: str | None
    reply_to: str | None
    subject: str | None
    body_text: str
    body_html: str | None


_SETTLE: Final = text("""
    UPDATE messages
    SET status = :status, reason = :reason, error_code = :error_code, held_until = :held_until
    WHERE id = :id AND organization_id = :organization_id AND status = ANY(:from_statuses)
    RETURNING id
""")

# The provider's report may have come before its answer; then the answer completes it.
_ACCEPT: Final = text("""
    UPDATE messages
    SET status = CASE WHEN status IN ('sending', 'unknown') THEN 'sent' ELSE status END,
        reason = CASE WHEN status IN ('sending', 'unknown') THEN :reason ELSE reason END,
        error_code = CASE WHEN status IN ('sending', 'unknown') THEN NULL ELSE error_code END,
        provider = :provider, provider_id = coalesce(provider_id, :provider_id),
        sender = coalesce(:sender, sender), segments = coalesce(:segments, segments),
        price = coalesce(:price, price),
        price_currency = coalesce(:price_currency, price_currency),
        held_until = NULL, sent_at = coalesce(sent_at, clock_timestamp())
    WHERE id = :id AND organization_id = :organization_id
      AND status IN ('sending', 'unknown', 'sent', 'delivered', 'undelivered', 'bounced')
    RETURNING status, reason, error_code
""")

_STANDING: Final = text("""
    SELECT status, reason, error_code FROM messages
    WHERE id = :id AND organization_id = :organization_id
""")

# A run that was cancelled during the call left its message unknown; a certain answer ends that.
_UNTIL_KNOWN = (MessageStatus.SENDING, MessageStatus.UNKNOWN)
_WAITING = (MessageStatus.QUEUED, MessageStatus.HELD)


async def claim_message(
    database: Database, message_id: UUID, organization_id: UUID, now: datetime
) -> ClaimedMessage | SendReceipt:
    """Claim a message as ``Ledger.claim`` does: in one statement, or in a transaction.

    What a stop or a pause holds is held only while that is still to be lifted: a resume that
    looked for held messages just before this commit has not seen this one, and nobody would
    wake its run.
    """
    # Most messages: nothing to weigh, so nothing that BEGIN and COMMIT would hold together.
    async with database.statement() as connection:
        taken = await Ledger(connection, message_id, organization_id).take(now)
    if taken is not None:
        return taken
    while True:
        async with database.transaction() as connection:
            claim = await Ledger(connection, message_id, organization_id).claim(now)
        if isinstance(claim, ClaimedMessage) or not _waits_for_a_word(claim):
            return claim
        async with database.statement() as connection:
            if await Ledger(connection, message_id, organization_id).is_stopped():
                return claim


def _waits_for_a_word(receipt: SendReceipt) -> bool:
    is_held = receipt.status is MessageStatus.HELD
    return is_held and (receipt.reason or "").startswith(WAITS_FOR_A_WORD)


class Ledger:
    """The transitions of one message around a provider call.

    Holds a connection, and lives as long as the statement or transaction it was opened for.
    """

    def __init__(
        self, connection: AsyncConnection, message_id: UUID, organization_id: UUID
    ) -> None:
        self._connection = connection
        self._key = {"id": message_id, "organization_id": organization_id}

    async def claim(self, now: datetime) -> ClaimedMessage | SendReceipt:
        """Take the message for one provider call, or return what became of it instead.

        This is the one gate every message passes: whether its run goes on, to whom, what that
        person wants, whether it is too late, whether a stop or a pause stands, and the rules.
        A message found in ``sending`` was left there by an attempt that died in the call: it
        becomes ``unknown``, because nobody can say whether it went out. What must wait becomes
        ``held``, and a later claim may have it.

        In one transaction, whose commit the provider call must follow: only then do two
        claims for one client count each other.

        Args:
            now: The run's own clock, by which everything is decided and counted.
        """
        weighed = False
        while True:
            if (taken := await self.take(now, weighed=weighed)) is not None:
                return taken
            # What forbade it may be over by the time it is asked for: then it is tried again.
            if (declined := await self._decline(now)) is not None:
                return declined
            weighed = True

    async def take(self, now: datetime, *, weighed: bool = False) -> ClaimedMessage | None:
        """Take the message in one statement if nothing forbids it; return None else.

        Args:
            now: As in ``claim``.
            weighed: Whether the exit condition and the rules allow it, in this transaction;
                unless they do, only a message that has neither is taken.
        """
        row = await self._connection.execute(CLAIM, {**self._key, "now": now, "weighed": weighed})
        taken = row.mappings().one_or_none()
        if taken is None:
            return None
        return ClaimedMessage(**{**taken, "message_class": MessageClass(taken["message_class"])})

    async def is_stopped(self) -> bool:
        """Whether a stop or a pause stands that holds the message."""
        told = (await self._connection.execute(LOOK, self._key)).mappings().one()
        return hold_of(told) is not None

    async def accepted(self, answer: Report, reason: str | None = None) -> SendReceipt:
        """Record that the provider took the message; *reason* says how that became known.

        Of the *answer*, its status is not looked at: a report may have said more already.
        """
        rows = await self._connection.execute(
            _ACCEPT,
            {
                **self._key,
                "reason": reason,
                "provider": answer.provider,
                "provider_id": answer.provider_id,
                "sender": answer.sender,
                "segments": answer.segments,
                "price": answer.price,
                "price_currency": answer.price_currency,
            },
        )
        standing = rows.mappings().one_or_none()
        return _receipt(standing) if standing is not None else await self._standing()

    async def released(self, reason: str, error_code: str | None) -> SendReceipt:
        """Record that the provider did not take it, and that another attempt may."""
        return await self._settle(MessageStatus.QUEUED, reason, error_code=error_code)

    async def refused(self, reason: str, error_code: str | None) -> SendReceipt:
        """Record that the provider will never take it."""
        return await self._settle(
            MessageStatus.FAILED, reason, from_statuses=_UNTIL_KNOWN, error_code=error_code
        )

    async def unwanted(self, reason: str, error_code: str | None) -> SendReceipt:
        """Record that the provider did not take it because the recipient does not want it."""
        return await self._settle(
            MessageStatus.SUPPRESSED, reason, from_statuses=_UNTIL_KNOWN, error_code=error_code
        )

    async def cleared(self, reason: str) -> SendReceipt:
        """Record that a message in doubt may be sent again, and why."""
        return await self._settle(
            MessageStatus.QUEUED, reason, from_statuses=(MessageStatus.UNKNOWN,)
        )

    async def told(self, status: MessageStatus, reason: str) -> SendReceipt:
        """Record what a person found out about a message in doubt: ``sent`` or ``failed``."""
        return await self._settle(status, reason, from_statuses=(MessageStatus.UNKNOWN,))

    async def lost(self, reason: str) -> SendReceipt:
        """Record that nobody knows whether the provider took it."""
        return await self._settle(MessageStatus.UNKNOWN, reason)

    async def _decline(self, now: datetime) -> SendReceipt | None:
        """Say why the message may not go, or return None where nothing forbids it any more."""
        told = (await self._connection.execute(LOOK, self._key)).mappings().one_or_none()
        if told is None:
            return SendReceipt(status=MessageStatus.CANCELLED, reason="there is no such message")
        status = MessageStatus(told["status"])
        if status is MessageStatus.SENDING:
            return await self.lost("an earlier attempt ended during the provider call")
        if status not in _WAITING:
            return _receipt(told)
        if (verdict := await weigh(self._connection, told, now)) is None:
            return None
        return await self._withdraw(verdict, told)

    async def _withdraw(self, verdict: Verdict, told: Mapping[Any, Any]) -> SendReceipt:
        receipt = await self._settle(
            verdict.status,
            verdict.reason,
            from_statuses=_WAITING,
            held_until=verdict.until,
        )
        if verdict.kind is not None and receipt.status is verdict.status:
            await record_decision(
                self._connection,
                told["organization_id"],
                told["execution_id"],
                told["step_id"],
                verdict.kind,
                verdict.reason,
            )
        return receipt

    async def _settle(
        self,
        status: MessageStatus,
        reason: str | None = None,
        *,
        from_statuses: Sequence[MessageStatus] = (MessageStatus.SENDING,),
        error_code: str | None = None,
        held_until: datetime | None = None,
    ) -> SendReceipt:
        row = await self._connection.execute(
            _SETTLE,
            {
                **self._key,
                "status": status.value,
                "reason": reason,
                "error_code": error_code,
                "held_until": held_until,
                "from_statuses": [each.value for each in from_statuses],
            },
        )
        if row.one_or_none() is not None:
            told = {"status": status, "reason": reason, "error_code": error_code}
            return _receipt(told, held_until)
        # Someone else settled it first (the run was cancelled, say): theirs stands.
        return await self._standing()

    async def _standing(self) -> SendReceipt:
        told = (await self._connection.execute(_STANDING, self._key)).mappings().one()
        return _receipt(told)


def _receipt(standing: Mapping[Any, Any], until: datetime | None = None) -> SendReceipt:
    """Return what became of a message. Whoever asks again, after a crash, learns the same."""
    status, reason = MessageStatus(standing["status"]), standing["reason"]
    if status is MessageStatus.FAILED:
        return SendReceipt(status=status, reason=reason, code=standing["error_code"])
    if status in TAKEN:
        # What became of it later is the ledger's to tell: the run did what it was to do.
        return SendReceipt(status=MessageStatus.SENT)
    if status is not MessageStatus.CANCELLED:
        return SendReceipt(status=status, reason=reason, until=until)
    return SendReceipt(
        status=status,
        reason=reason,
        late=reason is not None and reason.startswith(TOO_LATE),
        ending=ending_told(reason),
    )
