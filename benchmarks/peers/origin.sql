-- The system that lived inside Postgres, as its own papers describe it: a row trigger writes a
-- pending log row, and everything else is up to whoever polls.

CREATE TABLE clients (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    email text,
    phone text
);

CREATE TABLE jobs (
    id text PRIMARY KEY,
    client_id uuid REFERENCES clients (id),
    title text NOT NULL,
    status text NOT NULL,
    total numeric NOT NULL
);

CREATE TABLE automation_workflows (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    trigger_type text NOT NULL,
    subject text NOT NULL,
    email text NOT NULL,
    sms text NOT NULL
);

CREATE TABLE automation_execution_logs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workflow_id uuid NOT NULL REFERENCES automation_workflows (id),
    trigger_type text NOT NULL,
    trigger_data jsonb NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz
);

CREATE INDEX ON automation_execution_logs (status, created_at);
CREATE INDEX ON automation_execution_logs ((trigger_data ->> 'job_id'), created_at);

CREATE FUNCTION handle_job_automation_triggers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'completed' AND OLD.status != NEW.status THEN
        INSERT INTO automation_execution_logs (workflow_id, trigger_type, trigger_data)
        SELECT workflow.id, workflow.trigger_type,
               jsonb_build_object('job_id', NEW.id, 'old_status', OLD.status,
                                  'new_status', NEW.status)
        FROM automation_workflows workflow
        WHERE workflow.status = 'active' AND workflow.trigger_type = 'job_completed'
          -- The window against duplicates.
          AND NOT EXISTS (
              SELECT FROM automation_execution_logs log
              WHERE log.workflow_id = workflow.id AND log.trigger_data ->> 'job_id' = NEW.id
                AND log.created_at > now() - interval '30 seconds'
          );
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER job_automation_triggers AFTER UPDATE ON jobs
FOR EACH ROW EXECUTE FUNCTION handle_job_automation_triggers();

INSERT INTO automation_workflows (name, trigger_type, subject, email, sms) VALUES (
    'Thank you when a job is completed',
    'job_completed',
    'Thank you: {{job_title}} is complete',
    '<p>Hi {{client_name}},</p><p>{{job_title}} is complete. Total: ${{total}}.</p>'
        '<p>If anything is not quite right, just reply to this email.</p>',
    'Thank you, {{client_name}}! {{job_title}} is complete. Total: ${{total}}.'
);
