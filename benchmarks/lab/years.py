"""A company that has been sending for years: past runs, with all that they left behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg

# Past runs are a minute apart, and their ids as old as they are: the newest stand at the end of
# every table and index, as they would if they had been written one by one.
#
# No trigger fires: what is past is not relayed, and messages did not come here step by step.
_FILL: Final = (
    "SET session_replication_role = replica",
    """
    CREATE TEMPORARY TABLE past AS
    SELECT n, at, uuidv7(at - now()) AS execution_id, uuidv7(at - now()) AS email_id,
           uuidv7(at - now()) AS text_id, gen_random_uuid() AS client_id
    FROM (SELECT n, now() - n * interval '1 minute' AS at
          FROM generate_series(%(runs)s::int, 1, -1) AS n) AS moments
    ORDER BY at
    """,
    """
    INSERT INTO clients (id, organization_id, first_name, last_name, email, phone, created_at)
    SELECT client_id, %(organization)s, 'Maya', 'Okafor ' || n, 'past-' || n || '@past.example',
           '+1646' || 2000000 + n, at
    FROM past
    """,
    """
    INSERT INTO jobs (organization_id, id, client_id, title, job_type, status, schedule_start,
                      completed_at, total, created_at)
    SELECT %(organization)s, 'P-' || n, client_id, 'Boiler repair', 'repair', 'completed',
           at - interval '2 hours', at, 180, at - interval '1 day'
    FROM past
    """,
    """
    INSERT INTO automation_events (organization_id, event_type, subject_type, subject_id, data,
                                   occurred_at, processed_at, outcome)
    SELECT %(organization)s, type, 'job', 'P-' || n,
           '{"before": "in_progress", "after": "completed"}', at, at, '1 pending'
    FROM past, unnest(ARRAY['job_created', 'job_status_changed']) AS type
    ORDER BY at
    """,
    """
    INSERT INTO automation_execution_logs
        (id, organization_id, automation_id, automation_version, occurrence_key, subject_type,
         subject_id, trigger_type, trigger_value, trigger_data, occurred_at, created_at,
         launched_at, started_at, completed_at, status, workflow_id, run_id)
    SELECT past.execution_id, automation.organization_id, automation.id, automation.version,
           'event/past-' || n, 'job', 'P-' || n, automation.trigger_type, 'completed', '{}',
           at, at, at, at, at, 'completed', 'automation/' || execution_id, gen_random_uuid()
    FROM past, automation_workflows AS automation
    WHERE automation.organization_id = %(organization)s AND automation.status = 'active'
    ORDER BY at
    """,
    """
    INSERT INTO messages (id, organization_id, execution_id, step_id, channel, recipient_kind,
                          recipient_id, recipient, subject, body_text, status, attempts, provider,
                          provider_id, created_at, sending_at, sent_at)
    SELECT CASE channel WHEN 'email' THEN email_id ELSE text_id END, %(organization)s,
           execution_id, channel, channel, 'client', client_id,
           CASE channel WHEN 'email' THEN 'past-' || n || '@past.example'
                        ELSE '+1646' || 2000000 + n END,
           'Your visit', repeat('Thank you for having us. ', 8), 'sent', 1, channel,
           'past-' || n, at, at, at
    FROM past, unnest(ARRAY['email', 'sms']) AS channel
    ORDER BY at
    """,
    """
    INSERT INTO message_transitions (organization_id, message_id, at, from_status, to_status,
                                     cause, attempt)
    SELECT %(organization)s, message_id, at, move[1], move[2], 'attempt 1', 1
    FROM past, unnest(ARRAY[email_id, text_id]) AS message_id,
         (VALUES (ARRAY['queued', 'sending']), (ARRAY['sending', 'sent'])) AS moves (move)
    ORDER BY at
    """,
    """
    INSERT INTO automation_step_logs
        (execution_id, step_id, organization_id, position, kind, status, message_id, completed_at)
    SELECT execution_id, kind, %(organization)s, place, kind, 'completed',
           CASE kind WHEN 'email' THEN email_id ELSE text_id END, at
    FROM past, unnest(ARRAY['email', 'sms']) WITH ORDINALITY AS steps (kind, place)
    ORDER BY at
    """,
    "DROP TABLE past",
    "SET session_replication_role = DEFAULT",
    "VACUUM ANALYZE",
)

GROWING: Final = (
    "automation_events",
    "automation_execution_logs",
    "automation_step_logs",
    "messages",
    "message_transitions",
)
"""The tables that grow with every run."""


@dataclass(frozen=True, slots=True)
class Grown:
    """How many rows the growing tables have, and how many bytes with their indexes."""

    rows: int
    size: int


async def fill(connection: psycopg.AsyncConnection[Any], organization_id: UUID, runs: int) -> Grown:
    """Enter so many past runs of the company's one active automation, with an email and a text.

    Their bodies are short, and have no HTML: what is measured reads none of them.
    """
    for statement in _FILL:
        named = "%(" in statement
        parameters = {"organization": organization_id, "runs": runs} if named else None
        await connection.execute(statement.encode(), parameters)
    rows = size = 0
    for table in GROWING:
        cursor = await connection.execute(
            f"SELECT count(*), pg_total_relation_size('{table}') FROM {table}".encode()  # noqa: S608
        )
        counted = await cursor.fetchone()
        assert counted is not None, "an aggregate has a row"  # noqa: S101
        rows, size = rows + counted[0], size + counted[1]
    return Grown(rows, size)
