-- Row triggers record what happened to a row, in the transaction that did it, and nothing else:
-- no matching, no look-ups, no statuses compared by meaning. The relay does that later.
--
-- They read rows as JSON, so a column that a company dropped is empty rather than an error that
-- would fail its write, and one of a type without equality is compared all the same. They run with
-- the owner's rights, so whoever may write a row needs no right to the outbox.

CREATE FUNCTION fixlify_changed(before jsonb, after jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_agg(key ORDER BY key)
    FROM jsonb_each(after) AS each (key, value)
    WHERE value IS DISTINCT FROM before -> key
$$;

-- The items of *one* that *other* has not; what is no list has no items.
CREATE FUNCTION fixlify_items_missing(one jsonb, other jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(jsonb_agg(DISTINCT item), '[]')
    FROM jsonb_array_elements(CASE jsonb_typeof(one) WHEN 'array' THEN one ELSE '[]' END) AS item
    WHERE NOT coalesce(other, '[]') @> jsonb_build_array(item)
$$;

CREATE FUNCTION fixlify_record_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was jsonb;
    now_is CONSTANT jsonb := to_jsonb(NEW);
    changed jsonb;
BEGIN
    IF TG_OP = 'INSERT' THEN
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

    was := to_jsonb(OLD);
    changed := public.fixlify_changed(was, now_is);
    IF changed IS NULL THEN
        RETURN NULL;
    END IF;
    -- One change that means several things is several events, the most urgent first.
    IF changed ? 'status' THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'job_status_changed', 'job', NEW.id,
                jsonb_build_object('before', was -> 'status', 'after', now_is -> 'status'));
    END IF;
    IF changed ? 'schedule_start' AND now_is ->> 'schedule_start' IS NOT NULL THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'job_scheduled', 'job', NEW.id,
                jsonb_build_object('before', was -> 'schedule_start',
                                   'after', now_is -> 'schedule_start'));
    END IF;
    IF changed ? 'tags' THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'job_tags_changed', 'job', NEW.id,
                jsonb_build_object(
                    'added', public.fixlify_items_missing(now_is -> 'tags', was -> 'tags'),
                    'removed', public.fixlify_items_missing(was -> 'tags', now_is -> 'tags')));
    END IF;
    INSERT INTO public.automation_events
        (organization_id, event_type, subject_type, subject_id, data)
    VALUES (NEW.organization_id, 'job_updated', 'job', NEW.id,
            jsonb_build_object('changed', changed));
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
            jsonb_build_object('before', OLD.status, 'after', NEW.status));
    RETURN NULL;
END
$$;

CREATE FUNCTION fixlify_record_client() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was jsonb;
    now_is CONSTANT jsonb := to_jsonb(NEW);
    changed jsonb;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO public.automation_events (organization_id, event_type, subject_type, subject_id)
        VALUES (NEW.organization_id, 'client_created', 'client', NEW.id::text);
        PERFORM pg_notify('automation_events', '');
        RETURN NULL;
    END IF;

    was := to_jsonb(OLD);
    changed := public.fixlify_changed(was, now_is);
    IF changed IS NULL THEN
        RETURN NULL;
    END IF;
    IF changed ? 'tags' THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'client_tags_changed', 'client', NEW.id::text,
                jsonb_build_object(
                    'added', public.fixlify_items_missing(now_is -> 'tags', was -> 'tags'),
                    'removed', public.fixlify_items_missing(was -> 'tags', now_is -> 'tags')));
    END IF;
    INSERT INTO public.automation_events
        (organization_id, event_type, subject_type, subject_id, data)
    VALUES (NEW.organization_id, 'client_updated', 'client', NEW.id::text,
            jsonb_build_object('changed', changed));
    PERFORM pg_notify('automation_events', '');
    RETURN NULL;
END
$$;

-- Estimates and invoices: what counts is where they stand, also when they are entered.
CREATE FUNCTION fixlify_record_estimate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was CONSTANT jsonb := CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) -> 'status' END;
    now_is CONSTANT jsonb := to_jsonb(NEW) -> 'status';
