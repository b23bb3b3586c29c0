"""The delivery ledger: one row per execution and step, and only legal transitions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.durations import format_duration
from fixlify.domain.runs import MessageStatus, SendReceipt


class Channel(StrEnum):
    """How a message travels."""

    EMAIL = "email"
    SMS = "sms"


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to enter: queued to be sent, or refused with its reason."""

    id: UUID
    organization_id: UUID
    execution_id: UUID
    step_id: str
    channel: Channel
    recipient_kind: str
    status: MessageStatus
    recipient_id: UUID | None = None
    reason: str | None = None
    recipient: str | None = None
    sender_name: str | None = None
    reply_to: str | None = None
    subject: str | None = None
    body_text: str | None = None
    body_html: str | None = None


@dataclass(frozen=True, slots=True)
class EnteredMessage:
    """A message as the ledger has it."""

    id: UUID
    step_id: str
    status: MessageStatus
    reason: str | None


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """A message that this attempt, and no other, may hand to a provider."""

    id: UUID
    recipient: str
    sender_name: str | None
    reply_to: str | None
    subject: str | None
    body_text: str
    body_html: str | None


# The first row of an execution's step stands; a repeated render reads it back.
# A run that was waiting is running again from here on.
_ENTER = text("""
    WITH resumed AS (
        UPDATE automation_execution_logs SET status = 'running', waiting_for = NULL
        WHERE id = :execution_id AND status = 'waiting'
    ),
    entered AS (
        INSERT INTO messages (
            id, organization_id, execution_id, step_id, channel, recipient_kind, recipient_id,
            status, reason, recipient, sender_name, reply_to, subject, body_text, body_html
        )
        SELECT
            id, organization_id, execution_id, step_id, channel, recipient_kind, recipient_id,
            status, reason, recipient, sender_name, reply_to, subject, body_text, body_html
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new (
            id uuid, organization_id uuid, execution_id uuid, step_id text, channel text,
            recipient_kind text, recipient_id uuid, status text, reason text, recipient text,
            sender_name text, reply_to text, subject text, body_text text, body_html text
        )
        ON CONFLICT (execution_id, step_id) DO NOTHING
        RETURNING id, step_id, status, reason
    )
    SELECT id, step_id, status, reason FROM entered
    UNION ALL
    SELECT id, step_id, status, reason FROM messages
    WHERE execution_id = :execution_id AND step_id = ANY(:step_ids)
""")

_FIND_ENTERED = text("""
    SELECT id, step_id, status, reason FROM messages
    WHERE execution_id = :execution_id AND step_id = ANY(:step_ids)
""")

# One look at the truth, for the claim and for the reason it failed: whom the subject concerns
# now, whatever it is (no row: it is gone), what that client consented to, and whether a stop of
# this organization or of all stands. LIMIT tells the planner that a function returns one row.
_THE_TRUTH = """
    automation_execution_logs e
    JOIN automation_workflows a ON a.id = e.automation_id
    LEFT JOIN LATERAL (
        SELECT true AS known, client_id, technician_id
        FROM fixlify_people_of(e.organization_id, e.subject_type, e.subject_id) LIMIT 1
    ) AS people ON true
    LEFT JOIN clients c ON c.organization_id = e.organization_id AND c.id = people.client_id
    LEFT JOIN LATERAL (
        SELECT true AS stands, s.reason FROM automation_stops s
        WHERE s.organization_id IS NULL OR s.organization_id = e.organization_id
        ORDER BY s.organization_id NULLS FIRST LIMIT 1
    ) AS stop ON true
"""
_SAME_PERSON = """
    m.recipient_id = CASE m.recipient_kind WHEN 'client' THEN people.client_id
                                           ELSE people.technician_id END
"""
_OPTED_OUT = """
    (m.recipient_kind = 'client' AND
     CASE m.channel WHEN 'email' THEN coalesce(c.email_opted_out, true)
                    ELSE coalesce(c.sms_opted_out, true) END)
"""
# Taken out of the books while the message waited. An address that was changed is not looked at:
# it was put into one form when the message was written.
_ADDRESS_REMOVED = """
    (m.recipient_kind = 'client' AND
     coalesce(btrim(CASE m.channel WHEN 'email' THEN c.email ELSE c.phone END), '') = '')
"""

# What a sweep found grows stale: its message may wait as long as its run could wait to begin. What
# somebody did has that limit for its beginning alone.
_TOO_LATE = """
    (clock_timestamp() > m.created_at + (e.good_until - e.occurred_at)
     AND NOT starts_with(e.occurrence_key, 'event/'))
"""

