"""Which pending executions may have a workflow now: a bounded number, each company's in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.storage.executions import PendingExecution


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many executions may be on their way to a worker: have a workflow, and not begun.

    What is beyond stays pending without a workflow. The bounds are those of one relay's look;
    several that look at the same moment may go beyond them, each by a batch.
    """

    per_organization: int = 12
    overall: int = 1000


BOUNDS: Final = InFlight()
"""What keeps workers busy between two looks, and Temporal's queues short."""


@dataclass(frozen=True, slots=True)
class TakenExecutions:
    """What a relay is to launch now.

    ``in_flight`` others are on their way already; ``more`` wait for room, or for the next look.
    """

    executions: Sequence[PendingExecution]
    in_flight: int
    more: bool


# Of each organization the first few that are pending are looked at, by the beginning of its part
# of the index: these may be in flight, the others wait behind them. So nothing is counted, and
# ten thousand that wait cost no more than a dozen. What was taken or launched lately is on its way;
# a launched row that stays pending is launched again after a while, in case Temporal lost it.
# Launching twice starts one workflow.
#
# Whoever has the least on its way has the next turn. Among equals it is drawn by lot: by age, the
# oldest herds would have every turn until they are through.
#
# The losing relay of two skips what the other holds, or finds that it was taken.
_TAKE = text("""
    WITH RECURSIVE line AS (
        (SELECT organization_id FROM automation_execution_logs
         WHERE status = 'pending' ORDER BY organization_id LIMIT 1)
        UNION ALL
        SELECT next.organization_id
        FROM line CROSS JOIN LATERAL (
            SELECT organization_id FROM automation_execution_logs
            WHERE status = 'pending' AND organization_id > line.organization_id
            ORDER BY organization_id LIMIT 1
        ) AS next
    ), first_in_line AS (
        SELECT e.id, e.organization_id, e.taken_at, e.place,
               (e.launched_at IS NULL
                OR e.launched_at < clock_timestamp() - CAST(:relaunch_after AS interval))
               AND (e.taken_at IS NULL
                    OR e.taken_at < clock_timestamp() - CAST(:settled AS interval))
               AND (e.good_until IS NULL OR e.good_until > clock_timestamp()) AS is_free
        FROM line CROSS JOIN LATERAL (
            SELECT *, row_number() OVER (ORDER BY swept, created_at) AS place
            FROM automation_execution_logs
            WHERE status = 'pending' AND organization_id = line.organization_id
            ORDER BY swept, created_at
            LIMIT CAST(:per_organization AS integer) + 1
        ) AS e
        WHERE NOT EXISTS (SELECT FROM automation_stops s
                          WHERE s.organization_id IS NULL
                             OR s.organization_id = line.organization_id)
    ), flight AS (
        SELECT count(*) FILTER (WHERE NOT is_free AND place <= :per_organization) AS in_flight,
               count(*) FILTER (WHERE is_free OR place > :per_organization) AS waiting
        FROM first_in_line
    ), chosen AS (
        SELECT e.id
        FROM (
            SELECT id, taken_at
            FROM (
                SELECT id, taken_at, is_free, row_number() OVER (
                           PARTITION BY organization_id ORDER BY is_free, place
                       ) AS turn
                FROM first_in_line
                WHERE place <= :per_organization
            ) AS turns
            WHERE is_free
            ORDER BY turn, random()
            LIMIT (SELECT greatest(0, least(:batch, :overall - in_flight)) FROM flight)
        ) AS next
        JOIN automation_execution_logs e ON e.id = next.id
        WHERE e.status = 'pending' AND e.taken_at IS NOT DISTINCT FROM next.taken_at
        FOR UPDATE OF e SKIP LOCKED
    ), taken AS (
        UPDATE automation_execution_logs e
        SET taken_at = clock_timestamp()
        FROM chosen, automation_workflows a
        WHERE e.id = chosen.id AND a.id = e.automation_id
        RETURNING e.id, e.organization_id, e.automation_id, a.name AS automation,
                  e.automation_version AS version, e.trigger_type, e.subject_type, e.subject_id,
                  e.redrives, e.created_at
    )
    SELECT flight.in_flight, flight.waiting, taken.*
    FROM flight LEFT JOIN taken ON true
    ORDER BY taken.created_at
""")

# Held by a stop, or waiting for a worker that never came. A run that comes to it later finds it
# closed. What is under way is left to the claim of its messages.
_EXPIRE = text("""
    UPDATE automation_execution_logs
    SET status = 'skipped', completed_at = clock_timestamp(),
        reason = 'too late: it could not begin before '
                 || to_char(good_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
    WHERE status = 'pending' AND good_until < now()
    RETURNING id
""")

_MARK_LAUNCHED = text("""
    UPDATE automation_execution_logs SET launched_at = clock_timestamp() WHERE id = ANY(:ids)
""")


async def take_executions(
    connection: AsyncConnection,
    batch: int,
    bounds: InFlight = BOUNDS,
    *,
    settled: timedelta,
    relaunch_after: timedelta,
) -> TakenExecutions:
    """Take pending executions to launch them; of each organization its oldest, in turns.

    What happened comes before what a sweep found. A row taken is nobody else's for *settled*.

    Args:
        batch: How many at most.
        bounds: How many may be on their way.
        settled: After how long a taken row without a workflow was left behind by its relay.
        relaunch_after: How long a launched row may stay pending before it is launched again.
    """
    result = await connection.execute(
        _TAKE,
        {
            "batch": batch,
            "per_organization": bounds.per_organization,
            "overall": bounds.overall,
            "settled": settled,
            "relaunch_after": relaunch_after,
        },
    )
    rows = result.mappings().all()
    executions = [
        PendingExecution(**{name: row[name] for name in PendingExecution.__slots__})
        for row in rows
        if row["id"] is not None
    ]
    return TakenExecutions(executions, rows[0]["in_flight"], rows[0]["waiting"] > len(executions))


async def expire_executions(connection: AsyncConnection) -> list[UUID]:
    """Skip what is still pending and has become too late to begin; return their ids."""
    return list((await connection.execute(_EXPIRE)).scalars())


async def mark_launched(connection: AsyncConnection, ids: Sequence[UUID]) -> None:
    """Record that these executions have a workflow."""
    if ids:
        await connection.execute(_MARK_LAUNCHED, {"ids": list(ids)})
