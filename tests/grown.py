"""A database that has seen some years: fifty companies, and of whatever grows, thousands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import psycopg

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.database import Role
from tests.conftest import TEMPLATE

COMPANY: Final = UUID(int=1)
NEWCOMER: Final = UUID(int=51)
"""A company that nothing is known of yet."""
AUTOMATION: Final = UUID(int=50)
ROW: Final = UUID(int=50)
"""The id that a row of the company has in every table whose ids are UUIDs."""
JOB: Final = "J-50"

DATABASE: Final = "fixlify_grown"

# The n-th row of a table belongs to company n % 50, and is its n / 50-th: what its kind and state
# go by, so that every company has rows of each. Most of it is done with, as in any company. Rows
# with the same n belong together.
#
# Nothing is checked and no trigger fires: the rows are meant to be many, and to be there soon.
_GROWN: Final = """
    SET session_replication_role = replica;
    CREATE FUNCTION id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
        AS $$ SELECT lpad(to_hex(n), 32, '0')::uuid $$;
    CREATE FUNCTION of(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
        AS $$ SELECT id(1 + n % 50) $$;
    CREATE FUNCTION one(words text[], n bigint) RETURNS text LANGUAGE sql IMMUTABLE
        AS $$ SELECT words[1 + n / 50 % cardinality(words)] $$;

    INSERT INTO organizations (id, name, time_zone)
        SELECT id(n), 'Company ' || n,
               (ARRAY['UTC', 'America/New_York', 'Europe/Berlin'])[1 + n % 3]
        FROM generate_series(1, 50) n;
    INSERT INTO profiles (id, organization_id)
        SELECT id(n), of(n) FROM generate_series(1, 5000) n;
    INSERT INTO clients (id, organization_id, email)
        SELECT id(n), of(n), n || '@example.com' FROM generate_series(1, 20000) n;
    INSERT INTO jobs (organization_id, id, client_id, technician_id, job_type, status,
                      schedule_start, completed_at, created_at)
        SELECT of(n), 'J-' || n, id(n), id(1 + (n - 1) % 5000),
               one('{repair,installation,maintenance}', n),
               CASE n / 50 % 40 WHEN 0 THEN 'scheduled' WHEN 1 THEN 'On Hold'
                                ELSE 'completed' END,
               now() + interval '14 days' - n * interval '1 hour',
               CASE WHEN n / 50 % 40 > 1 THEN now() - n * interval '1 hour' END,
               now() - n * interval '1 hour'
        FROM generate_series(1, 20000) n;
    INSERT INTO estimates (id, organization_id, client_id, job_id, status)
        SELECT id(n), of(n), id(n), 'J-' || n, one('{sent,accepted,declined}', n)
        FROM generate_series(1, 20000) n;
    INSERT INTO invoices (id, organization_id, client_id, job_id, status, total, due_date)
        SELECT id(n), of(n), id(n), 'J-' || n,
               CASE n / 50 % 40 WHEN 0 THEN 'sent' ELSE 'paid' END, 100,
               current_date + 14 - (n / 20)::integer
        FROM generate_series(1, 20000) n;
    INSERT INTO payments (id, organization_id, invoice_id, client_id, amount)
        SELECT id(n), of(n), id(n), id(n), 100 FROM generate_series(1, 20000) n;
    INSERT INTO tasks (id, organization_id, client_id, job_id, assignee_id, status)
        SELECT id(n), of(n), id(n), 'J-' || n, id(1 + (n - 1) % 5000), one('{open,completed}', n)
        FROM generate_series(1, 20000) n;
    INSERT INTO inbound_messages (id, organization_id, client_id, body)
        SELECT id(n), of(n), id(n), 'Yes' FROM generate_series(1, 20000) n;

    INSERT INTO automation_workflows (id, organization_id, name, status, trigger_type,
                                      trigger_config, steps, version, activated_at)
        SELECT id(n), of(n), 'Automation ' || n,
               CASE n / 400 % 3 WHEN 0 THEN 'active' ELSE 'paused' END,
               one('{job_created,job_completed,custom,invoice_overdue,maintenance_due,
                     stale_job,appointment_reminder,scheduled}', n),
               '{}', '[{}]', 10, now() - interval '1 year'
        FROM generate_series(1, 2000) n;
    INSERT INTO automation_workflow_versions (automation_id, version, organization_id, pinned,
                                              listens)
        SELECT id, generate_series(1, 10), organization_id, '{}', trigger_type <> 'job_created'
        FROM automation_workflows;
    INSERT INTO automation_events (organization_id, event_type, subject_type, subject_id,
                                   source_key, automation_id, occurrence_key, occurred_at,
                                   processed_at)
        SELECT of(n), event.type, 'job', 'J-' || 1 + (n - 1) % 20000,
               CASE event.type WHEN 'custom' THEN 'source-' || n END,
               CASE WHEN event.is_swept THEN id(1 + (n - 1) % 2000) END,
               CASE WHEN event.is_swept THEN concat_ws('/', event.type, id(n), 3) END,
               now() - (30000 - n) * interval '15 minutes',
               CASE WHEN n / 50 % 200 NOT IN (11, 16) THEN now() END
        FROM generate_series(1, 30000) n, LATERAL (
            SELECT one('{job_created,job_status_changed,job_scheduled,client_updated,
                         invoice_status_changed,custom,invoice_overdue,stale_job,
                         appointment_reminder,maintenance_due}', n) AS type,
                   n / 50 % 10 > 5 AS is_swept
        ) event;
    INSERT INTO automation_execution_logs
            (id, organization_id, automation_id, automation_version, occurrence_key, subject_type,
             subject_id, trigger_type, trigger_value, trigger_data, occurred_at, created_at,
             started_at, completed_at, status)
        SELECT id(n), of(n), id(1 + (n - 1) % 2000), 10, 'event/' || n, 'job',
               'J-' || 1 + (n - 1) % 20000, 'job_completed', 'completed', '{}',
               at, at, at, CASE WHEN n / 50 % 200 > 2 THEN at + interval '1 minute' END,
               CASE n / 50 % 200 WHEN 0 THEN 'pending' WHEN 1 THEN 'running' WHEN 2 THEN 'waiting'
                                 ELSE one('{completed,completed,completed,failed}', n) END
        FROM (SELECT n, now() - n * interval '10 minutes' AS at
              FROM generate_series(1, 30000) n) AS executions;
    INSERT INTO automation_signals (execution_id, event_id, organization_id, created_at,
                                    delivered_at)
        SELECT id, n, organization_id, created_at, CASE WHEN n <> 17 THEN created_at END
        FROM automation_execution_logs, generate_series(16, 17) AS n
        WHERE n = 16 OR status = 'waiting';
    INSERT INTO automation_step_logs
            (execution_id, step_id, organization_id, position, kind, status)
        SELECT id, 'text', organization_id, 1, 'sms', 'completed' FROM automation_execution_logs;
    INSERT INTO messages (id, organization_id, execution_id, step_id, channel, recipient_kind,
                          status, created_at, sent_at)
        SELECT id, organization_id, id, 'text', 'sms', 'client',
               CASE status WHEN 'running' THEN 'queued' WHEN 'waiting' THEN 'held'
                           ELSE 'sent' END,
               created_at, CASE WHEN status = 'completed' THEN created_at END
        FROM automation_execution_logs;
    INSERT INTO message_transitions (organization_id, message_id, from_status, to_status, cause,
                                     attempt)
        SELECT organization_id, id, 'queued', 'sending', 'attempt 1', 1 FROM messages;
    INSERT INTO automation_decisions (organization_id, execution_id, step_id, kind, detail)
        SELECT organization_id, id, 'text', 'held', 'quiet hours' FROM automation_execution_logs;
    INSERT INTO automation_actions (execution_id, step_id, organization_id, kind, status)
        SELECT id, 'call', organization_id, 'webhook', 'completed' FROM automation_execution_logs;
    INSERT INTO client_opt_outs (organization_id, client_id, channel, source)
        SELECT of(n), id(n), 'sms', 'STOP' FROM generate_series(1, 20000) n;
    INSERT INTO suppressions (organization_id, channel, address, reason, source)
        SELECT of(n), 'email', n || '@example.com', 'bounced', 'smtp'
        FROM generate_series(1, 20000) n;
    INSERT INTO consent_records (organization_id, client_id, channel, address, wants, source,
                                 said_at)
        SELECT of(n), id(n), 'email', n || '@example.com', false, 'unsubscribe', now()
        FROM generate_series(1, 20000) n;
    INSERT INTO message_templates (organization_id, name, locale, version, is_default, source)
        SELECT of(n), 'template-' || n / 50 % 20, one('{en_US,es}', n), 1 + n / 1000, true, '{}'
        FROM generate_series(1, 10000) n;

    INSERT INTO automation_schedules (id, organization_id, automation_id, name, schedule,
                                      time_zone, catch_up, specification, content_hash)
        SELECT 'schedule/' || n, CASE WHEN n % 100 > 0 THEN of(n) END, id(n), 'Schedule ' || n,
               'daily at 09:00', 'UTC', '1h', '{}', ''
        FROM generate_series(1, 400) n;
    INSERT INTO automation_schedule_runs (id, schedule_id, organization_id, scheduled_at,
                                          started_at, finished_at, status)
        SELECT 'run/' || n, 'schedule/' || 1 + n % 400, of(n), at, at, at + interval '1 second',
               CASE WHEN n = 1 THEN 'running' WHEN n % 300 = 0 THEN 'failed' ELSE 'completed' END
        FROM (SELECT n, now() - n * interval '2 minutes' AS at
              FROM generate_series(1, 20000) n) AS runs;
    INSERT INTO automation_analytics (organization_id, automation_id, date, executions, completed,
                                      failed, skipped, cancelled, open, emails_sent, sms_sent,
                                      messages_not_sent)
        SELECT of(n), id(1 + (n - 1) % 2000), current_date - (n / 100)::integer,
               1, 1, 0, 0, 0, 0, 0, 1, 0
        FROM generate_series(1, 20000) n;
    INSERT INTO automation_stops (organization_id, reason) VALUES (id(7), 'Wrong template');
    -- One per company, and more of them than there are here.
    INSERT INTO automation_rules (organization_id, rules)
        SELECT id(n), '{}' FROM generate_series(1, 5000) n;
    INSERT INTO webhook_settings (organization_id, secret, failure_url)
        SELECT id(n), 'whsec_' || n, 'https://hooks.example.com/' FROM generate_series(1, 49) n;
    INSERT INTO webhook_deliveries (id, organization_id, execution_id, status, created_at)
        SELECT id(n), of(n), id(n), CASE WHEN n < 50 THEN 'pending' ELSE 'delivered' END,
               now() - n * interval '1 hour'
        FROM generate_series(1, 20000) n;
    INSERT INTO api_keys (id, organization_id, name, prefix, key_hash)
        SELECT id(n), of(n), 'Key ' || n, 'fx_' || n, md5(n::text)
        FROM generate_series(1, 5000) n;
    INSERT INTO api_requests (organization_id, idempotency_key, request_hash, response, created_at)
        SELECT of(n), 'request-' || n, '', '{}', now() - n * interval '5 seconds'
        FROM generate_series(1, 20000) n;
"""


@asynccontextmanager
async def grown_database(server: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    """Yield the superuser's connection to the one such database of *server*, to be read only."""
    async with await psycopg.AsyncConnection.connect(
        server.dsn("postgres"), autocommit=True
    ) as maintenance:
        known = await maintenance.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        is_new = not known.rowcount
        if is_new:
            await maintenance.execute(
                f"CREATE DATABASE {DATABASE} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY".encode()
            )
    async with await psycopg.AsyncConnection.connect(
        server.dsn(DATABASE), autocommit=True
    ) as connection:
        if is_new:
            await connection.execute(_GROWN.encode())
            await connection.execute("RESET session_replication_role")
            await connection.execute("VACUUM ANALYZE")
        yield connection


@asynccontextmanager
async def acting_as(
    connection: psycopg.AsyncConnection, role: Role
) -> AsyncIterator[psycopg.AsyncConnection]:
    """Yield *connection* in a transaction of *role*, for the company where that matters."""
    async with connection.transaction(force_rollback=True):
        await connection.execute(f"SET LOCAL ROLE {role.value}".encode())
        if role is Role.APP:
            await connection.execute(f"SET LOCAL fixlify.organization_id = '{COMPANY}'".encode())
        yield connection
