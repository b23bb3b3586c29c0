-- Rights to the new tables, by the rules of 0001: people see one organization, the engine every
-- one of them.

DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY[
        'estimates', 'payments', 'tasks', 'inbound_messages',
        'automation_analytics', 'api_keys', 'api_requests'
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
        EXECUTE format('GRANT SELECT ON %I TO fixlify_app, fixlify_engine', table_name);
    END LOOP;
END
$$;

-- What concerns all organizations belongs to none, and may be seen by each: the sweeps' schedules
-- and when they ran, and a stop of everything.
DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY[
        'automation_schedules', 'automation_schedule_runs', 'automation_stops'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format(
            'CREATE POLICY one_organization ON %I FOR SELECT TO fixlify_app '
            'USING (organization_id IS NULL '
            'OR organization_id = (SELECT fixlify_current_organization()))',
            table_name
        );
        EXECUTE format(
            'CREATE POLICY every_organization ON %I TO fixlify_engine USING (true) WITH CHECK (true)',
            table_name
        );
    END LOOP;
END
$$;
CREATE POLICY own_stop ON automation_stops TO fixlify_app
    USING (organization_id = (SELECT fixlify_current_organization()))
    WITH CHECK (organization_id = (SELECT fixlify_current_organization()));

-- How much a sweep found in all organizations together is nobody's business.
GRANT SELECT (id, schedule_id, organization_id, scheduled_at, started_at, finished_at, status)
    ON automation_schedule_runs TO fixlify_app;
GRANT SELECT ON automation_schedules, automation_stops TO fixlify_app;

GRANT INSERT, UPDATE, DELETE ON estimates, payments, tasks TO fixlify_app;
GRANT INSERT, UPDATE ON inbound_messages, api_keys TO fixlify_app;
GRANT INSERT, DELETE ON automation_stops TO fixlify_app;

GRANT INSERT ON automation_events TO fixlify_engine;
GRANT SELECT, INSERT, UPDATE, DELETE ON automation_schedules TO fixlify_engine;
GRANT SELECT, INSERT, UPDATE ON automation_schedule_runs TO fixlify_engine;
GRANT SELECT, INSERT, UPDATE, DELETE ON automation_analytics TO fixlify_engine;
GRANT SELECT, INSERT, DELETE ON automation_stops TO fixlify_engine;
GRANT UPDATE (last_used_at) ON api_keys TO fixlify_engine;
GRANT INSERT, DELETE ON api_requests TO fixlify_engine;
GRANT EXECUTE ON FUNCTION fixlify_people_of(uuid, text, text) TO fixlify_engine, fixlify_app;
