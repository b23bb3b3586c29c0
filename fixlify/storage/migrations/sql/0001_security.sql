-- Two roles, neither of which can log in: a process connects as its own user and takes one.
--
--   fixlify_app     people and the API: one organization at a time, named by
--                   SET LOCAL fixlify.organization_id; without it they see nothing
--   fixlify_engine  relay and workers: every organization, but only what the engine does;
--                   it never writes business rows and never deletes
--
-- Roles belong to the whole server, so they may be there already.

DO $$
DECLARE
    role_name text;
    may_take CONSTANT text :=
        CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['fixlify_app', 'fixlify_engine'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of this server was being migrated at the same moment
            END;
        END IF;
        -- From 16 on, who creates a role is its member at once, but may not take it.
        IF NOT pg_has_role(current_user, role_name, may_take) THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', role_name);
        END IF;
    END LOOP;
END
$$;

CREATE FUNCTION fixlify_current_organization() RETURNS uuid
LANGUAGE sql STABLE AS $$
    SELECT nullif(current_setting('fixlify.organization_id', true), '')::uuid
$$;

DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY[
        'organizations', 'profiles', 'clients', 'jobs', 'invoices',
        'automation_workflows', 'automation_workflow_versions', 'automation_events',
        'automation_execution_logs', 'automation_step_logs', 'messages', 'automation_schedules'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format(
            'CREATE POLICY one_organization ON %I TO fixlify_app '
            'USING (%s = (SELECT fixlify_current_organization())) '
            'WITH CHECK (%s = (SELECT fixlify_current_organization()))',
            table_name,
            CASE table_name WHEN 'organizations' THEN 'id' ELSE 'organization_id' END,
            CASE table_name WHEN 'organizations' THEN 'id' ELSE 'organization_id' END
        );
        EXECUTE format(
            'CREATE POLICY every_organization ON %I TO fixlify_engine USING (true) WITH CHECK (true)',
            table_name
        );
        EXECUTE format('GRANT SELECT ON %I TO fixlify_app, fixlify_engine', table_name);
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO fixlify_app, fixlify_engine;

GRANT INSERT, UPDATE, DELETE ON profiles, clients, jobs, invoices TO fixlify_app;
GRANT UPDATE ON organizations TO fixlify_app;
GRANT INSERT, UPDATE ON automation_workflows TO fixlify_app;
GRANT INSERT ON automation_workflow_versions TO fixlify_app;

GRANT UPDATE (processed_at, outcome) ON automation_events TO fixlify_engine;
GRANT INSERT, UPDATE ON automation_execution_logs, automation_step_logs, messages
    TO fixlify_engine;
