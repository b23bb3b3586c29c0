-- The rest of the business, and what schedules, the emergency stop and the HTTP API keep.

ALTER TABLE jobs ADD COLUMN completed_at timestamptz;

CREATE TABLE estimates (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    client_id uuid,
    job_id text,
    number text,
    title text,
    status text,
    total numeric(12, 2),
    valid_until date,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT estimates_pkey PRIMARY KEY (id),
    CONSTRAINT estimates_organization_id_id_key UNIQUE (organization_id, id),
    CONSTRAINT estimates_organization_id_client_id_fkey FOREIGN KEY (organization_id, client_id) REFERENCES clients (organization_id, id),
    CONSTRAINT estimates_organization_id_job_id_fkey FOREIGN KEY (organization_id, job_id) REFERENCES jobs (organization_id, id),
    CONSTRAINT estimates_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX estimates_organization_id_client_id_idx ON estimates (organization_id, client_id);
CREATE INDEX estimates_organization_id_job_id_idx ON estimates (organization_id, job_id);

CREATE TABLE payments (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    invoice_id uuid,
    client_id uuid,
    amount numeric(12, 2),
    method text,
    paid_at timestamptz DEFAULT now() NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT payments_pkey PRIMARY KEY (id),
    CONSTRAINT payments_organization_id_id_key UNIQUE (organization_id, id),
    CONSTRAINT payments_organization_id_invoice_id_fkey FOREIGN KEY (organization_id, invoice_id) REFERENCES invoices (organization_id, id),
    CONSTRAINT payments_organization_id_client_id_fkey FOREIGN KEY (organization_id, client_id) REFERENCES clients (organization_id, id),
    CONSTRAINT payments_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX payments_organization_id_invoice_id_idx ON payments (organization_id, invoice_id);
CREATE INDEX payments_organization_id_client_id_idx ON payments (organization_id, client_id);

CREATE TABLE tasks (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    client_id uuid,
    job_id text,
    assignee_id uuid,
    title text,
    description text,
    status text,
    due_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT tasks_pkey PRIMARY KEY (id),
    CONSTRAINT tasks_organization_id_id_key UNIQUE (organization_id, id),
    CONSTRAINT tasks_organization_id_client_id_fkey FOREIGN KEY (organization_id, client_id) REFERENCES clients (organization_id, id),
    CONSTRAINT tasks_organization_id_job_id_fkey FOREIGN KEY (organization_id, job_id) REFERENCES jobs (organization_id, id),
    CONSTRAINT tasks_organization_id_assignee_id_fkey FOREIGN KEY (organization_id, assignee_id) REFERENCES profiles (organization_id, id),
    CONSTRAINT tasks_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX tasks_organization_id_client_id_idx ON tasks (organization_id, client_id);
CREATE INDEX tasks_organization_id_job_id_idx ON tasks (organization_id, job_id);
CREATE INDEX tasks_organization_id_assignee_id_idx ON tasks (organization_id, assignee_id);

-- Text messages that came in. One without an organization would be nobody's, and be skipped by
-- everybody, so there is none.
CREATE TABLE inbound_messages (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    client_id uuid,
    from_number text,
    to_number text,
    body text,
    received_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT inbound_messages_pkey PRIMARY KEY (id),
    CONSTRAINT inbound_messages_organization_id_id_key UNIQUE (organization_id, id),
    CONSTRAINT inbound_messages_organization_id_client_id_fkey FOREIGN KEY (organization_id, client_id) REFERENCES clients (organization_id, id),
    CONSTRAINT inbound_messages_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX inbound_messages_organization_id_client_id_idx ON inbound_messages (organization_id, client_id);

-- What the sweeps read: open invoices by due date, visits by their time, services by their date.
CREATE INDEX invoices_organization_id_due_date_id_idx ON invoices (organization_id, due_date, id);
CREATE INDEX jobs_organization_id_schedule_start_idx ON jobs (organization_id, schedule_start, id);
CREATE INDEX jobs_service_idx ON jobs (organization_id, coalesce(completed_at, schedule_end, schedule_start, created_at), id);

-- Until when what a sweep found may be acted on; null where nothing grows stale. A message may
-- wait in the ledger for as long as its execution could wait to begin.
ALTER TABLE automation_execution_logs ADD COLUMN good_until timestamptz;

-- From when on an automation listens: what happened before concerns it no more.
ALTER TABLE automation_workflows ADD COLUMN activated_at timestamptz;
UPDATE automation_workflows SET activated_at = created_at WHERE status = 'active';
CREATE INDEX automation_workflows_trigger_type_idx ON automation_workflows (trigger_type) WHERE status IN ('active', 'paused');

-- automation_id and occurrence_key: what a sweep found, for one automation, once for ever.
-- Byte order, so that an index finds all occurrences of one subject in any locale.
-- source_key: the id a sender outside gave its event; it sends it twice when in doubt.
ALTER TABLE automation_events
    ADD COLUMN automation_id uuid,
    ADD COLUMN occurrence_key text COLLATE "C",
    ADD COLUMN source_key text;
CREATE UNIQUE INDEX automation_events_occurrence_idx ON automation_events (automation_id, occurrence_key) WHERE automation_id IS NOT NULL;
CREATE UNIQUE INDEX automation_events_source_idx ON automation_events (organization_id, source_key) WHERE source_key IS NOT NULL;
-- Since when a job stands in its status, and since when its visit has its time.
CREATE INDEX automation_events_job_history_idx ON automation_events (organization_id, subject_id, occurred_at) WHERE event_type IN ('job_created', 'job_status_changed', 'job_scheduled');
CREATE INDEX automation_events_job_status_idx ON automation_events (organization_id, occurred_at) WHERE event_type IN ('job_created', 'job_status_changed');
-- What a sweep found waits behind what happened just now.
DROP INDEX automation_events_unprocessed_idx;
CREATE INDEX automation_events_unprocessed_idx ON automation_events (id) WHERE processed_at IS NULL AND automation_id IS NULL;
CREATE INDEX automation_events_swept_idx ON automation_events (id) WHERE processed_at IS NULL AND automation_id IS NOT NULL;
-- What one company looks at, newest first, however many events the others have.
CREATE INDEX automation_events_organization_id_id_idx ON automation_events (organization_id, id);

ALTER TABLE messages DROP CONSTRAINT messages_status_check;
ALTER TABLE messages ADD CONSTRAINT messages_status_check CHECK (status IN ('queued', 'held', 'sending', 'sent', 'failed', 'unknown', 'suppressed', 'cancelled'));
DROP INDEX messages_open_idx;
CREATE INDEX messages_open_idx ON messages (created_at) WHERE status IN ('queued', 'held', 'sending', 'unknown');

-- Desired schedules. id is the schedule's id in Temporal; name is what people call it.
DROP VIEW automation_cron_status;
DROP TABLE automation_schedules;
CREATE TABLE automation_schedules (
    id text NOT NULL,
    organization_id uuid,
    automation_id uuid,
    name text NOT NULL,
    schedule text NOT NULL,
    time_zone text NOT NULL,
    active boolean DEFAULT true NOT NULL,
    paused_reason text,
    catch_up text NOT NULL,
    specification jsonb NOT NULL,
    content_hash text NOT NULL,
    synced_hash text,
    synced_at timestamptz,
    problem text,
    next_run_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT automation_schedules_pkey PRIMARY KEY (id),
    CONSTRAINT automation_schedules_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX automation_schedules_organization_id_idx ON automation_schedules (organization_id);

-- One row per run; outlives its schedule.
CREATE TABLE automation_schedule_runs (
    id text NOT NULL,
    schedule_id text NOT NULL,
    organization_id uuid,
    scheduled_at timestamptz NOT NULL,
    started_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamptz,
    status text NOT NULL,
    looked_at integer,
    found integer,
    error_message text,
    CONSTRAINT automation_schedule_runs_pkey PRIMARY KEY (id),
    CONSTRAINT automation_schedule_runs_status_check CHECK (status IN ('running', 'completed', 'failed')),
    CONSTRAINT automation_schedule_runs_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX automation_schedule_runs_schedule_id_started_at_idx ON automation_schedule_runs (schedule_id, started_at);
-- A sweep of every minute looks here each time for runs that were left open.
CREATE INDEX automation_schedule_runs_running_idx ON automation_schedule_runs (schedule_id) WHERE status = 'running';

DROP VIEW automation_analytics;
-- Executions and messages per automation and UTC day of the match; recomputed, never counted up.
CREATE TABLE automation_analytics (
    organization_id uuid NOT NULL,
    automation_id uuid NOT NULL,
    date date NOT NULL,
    executions integer NOT NULL,
    completed integer NOT NULL,
    failed integer NOT NULL,
    skipped integer NOT NULL,
    cancelled integer NOT NULL,
    open integer NOT NULL,
    emails_sent integer NOT NULL,
    sms_sent integer NOT NULL,
    messages_not_sent integer NOT NULL,
    average_duration interval,
    computed_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT automation_analytics_pkey PRIMARY KEY (automation_id, date)
);
CREATE INDEX automation_analytics_organization_id_date_idx ON automation_analytics (organization_id, date);
CREATE INDEX automation_analytics_date_idx ON automation_analytics (date);
-- Which days a run of the last hour changed.
CREATE INDEX automation_execution_logs_completed_at_idx ON automation_execution_logs (completed_at);

-- The emergency stop: of one organization, or of all where organization_id is null.
CREATE TABLE automation_stops (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid,
    reason text,
    stopped_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT automation_stops_pkey PRIMARY KEY (id),
    CONSTRAINT automation_stops_organization_id_key UNIQUE NULLS NOT DISTINCT (organization_id),
    CONSTRAINT automation_stops_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- The HTTP API. Of a key only its SHA-256 is kept; the prefix tells people which one it is.
CREATE TABLE api_keys (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    prefix text NOT NULL,
    key_hash text NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_key_hash_key UNIQUE (key_hash),
    CONSTRAINT api_keys_organization_id_name_key UNIQUE (organization_id, name),
    CONSTRAINT api_keys_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

CREATE TABLE api_requests (
    organization_id uuid NOT NULL,
    idempotency_key text NOT NULL,
    request_hash text NOT NULL,
    response jsonb NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT api_requests_pkey PRIMARY KEY (organization_id, idempotency_key),
    CONSTRAINT api_requests_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX api_requests_created_at_idx ON api_requests (created_at);
