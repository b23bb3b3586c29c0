"""Which runs are to hear of an event, recorded with it, and what they were told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.events import Event


@dataclass(frozen=True, slots=True)
class Hearing:
    """Events that one run is to be told of, oldest first.

    ``workflow_id`` is None where the run has not begun again since it was redriven: it reads
    the facts when it does.
    """

    execution_id: UUID
    workflow_id: str | None
    event_ids: tuple[int, ...]


# A run hears of its own subject and of what belongs to it; and of its client, whatever it is
# about. Not of what it did itself.
#
# Where no run of the company is under way nobody asks what belongs to what.
# OFFSET and LIMIT keep the planner from reading every run that waits, of all companies, instead
# of a few entries of an index for each event.
_LISTENS: Final = """
    run.status IN ('running', 'waiting') AND EXISTS (
        SELECT FROM automation_workflow_versions v
        WHERE v.automation_id = run.automation_id AND v.version = run.automation_version
          AND v.listens
        OFFSET 0
    )
"""
_RECORD: Final = text(f"""
    WITH event AS (
        SELECT *
        FROM unnest(
            CAST(:ids AS bigint[]), CAST(:organizations AS uuid[]), CAST(:types AS text[]),
            CAST(:subjects AS text[]), CAST(:causes AS uuid[])
        ) AS e (id, organization_id, subject_type, subject_id, caused_by)
    ), at_work AS MATERIALIZED (
        SELECT company.organization_id
        FROM (SELECT DISTINCT organization_id FROM event) AS company
        CROSS JOIN LATERAL (
            SELECT FROM automation_execution_logs run
            WHERE run.organization_id = company.organization_id
              AND run.status IN ('running', 'waiting')
            LIMIT 1
        ) AS somebody_runs
    ), concerned AS MATERIALIZED (
        SELECT event.id, event.organization_id, event.caused_by, r.relative_type, r.relative_id,
               CASE WHEN event.subject_type IN ('client', 'sms') AND r.relative_type = 'client'
                     AND r.relative_id ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'
                    THEN CAST(r.relative_id AS uuid) END AS client_id
        FROM at_work
        JOIN event USING (organization_id)
        CROSS JOIN fixlify_relatives_of(
            event.organization_id, event.subject_type, event.subject_id
        ) AS r
    ), heard AS (
        SELECT run.id AS execution_id, run.workflow_id, concerned.id AS event_id,
               concerned.organization_id
        FROM concerned
        CROSS JOIN LATERAL (
            SELECT run.id, run.workflow_id FROM automation_execution_logs run
            WHERE run.organization_id = concerned.organization_id
              AND run.subject_id = concerned.relative_id
              AND run.subject_type = concerned.relative_type
              AND run.id IS DISTINCT FROM concerned.caused_by AND {_LISTENS}
            OFFSET 0
        ) AS run
        UNION
        SELECT run.id, run.workflow_id, concerned.id, concerned.organization_id
        FROM concerned
        CROSS JOIN LATERAL (
            SELECT run.id, run.workflow_id FROM automation_execution_logs run
            WHERE run.organization_id = concerned.organization_id
              AND run.client_id = concerned.client_id
              AND run.id IS DISTINCT FROM concerned.caused_by AND {_LISTENS}
            OFFSET 0
        ) AS run
        WHERE concerned.client_id IS NOT NULL
    ), recorded AS (
        INSERT INTO automation_signals (execution_id, event_id, organization_id)
        SELECT execution_id, event_id, organization_id FROM heard
        ON CONFLICT (execution_id, event_id) DO NOTHING
        RETURNING execution_id, event_id
    )
    SELECT execution_id, heard.workflow_id, array_agg(event_id ORDER BY event_id) AS event_ids
    FROM recorded JOIN heard USING (execution_id, event_id)
    GROUP BY execution_id, heard.workflow_id
""")  # noqa: S608 - a constant of this module

# The workflow is read now, not when the event came: the run may have been redriven since.
_LEFT_BEHIND: Final = text("""
    SELECT run.id AS execution_id, run.workflow_id,
           array_agg(oldest.event_id ORDER BY oldest.event_id) AS event_ids
    FROM (
        SELECT execution_id, event_id, created_at FROM automation_signals
        WHERE delivered_at IS NULL
          AND created_at < clock_timestamp() - CAST(:settled AS interval)
        ORDER BY created_at
        LIMIT :batch
    ) AS oldest
    JOIN automation_execution_logs run ON run.id = oldest.execution_id
    GROUP BY run.id, run.workflow_id
    ORDER BY min(oldest.created_at)
""")

# Of two relays that delivered the same, the first is remembered.
_MARK_DELIVERED: Final = text("""
    UPDATE automation_signals AS signal
    SET delivered_at = coalesce(signal.delivered_at, clock_timestamp())
    FROM unnest(CAST(:executions AS uuid[]), CAST(:events AS bigint[]))
        AS told (execution_id, event_id)
    WHERE signal.execution_id = told.execution_id AND signal.event_id = told.event_id
""")


async def record_signals(connection: AsyncConnection, events: Iterable[Event]) -> list[Hearing]:
    """Record, for every run under way that is to hear one of *events*, that it is to hear it.

    What a sweep found is for one automation, and a status that was merely written again is no
    news: of neither anybody hears.

    Returns:
        Whom to tell of what, once the transaction is committed.
    """
    told = [event for event in events if event.automation_id is None and not event.is_rewrite]
    if not told:
        return []
    rows = await connection.execute(
        _RECORD,
        {
            "ids": [event.id for event in told],
            "organizations": [event.organization_id for event in told],
            "types": [event.subject_type.value for event in told],
            "subjects": [event.subject_id for event in told],
            "causes": [event.caused_by for event in told],
        },
    )
    return [_hearing(row) for row in rows]


async def undelivered_signals(
    connection: AsyncConnection, batch: int, *, settled: timedelta
) -> list[Hearing]:
    """Return whom nobody told yet, the longest waiting first.

    Args:
        batch: How many signals at most.
        settled: How old one must be; younger ones are still in their relay's hands.
    """
    rows = await connection.execute(_LEFT_BEHIND, {"batch": batch, "settled": settled})
    return [_hearing(row) for row in rows]


async def mark_delivered(connection: AsyncConnection, delivered: Sequence[Hearing]) -> None:
    """Record that these runs know; marking twice changes nothing."""
    if not delivered:
        return
    pairs = [(each.execution_id, event_id) for each in delivered for event_id in each.event_ids]
    await connection.execute(
        _MARK_DELIVERED,
        {"executions": [id_ for id_, _ in pairs], "events": [event for _, event in pairs]},
    )


def _hearing(row: Row[Any]) -> Hearing:
    return Hearing(row.execution_id, row.workflow_id, tuple(row.event_ids))
