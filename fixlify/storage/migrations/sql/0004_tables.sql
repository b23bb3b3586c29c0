-- Delivery: what became of every message, what providers report, and what messages are made of.

-- How a company looks in its mail, and where its clients find what messages lead to. A link may
-- hold fields, as in https://pay.example/{invoice.number}.
ALTER TABLE organizations
    ADD COLUMN logo_url text,
    ADD COLUMN brand_color text,
    ADD COLUMN address text,
    ADD COLUMN links jsonb DEFAULT '{}' NOT NULL,
    -- In E.164: texts to this number are the company's.
    ADD COLUMN sms_number text;
CREATE INDEX organizations_sms_number_idx ON organizations (sms_number) WHERE sms_number IS NOT NULL;

-- The language a client is written to in; the company's where nobody wrote one.
ALTER TABLE clients ADD COLUMN locale text;

-- The provider's own name for a text that came in: told of twice, it came in once.
ALTER TABLE inbound_messages ADD COLUMN provider_id text;
CREATE UNIQUE INDEX inbound_messages_provider_idx ON inbound_messages (organization_id, provider_id) WHERE provider_id IS NOT NULL;

ALTER TABLE messages DROP CONSTRAINT messages_status_check;
ALTER TABLE messages
    ADD COLUMN sender text,
    ADD COLUMN delivered_at timestamptz,
    ADD COLUMN price numeric(12, 5),
    ADD COLUMN price_currency text,
    ADD CONSTRAINT messages_status_check CHECK (status IN (
        'queued', 'held', 'sending', 'sent', 'delivered', 'undelivered', 'bounced', 'failed',
        'unknown', 'suppressed', 'cancelled'
    ));
-- One message of a provider's is one message of ours.
CREATE UNIQUE INDEX messages_provider_idx ON messages (provider, provider_id) WHERE provider_id IS NOT NULL;
-- What was sent lately stands at the end of the table.
CREATE INDEX messages_sent_idx ON messages USING brin (sent_at);
-- What went to an address lately: who an answer comes from, what a provider's list is to show.
CREATE INDEX messages_address_idx ON messages (recipient, sending_at) WHERE sending_at IS NOT NULL;

-- Every change of a message's status, with its time and cause; attempts are those to and from
-- 'sending'. Never changed.
CREATE TABLE message_transitions (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    organization_id uuid NOT NULL,
    message_id uuid NOT NULL,
    from_status text NOT NULL,
    to_status text NOT NULL,
    at timestamptz DEFAULT clock_timestamp() NOT NULL,
    cause text NOT NULL,
    attempt integer NOT NULL,
    provider text,
    provider_id text,
    sender text,
    error_code text,
    CONSTRAINT message_transitions_pkey PRIMARY KEY (id),
    CONSTRAINT message_transitions_message_id_fkey FOREIGN KEY (message_id) REFERENCES messages (id)
);
CREATE INDEX message_transitions_message_id_id_idx ON message_transitions (message_id, id);

-- What people said about messages, and the evidence that they did; never changed.
CREATE TABLE consent_records (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    organization_id uuid NOT NULL,
    client_id uuid,
    channel text NOT NULL,
    message_class text,
    address text,
    wants boolean NOT NULL,
    source text NOT NULL,
    evidence jsonb DEFAULT '{}' NOT NULL,
    said_at timestamptz NOT NULL,
    recorded_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT consent_records_pkey PRIMARY KEY (id),
    CONSTRAINT consent_records_channel_check CHECK (channel IN ('email', 'sms')),
    CONSTRAINT consent_records_message_class_check
        CHECK (message_class IN ('transactional', 'marketing', 'urgent')),
    CONSTRAINT consent_records_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX consent_records_organization_id_client_id_id_idx ON consent_records (organization_id, client_id, id);
CREATE INDEX consent_records_organization_id_address_id_idx ON consent_records (organization_id, address, id);

-- How fast each channel may send, and whether it may at all; the operator's, for every company.
CREATE TABLE channel_settings (
    channel text NOT NULL,
    per_second double precision,
    organization_per_second double precision,
    paused_at timestamptz,
    paused_reason text,
    updated_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT channel_settings_pkey PRIMARY KEY (channel),
    CONSTRAINT channel_settings_channel_check CHECK (channel IN ('email', 'sms', 'webhook')),
    CONSTRAINT channel_settings_per_second_check CHECK (per_second > 0),
    CONSTRAINT channel_settings_organization_per_second_check CHECK (organization_per_second > 0)
);

-- A company's own templates, by language; each change is a version of its own. The newest default
-- is the language of those whose own there is none in.
CREATE TABLE message_templates (
    organization_id uuid NOT NULL,
    name text NOT NULL,
    locale text NOT NULL,
    version integer NOT NULL,
    is_default boolean NOT NULL,
    source jsonb NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT message_templates_pkey PRIMARY KEY (organization_id, name, locale, version),
    CONSTRAINT message_templates_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
