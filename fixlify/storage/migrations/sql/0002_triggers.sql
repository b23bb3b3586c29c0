-- Row triggers record what happened to a row, in the transaction that did it, and nothing else:
-- no matching, no look-ups, no statuses compared by meaning. The relay does that later.
--
-- They read rows as JSON, so a column that a company dropped is empty rather than an error that
-- would fail its write, and one of a type without equality is compared all the same. They run with
-- the owner's rights, so whoever may write a row needs no right to the outbox.

-- A row as JSON. What jsonb cannot hold (a json column with a zero byte or a number beyond any
-- measure, a text of half a gigabyte) is its MD5 there: enough to see that it changed.
CREATE FUNCTION fixlify_row(given anyelement) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found jsonb := '{}';
    column_name text;
    value jsonb;
BEGIN
    RETURN to_jsonb(given);
EXCEPTION WHEN others THEN
    FOR column_name IN
        SELECT a.attname
        FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
        WHERE t.oid = pg_typeof(given) AND a.attnum > 0 AND NOT a.attisdropped
    LOOP
        BEGIN
            EXECUTE format('SELECT to_jsonb(($1).%I)', column_name) INTO value USING given;
        EXCEPTION WHEN others THEN
            EXECUTE format('SELECT to_jsonb(md5(($1).%I::text))', column_name)
                INTO value USING given;
        END;
        found := found || jsonb_build_object(column_name, value);
    END LOOP;
    RETURN found;
END
$$;

-- The tags that came and went, or null where none did; a single word is a list of one.
CREATE FUNCTION fixlify_tags_moved(was jsonb, now_is jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    WITH tags (came, went) AS (
        SELECT CASE jsonb_typeof(now_is)
                   WHEN 'array' THEN now_is WHEN 'null' THEN '[]'
                   ELSE coalesce(jsonb_build_array(now_is), '[]') END,
               CASE jsonb_typeof(was)
                   WHEN 'array' THEN was WHEN 'null' THEN '[]'
                   ELSE coalesce(jsonb_build_array(was), '[]') END
    ), moved (added, removed) AS (
        SELECT array(SELECT jsonb_array_elements(came) EXCEPT SELECT jsonb_array_elements(went)),
               array(SELECT jsonb_array_elements(went) EXCEPT SELECT jsonb_array_elements(came))
        FROM tags
    )
    SELECT jsonb_build_object('added', to_jsonb(added), 'removed', to_jsonb(removed))
    FROM moved
    WHERE added <> '{}' OR removed <> '{}'
$$;

CREATE FUNCTION fixlify_record_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was jsonb;
    now_is jsonb;
    changed text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        now_is := public.fixlify_row(NEW);
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'job_created', 'job', NEW.id,
                jsonb_build_object('after', now_is -> 'status'));
        IF now_is ->> 'schedule_start' IS NOT NULL THEN
            INSERT INTO public.automation_events
                (organization_id, event_type, subject_type, subject_id, data)
            VALUES (NEW.organization_id, 'job_scheduled', 'job', NEW.id,
                    jsonb_build_object('before', NULL, 'after', now_is -> 'schedule_start'));
        END IF;
        PERFORM pg_notify('automation_events', '');
        RETURN NULL;
    END IF;

    -- fixlify_row() does the same; calling it twice is what a write would notice.
    BEGIN
        was := to_jsonb(OLD);
        now_is := to_jsonb(NEW);
    EXCEPTION WHEN others THEN
        was := public.fixlify_row(OLD);
        now_is := public.fixlify_row(NEW);
    END;
    IF was = now_is THEN
        RETURN NULL;
    ELSIF was - 'status' = now_is - 'status' THEN
        -- Most writes move the status alone, and need no look at every column.
        changed := '{status}';
    ELSE
        changed := ARRAY(
            SELECT key FROM (SELECT jsonb_object_keys(now_is) AS key) AS columns
            WHERE now_is -> key IS DISTINCT FROM was -> key
        );
    END IF;
    -- One change that means several things is several events, the most urgent first.
    INSERT INTO public.automation_events
        (organization_id, event_type, subject_type, subject_id, data)
    SELECT NEW.organization_id, happened.event_type, 'job', NEW.id, happened.data
    FROM (VALUES
        ('job_status_changed',
         CASE WHEN 'status' = ANY (changed) THEN
             jsonb_build_object('before', was -> 'status', 'after', now_is -> 'status')
         END),
        ('job_scheduled',
         CASE WHEN 'schedule_start' = ANY (changed) AND now_is ->> 'schedule_start' IS NOT NULL THEN
             jsonb_build_object('before', was -> 'schedule_start',
                                'after', now_is -> 'schedule_start')
         END),
        ('job_tags_changed',
         CASE WHEN 'tags' = ANY (changed) THEN
             public.fixlify_tags_moved(was -> 'tags', now_is -> 'tags')
         END),
        ('job_updated', jsonb_build_object('changed', changed))
    ) AS happened (event_type, data)
    WHERE happened.data IS NOT NULL;
    PERFORM pg_notify('automation_events', '');
    RETURN NULL;
