"""The limits and the switch of each channel: set them, pause it, let go on what that held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.endings import CHANNEL_PAUSED
from fixlify.domain.errors import StaleWorkError
from fixlify.domain.ids import workflow_id
from fixlify.domain.limits import LimitedChannel
from fixlify.storage.stops import HELD_SINCE, STALE_AFTER


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """What an operator said of a channel.

    ``per_second`` is None where nobody set a rate, ``UNLIMITED`` where somebody said that there
    is none; ``organization_per_second`` is what one organization may have of it, or None. The
    channel is paused since ``paused_at``, or not at all.
    """

    channel: LimitedChannel
    per_second: float | None = None
    organization_per_second: float | None = None
    paused_at: datetime | None = None
    paused_reason: str | None = None


@dataclass(frozen=True, slots=True)
class ChannelTraffic:
    """What waits for a channel, is on its way, and left in the last hour, counted.

    For webhooks: the steps that hold and the calls under way. ``queued`` is None there, because
    a call is entered when it is made.
    """

    queued: int | None
    held: int
    sending: int
    unknown: int
    sent_last_hour: int


@dataclass(frozen=True, slots=True)
class ChannelResumption:
    """What the resume of a channel did.

    ``paused_at`` and ``paused_reason`` are of the pause that stood; None where there was none.
    ``messages`` go on, ``cancelled`` ones do not; ``runs`` are the ids of the workflows that hold
    something of the channel and are to be woken.
    """

    paused_at: datetime | None
    paused_reason: str | None
    messages: int
    cancelled: int
    runs: tuple[str, ...]


_SETTINGS: Final = text("""
    SELECT channel, per_second, organization_per_second, paused_at, paused_reason
    FROM channel_settings
""")

_PAUSE: Final = text("""
    INSERT INTO channel_settings (channel, paused_at, paused_reason)
    VALUES (:channel, clock_timestamp(), :reason)
    ON CONFLICT (channel) DO UPDATE
    SET paused_at = excluded.paused_at, paused_reason = excluded.paused_reason,
        updated_at = clock_timestamp()
    WHERE channel_settings.paused_at IS NULL
    RETURNING channel
""")

_LIFT: Final = text("""
    WITH standing AS (
        SELECT channel, paused_at, paused_reason FROM channel_settings
        WHERE channel = :channel AND paused_at IS NOT NULL
        FOR UPDATE
    )
    UPDATE channel_settings c
    SET paused_at = NULL, paused_reason = NULL, updated_at = clock_timestamp()
    FROM standing
    WHERE c.channel = standing.channel
    RETURNING standing.paused_at, standing.paused_reason
""")

_SET_RATE: Final = text("""
    INSERT INTO channel_settings (channel, per_second) VALUES (:channel, :per_second)
    ON CONFLICT (channel) DO UPDATE
    SET per_second = excluded.per_second, updated_at = clock_timestamp()
""")

_SET_ORGANIZATION_RATE: Final = text("""
    INSERT INTO channel_settings (channel, organization_per_second)
    VALUES (:channel, :per_second)
    ON CONFLICT (channel) DO UPDATE
    SET organization_per_second = excluded.organization_per_second,
        updated_at = clock_timestamp()
""")

# What a stop holds as well waits for that to be lifted, and is asked about then. Another pause
# may have come since.
_FREE: Final = """
    NOT EXISTS (
        SELECT FROM automation_stops s
        WHERE s.organization_id IS NULL OR s.organization_id = x.organization_id
    )
    AND NOT EXISTS (
        SELECT FROM channel_settings c WHERE c.channel = :channel AND c.paused_at IS NOT NULL
    )
"""

# A queued one was kept from its turn by those before it, which only came to be held.
_ITS_OWN: Final = f"""
    x.channel = :channel AND x.status IN ('queued', 'held')
    AND (x.status = 'queued' OR starts_with(x.reason, :paused))
    AND {_FREE}
