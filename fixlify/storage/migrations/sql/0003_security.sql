-- Rights to the new tables, by the rules of 0001: people see one organization, the engine every
-- one of them.

DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY[
        'automation_signals', 'automation_decisions', 'automation_actions', 'automation_rules',
        'client_opt_outs', 'suppressions', 'webhook_settings', 'webhook_deliveries'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format(
            'CREATE POLICY one_organization ON %I TO fixlify_app '
            'USING (organization_id = (SELECT fixlify_current_organization())) '
            'WITH CHECK (organization_id = (SELECT fixlify_current_organization()))',
            table_name
        );
        EXECUTE format(
            'CREATE POLICY every_organization ON %I TO fixlify_engine USING (true) WITH CHECK (true)',
            table_name
        );
        EXECUTE format('GRANT SELECT ON %I TO fixlify_engine', table_name);
    END LOOP;
END
$$;

GRANT SELECT ON automation_signals, automation_decisions, automation_actions, automation_rules,
    client_opt_outs, suppressions, webhook_deliveries TO fixlify_app;
-- Not the secret: whoever may look at the company's settings may not sign in its name.
GRANT SELECT (organization_id, failure_url, failing_since, disabled_at, disabled_reason, updated_at)
    ON webhook_settings TO fixlify_app;
GRANT INSERT, UPDATE ON webhook_settings TO fixlify_app;
GRANT INSERT, UPDATE, DELETE ON automation_rules, client_opt_outs, suppressions TO fixlify_app;

GRANT INSERT, UPDATE, DELETE ON automation_signals TO fixlify_engine;
GRANT INSERT ON automation_decisions TO fixlify_engine;
GRANT INSERT, UPDATE, DELETE ON automation_actions TO fixlify_engine;
GRANT INSERT, UPDATE, DELETE ON client_opt_outs, suppressions TO fixlify_engine;
GRANT INSERT, UPDATE ON webhook_settings, webhook_deliveries TO fixlify_engine;
-- A redrive forgets the steps that are to be done again.
GRANT DELETE ON automation_step_logs TO fixlify_engine;

-- What steps write to the business's records.
GRANT UPDATE (status, tags, lead_source, description) ON jobs TO fixlify_engine;
GRANT UPDATE (tags, lead_source) ON clients TO fixlify_engine;
GRANT UPDATE (status) ON estimates, invoices TO fixlify_engine;
GRANT UPDATE (status, description) ON tasks TO fixlify_engine;
GRANT INSERT ON tasks TO fixlify_engine;
GRANT EXECUTE ON FUNCTION fixlify_relatives_of(uuid, text, text) TO fixlify_engine, fixlify_app;
