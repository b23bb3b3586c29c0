-- Runs that wait, hear and decide; the rules that protect clients; webhooks.

-- What ends a run early, and the options of the definition that no column of its own asks about.
-- paused_runs: what becomes of the runs under way while the automation is paused.
ALTER TABLE automation_workflows
    ADD COLUMN exit_when jsonb,
    ADD COLUMN options jsonb DEFAULT '{}' NOT NULL,
    ADD COLUMN paused_runs text DEFAULT 'hold' NOT NULL,
    ADD CONSTRAINT automation_workflows_paused_runs_check
        CHECK (paused_runs IN ('finish', 'hold', 'cancel'));

-- Whether the runs of a version wait, and are told meanwhile what happens to their subject.
ALTER TABLE automation_workflow_versions ADD COLUMN listens boolean DEFAULT false NOT NULL;
UPDATE automation_workflow_versions SET listens = true
WHERE jsonb_path_exists(pinned, '$.definition.steps[*] ? (@.type == "wait")');

-- chain: the automations that led here, oldest first. client_id: whose run it is, while it waits.
-- redrives: how often a person set it going again; each is a workflow of its own.
ALTER TABLE automation_execution_logs
    ADD COLUMN chain uuid[],
    ADD COLUMN client_id uuid,
    ADD COLUMN redrives integer DEFAULT 0 NOT NULL;
-- Who is to be told of an event.
CREATE INDEX automation_execution_logs_subject_idx ON automation_execution_logs (organization_id, subject_id) WHERE status IN ('running', 'waiting');
CREATE INDEX automation_execution_logs_client_idx ON automation_execution_logs (organization_id, client_id) WHERE status IN ('running', 'waiting');

-- result: which way a branch went, which event was waited for.
ALTER TABLE automation_step_logs ADD COLUMN result text;

-- Signals to waiting runs, written with the event's outcome and delivered after it; each event
-- reaches a run once.
CREATE TABLE automation_signals (
    execution_id uuid NOT NULL,
    event_id bigint NOT NULL,
    organization_id uuid NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    delivered_at timestamptz,
    CONSTRAINT automation_signals_pkey PRIMARY KEY (execution_id, event_id),
    CONSTRAINT automation_signals_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES automation_execution_logs (id)
);
CREATE INDEX automation_signals_undelivered_idx ON automation_signals (created_at) WHERE delivered_at IS NULL;

-- What a run decided on its way, in the words people read.
CREATE TABLE automation_decisions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    organization_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    step_id text,
    kind text NOT NULL,
    detail text NOT NULL,
    decided_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT automation_decisions_pkey PRIMARY KEY (id),
    CONSTRAINT automation_decisions_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES automation_execution_logs (id)
);
CREATE INDEX automation_decisions_execution_id_id_idx ON automation_decisions (execution_id, id);

-- What a run did to other systems and to the business's records: once per step.
CREATE TABLE automation_actions (
    execution_id uuid NOT NULL,
    step_id text NOT NULL,
    organization_id uuid NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    reason text,
    detail jsonb DEFAULT '{}' NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamptz,
    CONSTRAINT automation_actions_pkey PRIMARY KEY (execution_id, step_id),
    CONSTRAINT automation_actions_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES automation_execution_logs (id)
);

-- A held message says until when; the rules that hold it depend on its class.
ALTER TABLE messages
    ADD COLUMN message_class text DEFAULT 'transactional' NOT NULL,
    ADD COLUMN good_until timestamptz,
    ADD COLUMN held_until timestamptz,
    ADD CONSTRAINT messages_message_class_check
        CHECK (message_class IN ('transactional', 'marketing', 'urgent'));
-- How many messages a client got lately.
CREATE INDEX messages_recipient_idx ON messages (organization_id, recipient_id, sending_at) WHERE recipient_kind = 'client' AND sending_at IS NOT NULL;

CREATE TABLE automation_rules (
    organization_id uuid NOT NULL,
    rules jsonb NOT NULL,
    updated_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT automation_rules_pkey PRIMARY KEY (organization_id),
    CONSTRAINT automation_rules_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- What a client does not want: by channel, and by class where message_class is not null. Beside
-- the two columns of clients, which speak for their whole channel.
CREATE TABLE client_opt_outs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    client_id uuid NOT NULL,
    channel text NOT NULL,
    message_class text,
    source text NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT client_opt_outs_pkey PRIMARY KEY (id),
    CONSTRAINT client_opt_outs_channel_check CHECK (channel IN ('email', 'sms')),
    CONSTRAINT client_opt_outs_message_class_check
        CHECK (message_class IN ('transactional', 'marketing', 'urgent')),
    CONSTRAINT client_opt_outs_once_key
        UNIQUE NULLS NOT DISTINCT (organization_id, client_id, channel, message_class),
    CONSTRAINT client_opt_outs_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- Addresses that get nothing, whoever they belong to: emails in lower case, phones in E.164.
CREATE TABLE suppressions (
    organization_id uuid NOT NULL,
    channel text NOT NULL,
    address text NOT NULL,
    reason text NOT NULL,
    source text NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT suppressions_pkey PRIMARY KEY (organization_id, channel, address),
    CONSTRAINT suppressions_channel_check CHECK (channel IN ('email', 'sms')),
    CONSTRAINT suppressions_address_check CHECK (address = lower(address)),
    CONSTRAINT suppressions_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- The key an organization's webhooks are signed with, and where it wants to hear of failures.
CREATE TABLE webhook_settings (
    organization_id uuid NOT NULL,
    secret text NOT NULL,
    failure_url text,
    failing_since timestamptz,
    disabled_at timestamptz,
    disabled_reason text,
    updated_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT webhook_settings_pkey PRIMARY KEY (organization_id),
    CONSTRAINT webhook_settings_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- One per failed execution that is to be told of.
CREATE TABLE webhook_deliveries (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    status text DEFAULT 'pending' NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    reason text,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    launched_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_deliveries_status_check
        CHECK (status IN ('pending', 'delivered', 'failed', 'cancelled')),
    CONSTRAINT webhook_deliveries_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT webhook_deliveries_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES automation_execution_logs (id)
);
CREATE INDEX webhook_deliveries_pending_idx ON webhook_deliveries (created_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_organization_id_created_at_idx ON webhook_deliveries (organization_id, created_at);

-- What happened to a subject, and what came of it, for people who ask why.
CREATE INDEX automation_events_subject_idx ON automation_events (organization_id, subject_id, id);
CREATE INDEX automation_execution_logs_about_idx ON automation_execution_logs (organization_id, subject_id, created_at);
-- Who else has an address: an email in any case, a phone by its last nine digits.
CREATE INDEX clients_email_idx ON clients (organization_id, lower(email));
CREATE INDEX clients_phone_idx ON clients (organization_id, "right"(regexp_replace(phone, '[^0-9]'::text, ''::text, 'g'::text), 9));