"""

_WAKE: Final = text(f"""
    WITH held AS (
        SELECT x.execution_id FROM messages x
        WHERE x.status = 'held' AND x.channel = :channel AND starts_with(x.reason, :paused)
          AND {_FREE}
        UNION
        SELECT x.id FROM automation_execution_logs x
        WHERE x.status = 'waiting' AND position(:paused IN x.waiting_for) > 0 AND {_FREE}
    )
    UPDATE automation_execution_logs e SET status = 'running', waiting_for = NULL
    FROM held
    WHERE e.id = held.execution_id AND e.status IN ('running', 'waiting')
    RETURNING e.id, e.redrives
""")  # noqa: S608 - a constant of this module

_FREED: Final = text(f"""
    SELECT count(*) AS messages,
           count(*) FILTER (
               WHERE x.created_at < clock_timestamp() - CAST(:older_than AS interval)
           ) AS stale
    FROM messages x
    WHERE {_ITS_OWN}
""")  # noqa: S608 - a constant of this module

_CANCEL: Final = text(f"""
    UPDATE messages x
    SET status = 'cancelled', reason = {HELD_SINCE}, held_until = NULL
    WHERE {_ITS_OWN}
      AND x.created_at < clock_timestamp() - CAST(:older_than AS interval)
""")  # noqa: S608 - a constant of this module

_WAITING: Final = text("""
    SELECT channel,
           count(*) FILTER (WHERE status = 'queued') AS queued,
           count(*) FILTER (WHERE status = 'held') AS held,
           count(*) FILTER (WHERE status = 'sending') AS sending,
           count(*) FILTER (WHERE status = 'unknown') AS unknown
    FROM messages
    WHERE status IN ('queued', 'held', 'sending', 'unknown')
    GROUP BY channel
""")

_SENT: Final = text("""
    SELECT channel, count(*) AS sent FROM messages
    WHERE sent_at > now() - interval '1 hour'
    GROUP BY channel
""")

# A call is made by a run under way, or by one that ended after it. Each run's are looked for by
# themselves: there are many of old.
_CALLS: Final = text("""
    SELECT (SELECT count(*) FROM automation_execution_logs e
            WHERE e.status = 'waiting' AND position(:paused IN e.waiting_for) > 0) AS held,
           count(*) FILTER (WHERE a.status = 'calling') AS calling,
           count(*) FILTER (WHERE a.status = 'completed'
                              AND a.finished_at > now() - interval '1 hour') AS sent
    FROM (
        SELECT id FROM automation_execution_logs WHERE status IN ('running', 'waiting')
        UNION ALL
        SELECT id FROM automation_execution_logs WHERE completed_at > now() - interval '1 hour'
    ) AS e
    CROSS JOIN LATERAL (
        SELECT status, finished_at FROM automation_actions
        WHERE execution_id = e.id AND kind = 'webhook' OFFSET 0
    ) AS a