# The last look, in the same statement that takes the message. Of two attempts, one finds it
# waiting; the other finds nothing and must read what became of it.
_CLAIM = text(f"""
    UPDATE messages m
    SET status = 'sending', attempts = m.attempts + 1, sending_at = clock_timestamp(),
        reason = NULL
    FROM {_THE_TRUTH}
    WHERE m.id = :id AND m.organization_id = :organization_id AND m.status IN ('queued', 'held')
      AND e.id = m.execution_id AND e.status IN ('running', 'waiting')
      AND a.status = 'active'
      AND {_SAME_PERSON} AND NOT {_ADDRESS_REMOVED} AND NOT {_OPTED_OUT}
      AND ({_TOO_LATE}) IS NOT TRUE
      AND stop.stands IS NULL
    RETURNING m.id, m.recipient, m.sender_name, m.reply_to, m.subject, m.body_text, m.body_html
""")  # noqa: S608 - constants of this module

_STANDING = text(f"""
    SELECT m.status, m.reason, m.channel, m.recipient_kind, e.subject_type,
           e.status AS execution_status, a.status AS automation_status,
           people.known AS is_there, {_SAME_PERSON} AS same_person, {_OPTED_OUT} AS opted_out,
           {_ADDRESS_REMOVED} AS address_removed, {_TOO_LATE} AS too_late,
           e.good_until - e.occurred_at AS good_for,
           stop.stands AS stopped, stop.reason AS stop_reason
    FROM messages m, {_THE_TRUTH}
    WHERE m.id = :id AND m.organization_id = :organization_id AND e.id = m.execution_id
""")  # noqa: S608 - constants of this module

_SETTLE = text("""
    UPDATE messages
    SET status = :status, reason = :reason, error_code = :error_code, provider = :provider,
        provider_id = :provider_id, segments = :segments,
        sent_at = CASE :status WHEN 'sent' THEN clock_timestamp() END
    WHERE id = :id AND organization_id = :organization_id AND status = ANY(:from_statuses)
    RETURNING id
""")

# A run that was cancelled during the call left its message unknown; a certain answer ends that.
_UNTIL_KNOWN = (MessageStatus.SENDING, MessageStatus.UNKNOWN)
_WAITING = (MessageStatus.QUEUED, MessageStatus.HELD)


async def enter_messages(
    connection: AsyncConnection, execution_id: UUID, messages: Sequence[NewMessage]
) -> Mapping[str, EnteredMessage]:
    """Enter *messages* of one execution, and return what the ledger has, by step id.

    A step that is in the ledger already keeps its first row.
    """
    rows = [{name: getattr(each, name) for name in NewMessage.__slots__} for each in messages]
    result = await connection.execute(
        _ENTER,
        {
            "rows": json.dumps(rows, default=str),
            "execution_id": execution_id,
            "step_ids": [message.step_id for message in messages],
        },
    )
    return {row["step_id"]: _entered(row) for row in result.mappings()}


async def find_entered(
    connection: AsyncConnection, execution_id: UUID, step_ids: Sequence[str]
) -> Mapping[str, EnteredMessage]:
    """Return the messages these steps have in the ledger, by step id."""
    result = await connection.execute(
        _FIND_ENTERED, {"execution_id": execution_id, "step_ids": list(step_ids)}
    )
    return {row["step_id"]: _entered(row) for row in result.mappings()}


