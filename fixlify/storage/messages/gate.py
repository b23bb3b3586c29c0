"""Whether a message may go now, must wait, or is not to go at all; and why, for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.endings import automation_ending
from fixlify.domain.errors import RulesUnreadableError
from fixlify.domain.rules import (
    Cap,
    Hold,
    MessageClass,
    RuleOverrides,
    caps_that_bind,
    effective_rules,
    hold_for_cap,
    hold_for_hours,
)
from fixlify.domain.runs import MessageStatus
from fixlify.domain.timetable.zones import first_zone
from fixlify.storage.decisions import DecisionKind
from fixlify.storage.rules import load_rules
from fixlify.storage.taken import TAKEN
from fixlify.storage.truth import closed, find_exit, hold_of

TOO_LATE: Final = "too late: "


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a message may not go now, and what becomes of it.

    ``kind`` is how the run's journal has it; None where the message alone tells it.
    """

    status: MessageStatus
    reason: str
    kind: DecisionKind | None = None
    until: datetime | None = None


# Whoever counts a client's messages waits here for whoever is about to add one, in whichever
# channel, until that transaction ends.
_COUNT_ALONE: Final = text("""
    SELECT pg_advisory_xact_lock(
        hashtextextended(concat_ws('/', CAST(:organization_id AS uuid), CAST(:client AS uuid)), 11)
    )
""")

# One that nobody knows the fate of may have arrived. The message itself waits, and is not counted.
_SENT: Final = text(f"""
    SELECT sending_at, channel, message_class FROM messages
    WHERE organization_id = :organization_id AND recipient_id = :client
      AND recipient_kind = 'client' AND sending_at > :since
      AND status IN ('sending', 'unknown', {TAKEN})
""")  # noqa: S608 - a constant


async def weigh(
    connection: AsyncConnection, told: Mapping[Any, Any], now: datetime
) -> Verdict | None:
    """Return why a message may not go, or None where nothing forbids it.

    What ends it for good comes before what holds it: nobody waits for what never goes.

    Args:
        connection: In the transaction that will take the message. What was counted for a cap
            is true only until its end.
        told: What ``LOOK`` returned.
        now: By which it is decided.
    """
    if (reason := closed(told)) is not None:
        return Verdict(MessageStatus.CANCELLED, reason)
    if (
        over := automation_ending(
            told["automation_status"], told["paused_runs"], superseded=told["superseded"] is True
        )
    ) is not None:
        return Verdict(MessageStatus.CANCELLED, over.reason, DecisionKind.CANCELLED)
    if (reason := _nobody_to_write_to(told)) is not None:
        return Verdict(MessageStatus.CANCELLED, reason)
    if (over := await find_exit(connection, told, now)) is not None:
        return Verdict(MessageStatus.CANCELLED, over.reason, DecisionKind.EXITED)
    if told["refusal"] is not None:
        return Verdict(MessageStatus.SUPPRESSED, told["refusal"])
    if told["worth_until"] is not None and told["worth_until"] < now:
        return _too_late(told, "")
    if (reason := hold_of(told)) is not None:
        return Verdict(MessageStatus.HELD, reason, DecisionKind.HELD)
    return await _bound(connection, told, now)


def _nobody_to_write_to(told: Mapping[Any, Any]) -> str | None:
    kind = told["recipient_kind"]
    if not told["same_person"]:
        whose = "company" if kind == "owner" else told["subject_type"]
        return f"the {whose} has another {kind} now, or none"
    if told["address_removed"]:
        return f"the {kind} has no address for {told['channel']} any more"
    return None


async def _bound(
    connection: AsyncConnection, told: Mapping[Any, Any], now: datetime
) -> Verdict | None:
    """Return what the rules that protect clients say; they bind what goes to one, not urgent."""
    message_class = MessageClass(told["message_class"])
    if told["recipient_kind"] != "client" or message_class is MessageClass.URGENT:
        return None
    try:
        rules = await load_rules(connection, told["organization_id"])
    except RulesUnreadableError as error:
        return Verdict(MessageStatus.HELD, str(error), DecisionKind.HELD)
    overrides = told["overrides"] and RuleOverrides.model_validate(told["overrides"])
    rules = effective_rules(rules, overrides)
    zone = _zone(told)
    if (hold := hold_for_hours(rules, message_class, now, zone)) is not None:
        return _held(told, hold)
    if caps := caps_that_bind(rules, told["channel"], message_class):
        holds = await _count(connection, told, caps, now)
        if holds:
            return _held(told, max(holds, key=lambda each: each.until))
    return None


async def _count(
    connection: AsyncConnection, told: Mapping[Any, Any], caps: tuple[Cap, ...], now: datetime
) -> list[Hold]:
    client = {"organization_id": told["organization_id"], "client": told["recipient_id"]}
    await connection.execute(_COUNT_ALONE, client)
    since = now - max(cap.per for cap in caps)
    rows = await connection.execute(_SENT, {**client, "since": since})
    sent = [(row.sending_at, row.channel, MessageClass(row.message_class)) for row in rows]
    holds = (
        hold_for_cap(cap, [at for at, *kind in sent if cap.counts(*kind)], now) for cap in caps
    )
    return [hold for hold in holds if hold is not None]


def _held(told: Mapping[Any, Any], hold: Hold) -> Verdict:
    until = _at(hold.until, _zone(told))
    if told["worth_until"] is not None and hold.until > told["worth_until"]:
        return _too_late(told, f"held by {hold.reason} until {until}, ")
    reason = f"held until {until}: {hold.reason}"
    return Verdict(MessageStatus.HELD, reason, DecisionKind.HELD, until=hold.until)


def _too_late(told: Mapping[Any, Any], held: str) -> Verdict:
    worth_until = _at(told["worth_until"], _zone(told))
    return Verdict(
        MessageStatus.CANCELLED,
        f"{TOO_LATE}{held}worth nothing after {worth_until}",
        DecisionKind.LATE,
    )


def _zone(told: Mapping[Any, Any]) -> ZoneInfo:
    return first_zone(told["client_zone"], told["organization_zone"])


def _at(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M} {zone.key}"
