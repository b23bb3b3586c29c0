-- What people look at. Every view shows its reader only the rows that reader may see.

CREATE VIEW automation_analytics WITH (security_invoker = true) AS
SELECT
    organization_id,
    automation_id,
    (created_at AT TIME ZONE 'UTC')::date AS date,
    count(*) AS executions,
    count(*) FILTER (WHERE status = 'completed') AS completed,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'skipped') AS skipped,
    count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
    count(*) FILTER (WHERE status IN ('pending', 'running', 'waiting')) AS open,
    avg(completed_at - started_at) FILTER (WHERE status = 'completed') AS average_duration
FROM automation_execution_logs
GROUP BY organization_id, automation_id, (created_at AT TIME ZONE 'UTC')::date;

COMMENT ON VIEW automation_analytics IS
    'Executions per automation and UTC day, counted from the executions themselves.';

CREATE VIEW automation_cron_status WITH (security_invoker = true) AS
SELECT name AS jobname, schedule, time_zone, active, last_run_at, last_status, next_run_at
FROM automation_schedules;

COMMENT ON VIEW automation_cron_status IS
    'One row per schedule; takes the place of pg_cron''s cron.job.';

CREATE VIEW automation_system_health WITH (security_invoker = true) AS
SELECT
    organizations.id AS organization_id,
    organizations.name AS organization,
    (SELECT count(*) FROM automation_events e
      WHERE e.organization_id = organizations.id AND e.processed_at IS NULL) AS unprocessed_events,
    (SELECT count(*) FROM automation_execution_logs x
      WHERE x.organization_id = organizations.id AND x.status = 'pending') AS pending,
    (SELECT min(x.created_at) FROM automation_execution_logs x
      WHERE x.organization_id = organizations.id AND x.status = 'pending') AS oldest_pending_at,
    (SELECT count(*) FROM automation_execution_logs x
      WHERE x.organization_id = organizations.id AND x.status IN ('running', 'waiting')) AS open,
    (SELECT count(*) FROM automation_execution_logs x
      WHERE x.organization_id = organizations.id AND x.status = 'failed'
        AND x.created_at > now() - interval '24 hours') AS failed_in_24_hours,
    (SELECT count(*) FROM messages m
      WHERE m.organization_id = organizations.id AND m.status = 'unknown') AS unknown_outcomes
FROM organizations;

COMMENT ON VIEW automation_system_health IS
    'Per organization: what waits, what is open, what failed and what nobody can be sure of.';

GRANT SELECT ON automation_analytics, automation_cron_status, automation_system_health
    TO fixlify_app, fixlify_engine;