""")


async def channel_settings(
    connection: AsyncConnection,
) -> Mapping[LimitedChannel, ChannelSettings]:
    """Return what was said of each channel, of all of them."""
    said = {row["channel"]: row for row in (await connection.execute(_SETTINGS)).mappings()}
    return {
        channel: ChannelSettings(**{**said.get(channel, {}), "channel": channel})
        for channel in LimitedChannel
    }


async def channel_traffic(
    connection: AsyncConnection,
) -> Mapping[LimitedChannel, ChannelTraffic]:
    """Return what waits for each channel and what it did, of all organizations."""
    waiting = {row["channel"]: row for row in (await connection.execute(_WAITING)).mappings()}
    sent = {row.channel: row.sent for row in await connection.execute(_SENT)}
    paused = {"paused": CHANNEL_PAUSED[LimitedChannel.WEBHOOK]}
    calls = (await connection.execute(_CALLS, paused)).one()
    traffic = {
        LimitedChannel.WEBHOOK: ChannelTraffic(None, calls.held, calls.calling, 0, calls.sent)
    }
    for channel in (LimitedChannel.EMAIL, LimitedChannel.SMS):
        now: Mapping[Any, Any] = waiting.get(channel, {})
        traffic[channel] = ChannelTraffic(
            queued=now.get("queued", 0),
            held=now.get("held", 0),
            sending=now.get("sending", 0),
            unknown=now.get("unknown", 0),
            sent_last_hour=sent.get(channel, 0),
        )
    return traffic


async def pause_channel(
    connection: AsyncConnection, channel: LimitedChannel, reason: str | None
) -> bool:
    """Pause a channel for every organization; False where it was paused already.

    From its commit on nothing of the channel is handed to a provider. Needs the engine's rights.
    A pause that stands keeps its time and reason.
    """
    paused = await connection.execute(_PAUSE, {"channel": channel, "reason": reason})
    return paused.one_or_none() is not None


async def resume_channel(
    connection: AsyncConnection,
    channel: LimitedChannel,
    *,
    cancel_older_than: timedelta | None = None,
    send_everything: bool = False,
) -> ChannelResumption:
    """Lift the pause of a channel and decide about what it held.

    In the transaction of *connection*, which acts as the engine: what is cancelled was never
    free. Without a pause it does the same to what an interrupted resume left behind.

    Args:
        connection: In a transaction; nothing happened if it is rolled back.
        channel: Which one.
        cancel_older_than: Cancel messages that were written longer ago than this.
        send_everything: Let messages older than ``STALE_AFTER`` go on too.

    Raises:
        StaleWorkError: Messages older than ``STALE_AFTER`` were held and nobody said what is to
            become of them.
    """
    key: dict[str, Any] = {"channel": channel, "paused": CHANNEL_PAUSED[channel]}
    lifted = (await connection.execute(_LIFT, {"channel": channel})).one_or_none()
    # Before anything is cancelled: a run whose message is cancelled is to hear of it, too.
    runs = await wake_channel(connection, channel)
    cancelled = 0
    if cancel_older_than is not None:
        limit = {"older_than": cancel_older_than, "stopped_at": lifted and lifted.paused_at}
        cancelled = (await connection.execute(_CANCEL, {**key, **limit})).rowcount
    freed = (await connection.execute(_FREED, {**key, "older_than": STALE_AFTER})).one()
    undecided = lifted is not None and cancel_older_than is None and not send_everything
    if undecided and freed.stale:
        raise StaleWorkError(0, freed.stale, STALE_AFTER)
    return ChannelResumption(
        paused_at=lifted.paused_at if lifted else None,
        paused_reason=lifted.paused_reason if lifted else None,
        messages=freed.messages,
        cancelled=cancelled,
        runs=runs,
    )


async def wake_channel(connection: AsyncConnection, channel: LimitedChannel) -> tuple[str, ...]:
    """Let the runs go on that a pause of the channel held, and that nothing holds any more.

    Returns:
        The ids of their workflows; each is to be told. A resume has done this. Done again after
        its commit, it finds what came to be held in between.
    """
    woken = await connection.execute(_WAKE, {"channel": channel, "paused": CHANNEL_PAUSED[channel]})
    return tuple(workflow_id(run.id, run.redrives) for run in woken)


async def set_channel_rate(
    connection: AsyncConnection, channel: LimitedChannel, per_second: float | None
) -> None:
    """Set how many a second all organizations together may send; None leaves it to settings."""
    await connection.execute(_SET_RATE, {"channel": channel, "per_second": per_second})


async def set_organization_rate(
    connection: AsyncConnection, channel: LimitedChannel, per_second: float | None
) -> None:
    """Set how many a second one organization may send, each of them; None for no such limit."""
    await connection.execute(_SET_ORGANIZATION_RATE, {"channel": channel, "per_second": per_second})
