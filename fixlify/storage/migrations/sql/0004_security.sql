-- Rights to the new tables, by the rules of 0001: people see one organization, the engine every
-- one of them. How fast channels send is the operator's alone.

DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY[
        'message_transitions', 'consent_records', 'message_templates'
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
        EXECUTE format('GRANT SELECT ON %I TO fixlify_engine, fixlify_app', table_name);
    END LOOP;
END
$$;

ALTER TABLE channel_settings ENABLE ROW LEVEL SECURITY;
CREATE POLICY every_organization ON channel_settings TO fixlify_engine USING (true) WITH CHECK (true);
CREATE POLICY all_channels ON channel_settings FOR SELECT TO fixlify_app USING (true);
GRANT SELECT ON channel_settings TO fixlify_app;
GRANT SELECT, INSERT, UPDATE ON channel_settings TO fixlify_engine;

GRANT INSERT ON message_transitions TO fixlify_engine;
GRANT INSERT ON consent_records TO fixlify_engine, fixlify_app;
GRANT INSERT ON message_templates TO fixlify_engine, fixlify_app;
-- What comes back from outside is written by the engine.
GRANT INSERT ON inbound_messages TO fixlify_engine;
