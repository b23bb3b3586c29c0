-- Turns: what waits of each organization is found by its beginning, however much waits of others.

-- An event of nobody is claimed too, to be marked as unreadable.
DROP INDEX automation_events_unprocessed_idx;
DROP INDEX automation_events_swept_idx;
CREATE INDEX automation_events_unprocessed_idx ON automation_events (coalesce(organization_id, '00000000-0000-0000-0000-000000000000'), id) WHERE processed_at IS NULL AND automation_id IS NULL;
CREATE INDEX automation_events_swept_idx ON automation_events (coalesce(organization_id, '00000000-0000-0000-0000-000000000000'), id) WHERE processed_at IS NULL AND automation_id IS NOT NULL;

-- What happened just now is launched before what sweeps found by the thousand. A relay writes
-- taken_at before it launches, so that no other does the same meanwhile.
ALTER TABLE automation_execution_logs
    ADD COLUMN swept boolean DEFAULT false NOT NULL,
    ADD COLUMN taken_at timestamptz;
DROP INDEX automation_execution_logs_pending_idx;
CREATE INDEX automation_execution_logs_pending_idx ON automation_execution_logs (organization_id, swept, created_at) WHERE status = 'pending';
-- What became too late to begin is looked for every second, among all that wait.
CREATE INDEX automation_execution_logs_late_idx ON automation_execution_logs (good_until) WHERE status = 'pending';