class Ledger:
    """The transitions of one message around a provider call.

    Holds a connection, and lives as long as the statement or transaction it was opened for.
    """

    def __init__(
        self, connection: AsyncConnection, message_id: UUID, organization_id: UUID
    ) -> None:
        self._connection = connection
        self._key = {"id": message_id, "organization_id": organization_id}

    async def claim(self) -> ClaimedMessage | SendReceipt:
        """Take the message for one provider call, or return what became of it instead.

        A message found in ``sending`` was left there by an attempt that died in the call:
        it becomes ``unknown``, because nobody can say whether it went out. While automations
        are stopped it becomes ``held``, and a later claim may have it.
        """
        while True:
            row = (await self._connection.execute(_CLAIM, self._key)).mappings().one_or_none()
            if row is not None:
                return ClaimedMessage(**row)
            # What forbade it may be over by the time it is asked for: then it is tried again.
            if (declined := await self._decline()) is not None:
                return declined

    async def accepted(
        self, provider: str, provider_id: str | None, segments: int | None
    ) -> SendReceipt:
        """Record that the provider took the message."""
        return await self._settle(
            MessageStatus.SENT,
            from_statuses=_UNTIL_KNOWN,
            provider=provider,
            provider_id=provider_id,
            segments=segments,
        )

    async def released(self, reason: str, error_code: str | None) -> SendReceipt:
        """Record that the provider did not take it, and that another attempt may."""
        return await self._settle(MessageStatus.QUEUED, reason, error_code=error_code)

    async def refused(self, reason: str, error_code: str | None) -> SendReceipt:
        """Record that the provider will never take it."""
        return await self._settle(
            MessageStatus.FAILED, reason, from_statuses=_UNTIL_KNOWN, error_code=error_code
        )

    async def lost(self, reason: str) -> SendReceipt:
        """Record that nobody knows whether the provider took it."""
        return await self._settle(MessageStatus.UNKNOWN, reason)

    async def _decline(self) -> SendReceipt | None:
        """Say why the message may not go, or return None where nothing forbids it any more."""
        standing = (await self._connection.execute(_STANDING, self._key)).mappings().one_or_none()
        if standing is None:
            return SendReceipt(status=MessageStatus.CANCELLED, reason="there is no such message")
        status = MessageStatus(standing["status"])
        if status is MessageStatus.SENDING:
            return await self.lost("an earlier attempt ended during the provider call")
        if status not in _WAITING:
            return SendReceipt(status=status, reason=standing["reason"])
        if (over := _over(standing)) is not None:
            return await self._withdraw(MessageStatus.CANCELLED, over)
        if standing["opted_out"]:
            opted_out = f"the client opted out of {standing['channel']}"
            return await self._withdraw(MessageStatus.SUPPRESSED, opted_out)
        if standing["stopped"]:
            why = f": {standing['stop_reason']}" if standing["stop_reason"] else ""
            held = await self._withdraw(MessageStatus.HELD, f"automations are stopped{why}")
            # A resume that looked for held messages just before has not seen this one, and
            # nobody would wake its run.
            return held if await self._is_stopped() else None
        return None

    async def _is_stopped(self) -> bool:
        standing = (await self._connection.execute(_STANDING, self._key)).mappings().one()
        return standing["stopped"] is not None

    async def _withdraw(self, status: MessageStatus, reason: str) -> SendReceipt:
        return await self._settle(status, reason, from_statuses=_WAITING)

    async def _settle(
        self,
        status: MessageStatus,
        reason: str | None = None,
        *,
        from_statuses: Sequence[MessageStatus] = (MessageStatus.SENDING,),
        error_code: str | None = None,
        provider: str | None = None,
        provider_id: str | None = None,
        segments: int | None = None,
    ) -> SendReceipt:
        row = await self._connection.execute(
            _SETTLE,
            {
                **self._key,
                "status": status.value,
                "reason": reason,
                "error_code": error_code,
                "provider": provider,
                "provider_id": provider_id,
                "segments": segments,
                "from_statuses": [each.value for each in from_statuses],
            },
        )
        if row.one_or_none() is not None:
            return SendReceipt(status=status, reason=reason)
        # Someone else settled it first (the run was cancelled, say): theirs stands.
        return await self._read()

    async def _read(self) -> SendReceipt:
        standing = (await self._connection.execute(_STANDING, self._key)).mappings().one()
        return SendReceipt(status=MessageStatus(standing["status"]), reason=standing["reason"])


def _over(standing: Mapping[Any, Any]) -> str | None:
    """Return what ended the message for good, but for the client's own word; or None."""
    subject = standing["subject_type"]
    if not standing["is_there"]:
        return f"the {subject} no longer exists"
    if standing["automation_status"] != "active":
        return f"the automation is {standing['automation_status']}"
    if standing["execution_status"] not in ("running", "waiting"):
        return f"the execution is {standing['execution_status']}"
    if not standing["same_person"]:
        return f"the {subject} has another {standing['recipient_kind']} now, or none"
    if standing["address_removed"]:
        return f"the {standing['recipient_kind']} has no address for {standing['channel']} any more"
    if standing["too_late"]:
        return f"too late: it may wait {format_duration(standing['good_for'])} at most"
    return None


def _entered(row: Mapping[Any, Any]) -> EnteredMessage:
    return EnteredMessage(
        id=row["id"],
        step_id=row["step_id"],
        status=MessageStatus(row["status"]),
        reason=row["reason"],
    )
