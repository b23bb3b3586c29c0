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

-- Each table is read once for all organizations, not once for each of them.
DROP VIEW automation_system_health;
CREATE VIEW automation_system_health WITH (security_invoker = true) AS
SELECT
    organizations.id AS organization_id,
    organizations.name AS organization,
    coalesce(happened.events, 0) + coalesce(swept.events, 0) AS unprocessed_events,
    coalesce(launching.executions, 0) AS pending,
    launching.oldest_at AS oldest_pending_at,
    coalesce(begun.executions, 0) AS open,
    coalesce(lately.failed, 0) AS failed_in_24_hours,
    coalesce(unsettled.unknown, 0) AS unknown_outcomes,
    coalesce(unsettled.held, 0) AS held_messages,
    (SELECT min(stop.stopped_at) FROM automation_stops stop
      WHERE stop.organization_id = organizations.id OR stop.organization_id IS NULL)
        AS stopped_since,
    coalesce(own.failing, 0) + everybodys.failing AS failing_schedules
FROM organizations
-- One index each, so one look each.
LEFT JOIN (
    SELECT organization_id, count(*) AS events FROM automation_events
    WHERE processed_at IS NULL AND automation_id IS NULL
    GROUP BY organization_id
) happened ON happened.organization_id = organizations.id
LEFT JOIN (
    SELECT organization_id, count(*) AS events FROM automation_events
    WHERE processed_at IS NULL AND automation_id IS NOT NULL
    GROUP BY organization_id
) swept ON swept.organization_id = organizations.id
LEFT JOIN (
    SELECT organization_id, count(*) AS executions, min(created_at) AS oldest_at
    FROM automation_execution_logs
    WHERE status = 'pending'
    GROUP BY organization_id
) launching ON launching.organization_id = organizations.id
LEFT JOIN (
    SELECT organization_id, count(*) AS executions
    FROM automation_execution_logs
    WHERE status IN ('running', 'waiting')
    GROUP BY organization_id
) begun ON begun.organization_id = organizations.id
LEFT JOIN (
    SELECT organization_id, count(*) AS failed
    FROM automation_execution_logs
    WHERE status = 'failed' AND created_at > now() - interval '24 hours'
    GROUP BY organization_id
) lately ON lately.organization_id = organizations.id
LEFT JOIN (
    SELECT organization_id,
           count(*) FILTER (WHERE status = 'unknown') AS unknown,
           count(*) FILTER (WHERE status = 'held') AS held
    FROM messages
    WHERE status IN ('queued', 'held', 'sending', 'unknown')
    GROUP BY organization_id
) unsettled ON unsettled.organization_id = organizations.id
LEFT JOIN (
    SELECT schedules.organization_id, count(*) AS failing
    FROM automation_cron_status schedules
    WHERE schedules.last_result = 'failed'
    GROUP BY schedules.organization_id
) own ON own.organization_id = organizations.id
CROSS JOIN (
    SELECT count(*) AS failing FROM automation_cron_status schedules
    WHERE schedules.organization_id IS NULL AND schedules.last_result = 'failed'
) everybodys;

COMMENT ON VIEW automation_system_health IS
    'Per organization: what waits, what is open, what failed, what is stopped and what nobody can be sure of.';

GRANT SELECT ON automation_cron_status, automation_system_health TO fixlify_app, fixlify_engine;
