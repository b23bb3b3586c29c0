"""What each automation did on each day, recomputed from the executions themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.storage.taken import TAKEN

_LOCK: Final = 7_233_011
"""Of the advisory lock that lets one recomputation run at a time."""

_EVER: Final = datetime(1, 1, 1, tzinfo=UTC)

# A newer count must not be overwritten by an older one that took longer.
_WAIT_FOR_OTHERS = text(f"SELECT pg_advisory_xact_lock({_LOCK})")

# Counting everything may take longer than what a statement of the engine is given.
_TAKE_TIME = text("SELECT set_config('statement_timeout', '600000', true)")

FIGURES_OF_DAYS: Final = f"""
    SELECT days.organization_id, days.date, day.*
    FROM days CROSS JOIN LATERAL (
        SELECT e.automation_id,
               count(*) AS executions,
               count(*) FILTER (WHERE e.status = 'completed') AS completed,
               count(*) FILTER (WHERE e.status = 'failed') AS failed,
               count(*) FILTER (WHERE e.status = 'skipped') AS skipped,
               count(*) FILTER (WHERE e.status = 'cancelled') AS cancelled,
               count(*) FILTER (WHERE e.status IN ('pending', 'running', 'waiting')) AS open,
               sum(sent.emails)::integer AS emails_sent,
               sum(sent.sms)::integer AS sms_sent,
               sum(sent.messages_not)::integer AS messages_not_sent,
               avg(e.completed_at - e.started_at) FILTER (WHERE e.status = 'completed')
                   AS average_duration
        FROM automation_execution_logs e CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE m.channel = 'email' AND m.status IN ({TAKEN})) AS emails,
                   count(*) FILTER (WHERE m.channel = 'sms' AND m.status IN ({TAKEN})) AS sms,
                   count(*) FILTER (WHERE m.status IN ('failed', 'suppressed', 'cancelled'))
                       AS messages_not
            FROM messages m
            WHERE m.execution_id = e.id
        ) sent
        WHERE e.organization_id = days.organization_id
          AND e.created_at >= days.date::timestamp AT TIME ZONE 'UTC'
          AND e.created_at < (days.date + 1)::timestamp AT TIME ZONE 'UTC'
        GROUP BY e.automation_id
    ) day
"""  # noqa: S608 - a constant
"""A query for the figures of each automation on each of ``days (organization_id, date)``.

The sums are made inside LATERAL so that a day is always read by its index.
"""

# Whole days of whole organizations. A message may go out while its execution stays open, before
# a long wait, say; and a day that has figures is looked at again, in case nothing is left of it.
# Messages are looked up for each open execution: a join would be planned to read all of them.
_RECOMPUTE = text(f"""
    WITH days AS (
        SELECT organization_id, (created_at AT TIME ZONE 'UTC')::date AS date
        FROM automation_execution_logs
        WHERE created_at >= CAST(:since AS timestamptz)
        UNION
        SELECT organization_id, (created_at AT TIME ZONE 'UTC')::date
        FROM automation_execution_logs
        WHERE completed_at >= CAST(:since AS timestamptz)
        UNION
        SELECT e.organization_id, (e.created_at AT TIME ZONE 'UTC')::date
        FROM automation_execution_logs e
        WHERE e.status IN ('running', 'waiting') AND (
            SELECT true FROM messages m
            WHERE m.execution_id = e.id
              AND greatest(m.created_at, m.sent_at) >= CAST(:since AS timestamptz)
            LIMIT 1
        )
        UNION
        SELECT organization_id, date
        FROM automation_analytics
        WHERE date >= (CAST(:since AS timestamptz) AT TIME ZONE 'UTC')::date
    ),
    figures AS (
        {FIGURES_OF_DAYS}
    ),
    gone AS (
        DELETE FROM automation_analytics old
        USING days
        WHERE old.organization_id = days.organization_id AND old.date = days.date
          AND NOT EXISTS (
              SELECT FROM figures
              WHERE figures.automation_id = old.automation_id AND figures.date = old.date
          )
    )
    INSERT INTO automation_analytics AS old (
        organization_id, automation_id, date, executions, completed, failed, skipped, cancelled,
        open, emails_sent, sms_sent, messages_not_sent, average_duration
    )
    SELECT organization_id, automation_id, date, executions, completed, failed, skipped, cancelled,
           open, emails_sent, sms_sent, messages_not_sent, average_duration
    FROM figures
    ON CONFLICT (automation_id, date) DO UPDATE SET
        executions = excluded.executions,
        completed = excluded.completed,
        failed = excluded.failed,
        skipped = excluded.skipped,
        cancelled = excluded.cancelled,
        open = excluded.open,
        emails_sent = excluded.emails_sent,
        sms_sent = excluded.sms_sent,
        messages_not_sent = excluded.messages_not_sent,
        average_duration = excluded.average_duration,
        computed_at = clock_timestamp()
""")  # noqa: S608 - a constant of this module


async def recompute_analytics(connection: AsyncConnection, since: datetime | None) -> int:
    """Count again every day on which something happened since *since*.

    A day is the UTC day on which an execution was created; its messages count with it, whenever
    they went out. Messages nobody knows the outcome of count as neither sent nor not sent.
    Doing it twice, or five times at once, gives the same.

    Args:
        connection: The engine's, in a transaction.
        since: Aware. The last recomputation, or somewhat earlier: what committed during it was
            not seen by it. None counts everything.

    Returns:
        How many rows, one per automation and day, were written.
    """
    await connection.execute(_WAIT_FOR_OTHERS)
    await connection.execute(_TAKE_TIME)
    result = await connection.execute(_RECOMPUTE, {"since": since or _EVER})
    return result.rowcount