END
$$;

-- A double click writes the same status twice. The repetition is recorded, so that people can
-- see it was noticed and nothing was sent for it; nobody waits for it, so nobody is notified.
CREATE FUNCTION fixlify_record_job_rewrite() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.automation_events
        (organization_id, event_type, subject_type, subject_id, data)
    VALUES (NEW.organization_id, 'job_status_changed', 'job', NEW.id,
            jsonb_build_object('before', public.fixlify_row(OLD) -> 'status',
                               'after', public.fixlify_row(NEW) -> 'status'));
    RETURN NULL;
END
$$;

CREATE FUNCTION fixlify_record_client() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was jsonb;
    now_is jsonb;
    changed text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO public.automation_events (organization_id, event_type, subject_type, subject_id)
        VALUES (NEW.organization_id, 'client_created', 'client', NEW.id::text);
        PERFORM pg_notify('automation_events', '');
        RETURN NULL;
    END IF;

    was := public.fixlify_row(OLD);
    now_is := public.fixlify_row(NEW);
    changed := ARRAY(
        SELECT key FROM (SELECT jsonb_object_keys(now_is) AS key) AS columns
        WHERE now_is -> key IS DISTINCT FROM was -> key
    );
    IF changed = '{}' THEN
        RETURN NULL;
    END IF;
    INSERT INTO public.automation_events
        (organization_id, event_type, subject_type, subject_id, data)
    SELECT NEW.organization_id, happened.event_type, 'client', NEW.id::text, happened.data
    FROM (VALUES
        ('client_tags_changed',
         CASE WHEN 'tags' = ANY (changed) THEN
             public.fixlify_tags_moved(was -> 'tags', now_is -> 'tags')
         END),
        ('client_updated', jsonb_build_object('changed', changed))
    ) AS happened (event_type, data)
    WHERE happened.data IS NOT NULL;
    PERFORM pg_notify('automation_events', '');
    RETURN NULL;
END
$$;

-- Estimates and invoices: what counts is where they stand, also when they are entered.
-- The trigger's argument says which of the two it is.
CREATE FUNCTION fixlify_record_standing() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_is CONSTANT jsonb := coalesce(public.fixlify_row(NEW) -> 'status', 'null');
    was jsonb := 'null';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        was := coalesce(public.fixlify_row(OLD) -> 'status', 'null');
    END IF;
    IF was <> now_is THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, TG_ARGV[0] || '_status_changed', TG_ARGV[0], NEW.id::text,
                jsonb_build_object('before', was, 'after', now_is));
        PERFORM pg_notify('automation_events', '');
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION fixlify_record_payment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_is CONSTANT jsonb := public.fixlify_row(NEW);
BEGIN
    INSERT INTO public.automation_events
        (organization_id, event_type, subject_type, subject_id, data)
    VALUES (NEW.organization_id, 'payment_received', 'payment', NEW.id::text,
            jsonb_build_object('amount', now_is -> 'amount', 'method', now_is -> 'method'));
    PERFORM pg_notify('automation_events', '');
    RETURN NULL;
END
$$;

CREATE FUNCTION fixlify_record_task() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_is CONSTANT jsonb := coalesce(public.fixlify_row(NEW) -> 'status', 'null');
    was jsonb;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'task_created', 'task', NEW.id::text,
                jsonb_build_object('after', now_is));
    ELSE
        was := coalesce(public.fixlify_row(OLD) -> 'status', 'null');
        IF was = now_is THEN
            RETURN NULL;
        END IF;
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'task_status_changed', 'task', NEW.id::text,
                jsonb_build_object('before', was, 'after', now_is));
    END IF;
    PERFORM pg_notify('automation_events', '');
    RETURN NULL;
END
$$;

CREATE FUNCTION fixlify_record_inbound_message() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.automation_events
        (organization_id, event_type, subject_type, subject_id, data)
    VALUES (NEW.organization_id, 'sms_received', 'sms', NEW.id::text,
            jsonb_build_object('body', public.fixlify_row(NEW) -> 'body'));
    PERFORM pg_notify('automation_events', '');
    RETURN NULL;
END
$$;

DROP TRIGGER fixlify_job_created ON jobs;
DROP TRIGGER fixlify_job_status_changed ON jobs;
DROP TRIGGER fixlify_job_status_rewritten ON jobs;
DROP FUNCTION fixlify_record_job_created();
DROP FUNCTION fixlify_record_job_status();

-- They compare the rows, not the statement's column list: a BEFORE trigger of the company's own
-- may change a status that the statement does not name.
CREATE TRIGGER fixlify_job_recorded
    AFTER INSERT OR UPDATE ON jobs
    FOR EACH ROW EXECUTE FUNCTION fixlify_record_job();
