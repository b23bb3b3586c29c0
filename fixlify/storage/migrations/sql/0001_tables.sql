-- The business tables the engine reads, the automation tables, and the ledger.
-- Business tables are a reference schema; the engine reads only the columns named here.

CREATE TABLE organizations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    email text,
    phone text,
    website text,
    time_zone text DEFAULT 'UTC' NOT NULL,
    locale text DEFAULT 'en_US' NOT NULL,
    currency text DEFAULT 'USD' NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT organizations_pkey PRIMARY KEY (id)
);

CREATE TABLE profiles (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    first_name text,
    last_name text,
    email text,
    phone text,
    role text DEFAULT 'technician' NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT profiles_pkey PRIMARY KEY (id),
    CONSTRAINT profiles_organization_id_id_key UNIQUE (organization_id, id),
    CONSTRAINT profiles_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

CREATE TABLE clients (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    first_name text,
    last_name text,
    company text,
    email text,
    phone text,
    address text,
    time_zone text,
    lead_source text,
    tags text[] DEFAULT '{}' NOT NULL,
    email_opted_out boolean DEFAULT false NOT NULL,
    sms_opted_out boolean DEFAULT false NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT clients_pkey PRIMARY KEY (id),
    CONSTRAINT clients_organization_id_id_key UNIQUE (organization_id, id),
    CONSTRAINT clients_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

CREATE TABLE jobs (
    organization_id uuid NOT NULL,
    id text NOT NULL,
    client_id uuid,
    technician_id uuid,
    title text,
    description text,
    job_type text,
    status text,
    address text,
    schedule_start timestamptz,
    schedule_end timestamptz,
    total numeric(12, 2),
    lead_source text,
    tags text[] DEFAULT '{}' NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT jobs_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT jobs_organization_id_client_id_fkey FOREIGN KEY (organization_id, client_id) REFERENCES clients (organization_id, id),
    CONSTRAINT jobs_organization_id_technician_id_fkey FOREIGN KEY (organization_id, technician_id) REFERENCES profiles (organization_id, id),
    CONSTRAINT jobs_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX jobs_organization_id_client_id_idx ON jobs (organization_id, client_id);
CREATE INDEX jobs_organization_id_technician_id_idx ON jobs (organization_id, technician_id);

CREATE TABLE invoices (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    client_id uuid,
    job_id text,
    number text,
    status text,
    total numeric(12, 2),
    amount_paid numeric(12, 2) DEFAULT 0 NOT NULL,
    due_date date,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT invoices_pkey PRIMARY KEY (id),
    CONSTRAINT invoices_organization_id_client_id_fkey FOREIGN KEY (organization_id, client_id) REFERENCES clients (organization_id, id),
    CONSTRAINT invoices_organization_id_job_id_fkey FOREIGN KEY (organization_id, job_id) REFERENCES jobs (organization_id, id),
    CONSTRAINT invoices_organization_id_id_key UNIQUE (organization_id, id),
    CONSTRAINT invoices_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX invoices_organization_id_client_id_idx ON invoices (organization_id, client_id);
CREATE INDEX invoices_organization_id_job_id_idx ON invoices (organization_id, job_id);

CREATE TABLE automation_workflows (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    status text NOT NULL,
    trigger_type text NOT NULL,
    trigger_config jsonb NOT NULL,
    conditions jsonb,
    steps jsonb NOT NULL,
    version integer NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT automation_workflows_pkey PRIMARY KEY (id),
    CONSTRAINT automation_workflows_organization_id_id_key UNIQUE (organization_id, id),
    CONSTRAINT automation_workflows_organization_id_name_key UNIQUE (organization_id, name),
    CONSTRAINT automation_workflows_status_check CHECK (status IN ('draft', 'active', 'paused', 'archived')),
    CONSTRAINT automation_workflows_active_has_steps_check
        CHECK (status <> 'active' OR steps <> '[]'::jsonb),
    CONSTRAINT automation_workflows_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX automation_workflows_listening_idx ON automation_workflows (organization_id, trigger_type) WHERE status = 'active';

CREATE TABLE automation_workflow_versions (
    automation_id uuid NOT NULL,
    version integer NOT NULL,
    organization_id uuid NOT NULL,
    pinned jsonb NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT automation_workflow_versions_pkey PRIMARY KEY (automation_id, version),
    CONSTRAINT automation_workflow_versions_organization_id_automation_id_fkey FOREIGN KEY (organization_id, automation_id) REFERENCES automation_workflows (organization_id, id)
);

CREATE TABLE automation_events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    organization_id uuid,
    event_type text NOT NULL,
    subject_type text NOT NULL,
    subject_id text,
    data jsonb DEFAULT '{}' NOT NULL,
    occurred_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    processed_at timestamptz,
    outcome text,
    CONSTRAINT automation_events_pkey PRIMARY KEY (id)
);
CREATE INDEX automation_events_unprocessed_idx ON automation_events (id) WHERE processed_at IS NULL;

CREATE TABLE automation_execution_logs (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    automation_id uuid NOT NULL,
    automation_version integer NOT NULL,
    occurrence_key text NOT NULL,
    subject_type text NOT NULL,
    subject_id text NOT NULL,
    trigger_type text NOT NULL,
    trigger_value text NOT NULL,
    trigger_data jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    status text NOT NULL,
    reason text,
    error_message text,
    waiting_for text,
    workflow_id text,
    run_id text,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    launched_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    CONSTRAINT automation_execution_logs_pkey PRIMARY KEY (id),
    CONSTRAINT automation_execution_logs_automation_id_occurrence_key_key UNIQUE (automation_id, occurrence_key),
    CONSTRAINT automation_execution_logs_status_check CHECK (status IN ('pending', 'running', 'waiting', 'completed', 'failed', 'skipped', 'cancelled')),
    CONSTRAINT automation_execution_logs_organization_id_automation_id_fkey FOREIGN KEY (organization_id, automation_id) REFERENCES automation_workflows (organization_id, id),
    CONSTRAINT automation_execution_logs_automation_id_automation_version_fkey FOREIGN KEY (automation_id, automation_version) REFERENCES automation_workflow_versions (automation_id, version)
);
CREATE INDEX automation_execution_logs_created_at_idx ON automation_execution_logs (created_at);
CREATE INDEX automation_execution_logs_day_idx ON automation_execution_logs (((created_at AT TIME ZONE 'UTC')::date));
CREATE INDEX automation_execution_logs_open_idx ON automation_execution_logs (started_at) WHERE status IN ('running', 'waiting');
CREATE INDEX automation_execution_logs_organization_id_created_at_idx ON automation_execution_logs (organization_id, created_at);
CREATE INDEX automation_execution_logs_pending_idx ON automation_execution_logs (created_at) WHERE status = 'pending';
CREATE INDEX automation_execution_logs_window_idx ON automation_execution_logs (automation_id, subject_id, trigger_value, occurred_at);

CREATE TABLE automation_step_logs (
    execution_id uuid NOT NULL,
    step_id text NOT NULL,
    organization_id uuid NOT NULL,
    position integer NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    reason text,
    message_id uuid,
    completed_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT automation_step_logs_pkey PRIMARY KEY (execution_id, step_id),
    CONSTRAINT automation_step_logs_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES automation_execution_logs (id)
);

CREATE TABLE messages (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    step_id text NOT NULL,
    channel text NOT NULL,
    recipient_kind text NOT NULL,
    recipient_id uuid,
    recipient text,
    sender_name text,
    reply_to text,
    subject text,
    body_text text,
    body_html text,
    status text NOT NULL,
    reason text,
    error_code text,
    attempts integer DEFAULT 0 NOT NULL,
    provider text,
    provider_id text,
    segments integer,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    sending_at timestamptz,
    sent_at timestamptz,
    CONSTRAINT messages_pkey PRIMARY KEY (id),
    CONSTRAINT messages_execution_id_step_id_key UNIQUE (execution_id, step_id),
    CONSTRAINT messages_status_check CHECK (status IN ('queued', 'sending', 'sent', 'failed', 'unknown', 'suppressed', 'cancelled')),
    CONSTRAINT messages_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT messages_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES automation_execution_logs (id)
);
CREATE INDEX messages_open_idx ON messages (created_at) WHERE status IN ('queued', 'sending', 'unknown');
CREATE INDEX messages_organization_id_created_at_idx ON messages (organization_id, created_at);

CREATE TABLE automation_schedules (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid,
    name text NOT NULL,
    schedule text NOT NULL,
    time_zone text DEFAULT 'UTC' NOT NULL,
    active boolean DEFAULT true NOT NULL,
    last_run_at timestamptz,
    last_status text,
    next_run_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT automation_schedules_pkey PRIMARY KEY (id),
    CONSTRAINT automation_schedules_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT automation_schedules_name_key UNIQUE (name)
);
CREATE INDEX automation_schedules_organization_id_idx ON automation_schedules (organization_id);

