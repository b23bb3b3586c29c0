-- What people look at. Every view shows its reader only the rows that reader may see.

CREATE VIEW automation_cron_status WITH (security_invoker = true) AS
SELECT
    schedules.name AS jobname,
    schedules.schedule,
    schedules.time_zone,
    schedules.active,
    schedules.paused_reason,
    newest.started_at AS last_run,
    newest.status AS last_result,
    CASE WHEN schedules.active THEN schedules.next_run_at END AS next_run,
    totals.runs,
    round(100.0 * totals.completed / nullif(totals.completed + totals.failed, 0), 2) AS success_rate,
    totals.average_duration,
    schedules.organization_id,
    schedules.id AS schedule_id
FROM automation_schedules schedules
LEFT JOIN LATERAL (
    SELECT runs.started_at, runs.status
    FROM automation_schedule_runs runs
    WHERE runs.schedule_id = schedules.id
    ORDER BY runs.started_at DESC
    LIMIT 1
) newest ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS runs,
           count(*) FILTER (WHERE runs.status = 'completed') AS completed,
           count(*) FILTER (WHERE runs.status = 'failed') AS failed,
           avg(runs.finished_at - runs.started_at) FILTER (WHERE runs.status = 'completed')
               AS average_duration
    FROM automation_schedule_runs runs
    WHERE runs.schedule_id = schedules.id AND runs.started_at > now() - interval '7 days'
) totals ON true;

COMMENT ON VIEW automation_cron_status IS
    'One row per schedule, with its runs of the last seven days; takes the place of pg_cron''s tables.';

DROP VIEW automation_system_health;
CREATE VIEW automation_system_health WITH (security_invoker = true) AS
SELECT
    organizations.id AS organization_id,
    organizations.name AS organization,
    (SELECT count(*) FROM automation_events e
      WHERE e.organization_id = organizations.id AND e.processed_at IS NULL AND e.automation_id IS NULL)
    + (SELECT count(*) FROM automation_events e
      WHERE e.organization_id = organizations.id AND e.processed_at IS NULL AND e.automation_id IS NOT NULL)
        AS unprocessed_events,
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
      WHERE m.organization_id = organizations.id AND m.status = 'unknown') AS unknown_outcomes,
    (SELECT count(*) FROM messages m
      WHERE m.organization_id = organizations.id AND m.status = 'held') AS held_messages,
    (SELECT min(s.stopped_at) FROM automation_stops s
      WHERE s.organization_id = organizations.id OR s.organization_id IS NULL) AS stopped_since,
    (SELECT count(*) FROM automation_cron_status c
      WHERE (c.organization_id = organizations.id OR c.organization_id IS NULL)
        AND c.last_result = 'failed') AS failing_schedules
FROM organizations;

COMMENT ON VIEW automation_system_health IS
    'Per organization: what waits, what is open, what failed, what is stopped and what nobody can be sure of.';

GRANT SELECT ON automation_cron_status, automation_system_health TO fixlify_app, fixlify_engine;