CREATE TRIGGER fixlify_job_status_rewritten
    AFTER UPDATE OF status ON jobs
    FOR EACH ROW WHEN (OLD.status IS NOT DISTINCT FROM NEW.status)
    EXECUTE FUNCTION fixlify_record_job_rewrite();
CREATE TRIGGER fixlify_client_recorded
    AFTER INSERT OR UPDATE ON clients
    FOR EACH ROW EXECUTE FUNCTION fixlify_record_client();
CREATE TRIGGER fixlify_estimate_recorded
    AFTER INSERT OR UPDATE ON estimates
    FOR EACH ROW EXECUTE FUNCTION fixlify_record_standing('estimate');
CREATE TRIGGER fixlify_invoice_recorded
    AFTER INSERT OR UPDATE ON invoices
    FOR EACH ROW EXECUTE FUNCTION fixlify_record_standing('invoice');
CREATE TRIGGER fixlify_payment_recorded
    AFTER INSERT ON payments
    FOR EACH ROW EXECUTE FUNCTION fixlify_record_payment();
CREATE TRIGGER fixlify_task_recorded
    AFTER INSERT OR UPDATE ON tasks
    FOR EACH ROW EXECUTE FUNCTION fixlify_record_task();
CREATE TRIGGER fixlify_inbound_message_recorded
    AFTER INSERT ON inbound_messages
    FOR EACH ROW EXECUTE FUNCTION fixlify_record_inbound_message();

-- Firing needs no right to a function, hanging it on a table does: on a table of one's own the
-- owner's rights would write events of any organization.
REVOKE EXECUTE ON FUNCTION
    fixlify_record_job(), fixlify_record_job_rewrite(), fixlify_record_client(),
    fixlify_record_standing(), fixlify_record_payment(), fixlify_record_task(),
    fixlify_record_inbound_message()
FROM PUBLIC;

-- An automation listens from the moment it becomes active, also where that is done by hand.
CREATE FUNCTION fixlify_note_activation() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.status = 'active' AND (TG_OP = 'INSERT' OR OLD.status <> 'active') THEN
        NEW.activated_at := clock_timestamp();
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER fixlify_automation_activated
    BEFORE INSERT OR UPDATE OF status ON automation_workflows
    FOR EACH ROW EXECUTE FUNCTION fixlify_note_activation();

-- Who a subject concerns now, whatever it is: the last look before a message goes out.
-- No row: the subject is gone, or nothing can have an id like this.
CREATE FUNCTION fixlify_people_of(organization uuid, subject_type text, subject_id text)
RETURNS TABLE (client_id uuid, technician_id uuid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    row_id uuid;
BEGIN
    IF subject_type NOT IN ('job', 'organization') THEN
        BEGIN
            row_id := subject_id::uuid;
        EXCEPTION WHEN invalid_text_representation THEN
            RETURN;
        END;
    END IF;
    CASE subject_type
    WHEN 'job' THEN
        RETURN QUERY SELECT j.client_id, j.technician_id FROM public.jobs j
            WHERE j.organization_id = organization AND j.id = subject_id;
    WHEN 'client' THEN
        RETURN QUERY SELECT c.id, NULL::uuid FROM public.clients c
            WHERE c.organization_id = organization AND c.id = row_id;
    WHEN 'estimate' THEN
        RETURN QUERY SELECT coalesce(e.client_id, j.client_id), j.technician_id
            FROM public.estimates e
            LEFT JOIN public.jobs j ON j.organization_id = e.organization_id AND j.id = e.job_id
            WHERE e.organization_id = organization AND e.id = row_id;
    WHEN 'invoice' THEN
        RETURN QUERY SELECT coalesce(i.client_id, j.client_id), j.technician_id
            FROM public.invoices i
            LEFT JOIN public.jobs j ON j.organization_id = i.organization_id AND j.id = i.job_id
            WHERE i.organization_id = organization AND i.id = row_id;
    WHEN 'payment' THEN
        RETURN QUERY SELECT coalesce(p.client_id, i.client_id, j.client_id), j.technician_id
            FROM public.payments p
            LEFT JOIN public.invoices i
                ON i.organization_id = p.organization_id AND i.id = p.invoice_id
            LEFT JOIN public.jobs j ON j.organization_id = i.organization_id AND j.id = i.job_id
            WHERE p.organization_id = organization AND p.id = row_id;
    WHEN 'task' THEN
        RETURN QUERY SELECT coalesce(t.client_id, j.client_id),
                            coalesce(t.assignee_id, j.technician_id)
            FROM public.tasks t
            LEFT JOIN public.jobs j ON j.organization_id = t.organization_id AND j.id = t.job_id
            WHERE t.organization_id = organization AND t.id = row_id;
    WHEN 'sms' THEN
        RETURN QUERY SELECT m.client_id, NULL::uuid FROM public.inbound_messages m
            WHERE m.organization_id = organization AND m.id = row_id;
    ELSE
        RETURN QUERY SELECT NULL::uuid, NULL::uuid FROM public.organizations o
            WHERE o.id = organization;
    END CASE;
END
$$;