BEGIN
    IF coalesce(was, 'null') IS DISTINCT FROM coalesce(now_is, 'null') THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'estimate_status_changed', 'estimate', NEW.id::text,
                jsonb_build_object('before', was, 'after', now_is));
        PERFORM pg_notify('automation_events', '');
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION fixlify_record_invoice() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was CONSTANT jsonb := CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) -> 'status' END;
    now_is CONSTANT jsonb := to_jsonb(NEW) -> 'status';
BEGIN
    IF coalesce(was, 'null') IS DISTINCT FROM coalesce(now_is, 'null') THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'invoice_status_changed', 'invoice', NEW.id::text,
                jsonb_build_object('before', was, 'after', now_is));
        PERFORM pg_notify('automation_events', '');
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION fixlify_record_payment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_is CONSTANT jsonb := to_jsonb(NEW);
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
    was CONSTANT jsonb := CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) -> 'status' END;
    now_is CONSTANT jsonb := to_jsonb(NEW) -> 'status';
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'task_created', 'task', NEW.id::text,
                jsonb_build_object('after', now_is));
    ELSIF was IS DISTINCT FROM now_is THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'task_status_changed', 'task', NEW.id::text,
                jsonb_build_object('before', was, 'after', now_is));
    ELSE
        RETURN NULL;
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
            jsonb_build_object('body', to_jsonb(NEW) -> 'body'));
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
    FOR EACH ROW EXECUTE FUNCTION fixlify_record_estimate();
CREATE TRIGGER fixlify_invoice_recorded
    AFTER INSERT OR UPDATE ON invoices
    FOR EACH ROW EXECUTE FUNCTION fixlify_record_invoice();
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
    fixlify_record_estimate(), fixlify_record_invoice(), fixlify_record_payment(),
    fixlify_record_task(), fixlify_record_inbound_message()
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
-- No row: the subject is gone.
CREATE FUNCTION fixlify_people_of(organization uuid, subject_type text, subject_id text)
RETURNS TABLE (client_id uuid, technician_id uuid)
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
BEGIN
    CASE subject_type
    WHEN 'job' THEN
        RETURN QUERY SELECT j.client_id, j.technician_id FROM jobs j
            WHERE j.organization_id = organization AND j.id = subject_id;
    WHEN 'client' THEN
        RETURN QUERY SELECT c.id, NULL::uuid FROM clients c
            WHERE c.organization_id = organization AND c.id = subject_id::uuid;
    WHEN 'estimate' THEN
        RETURN QUERY SELECT coalesce(e.client_id, j.client_id), j.technician_id
            FROM estimates e
            LEFT JOIN jobs j ON j.organization_id = e.organization_id AND j.id = e.job_id
            WHERE e.organization_id = organization AND e.id = subject_id::uuid;
    WHEN 'invoice' THEN
        RETURN QUERY SELECT coalesce(i.client_id, j.client_id), j.technician_id
            FROM invoices i
            LEFT JOIN jobs j ON j.organization_id = i.organization_id AND j.id = i.job_id
            WHERE i.organization_id = organization AND i.id = subject_id::uuid;
    WHEN 'payment' THEN
        RETURN QUERY SELECT coalesce(p.client_id, i.client_id, j.client_id), j.technician_id
            FROM payments p
            LEFT JOIN invoices i ON i.organization_id = p.organization_id AND i.id = p.invoice_id
            LEFT JOIN jobs j ON j.organization_id = i.organization_id AND j.id = i.job_id
            WHERE p.organization_id = organization AND p.id = subject_id::uuid;
    WHEN 'task' THEN
        RETURN QUERY SELECT coalesce(t.client_id, j.client_id),
                            coalesce(t.assignee_id, j.technician_id)
            FROM tasks t
            LEFT JOIN jobs j ON j.organization_id = t.organization_id AND j.id = t.job_id
            WHERE t.organization_id = organization AND t.id = subject_id::uuid;
    WHEN 'sms' THEN
        RETURN QUERY SELECT m.client_id, NULL::uuid FROM inbound_messages m
            WHERE m.organization_id = organization AND m.id = subject_id::uuid;
    ELSE
        RETURN QUERY SELECT NULL::uuid, NULL::uuid FROM organizations o WHERE o.id = organization;
    END CASE;
END
$$;
