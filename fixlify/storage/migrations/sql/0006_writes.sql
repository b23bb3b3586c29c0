-- Writes: what a business write pays for being recorded, and whom it waits for.

-- Nearly every event is people's doing, so the first look is at whether anything was said. Not in
-- SQL: a function with a search path of its own is planned anew in every statement.
CREATE OR REPLACE FUNCTION fixlify_current_chain() RETURNS uuid[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said CONSTANT text := current_setting('fixlify.chain', true);
BEGIN
    IF said <> '' AND said ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(,[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}){0,31}$' THEN
        RETURN string_to_array(said, ',')::uuid[];
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION fixlify_current_cause() RETURNS uuid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said CONSTANT text := current_setting('fixlify.cause', true);
BEGIN
    IF said <> '' AND said ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        RETURN said::uuid;
    END IF;
    RETURN NULL;
END
$$;

-- The other index by subject finds a job's few rows as well.
DROP INDEX automation_events_job_history_idx;

-- Transactions that notify commit one after the other, under one lock of the whole server. So one
-- of those that commit at the same time notifies, and who comes meanwhile leaves it to that one:
-- the relay looks again shortly after it was woken.
--
-- Deferred to the commit, so that the lock is held no longer than a commit takes: whoever kept it
-- through a long transaction would silence everybody else. Where it is kept nevertheless (SET
-- CONSTRAINTS, a standby that does not answer), it is for its tenth of a second alone.
CREATE FUNCTION fixlify_wake_relay() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Any first number will do; this one spells "wake" in ASCII.
    IF pg_try_advisory_xact_lock(
        2002873189, ((date_part('epoch', clock_timestamp()) * 10)::bigint % 2147483647)::integer
    ) THEN
        PERFORM pg_notify('automation_events', '');
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION fixlify_wake_relay() FROM PUBLIC;

-- Sweeps notify once for thousands. A status written again has nobody waiting for it, and a status
-- that moved alone is two events, of which the first wakes.
CREATE CONSTRAINT TRIGGER fixlify_event_recorded
    AFTER INSERT ON automation_events
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (
        NEW.automation_id IS NULL
        AND CASE NEW.event_type
                WHEN 'job_updated' THEN NEW.data <> '{"changed": ["status"]}'
                WHEN 'job_status_changed' THEN NEW.data -> 'before' <> NEW.data -> 'after'
                ELSE true
            END
    )
    EXECUTE FUNCTION fixlify_wake_relay();

CREATE OR REPLACE FUNCTION fixlify_record_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was jsonb;
    now_is jsonb;
    moved jsonb;
    changed text[];
    but_for_status record;
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
        RETURN NULL;
    END IF;

    -- Compared byte by byte, which needs no equality of any type. What differs so, and is the same
    -- nevertheless (1.0 and 1.00), is found out below.
    IF OLD *= NEW THEN
        RETURN NULL;
    END IF;
    -- Most writes move the status alone, and need no look at every column.
    BEGIN
        but_for_status := OLD;
        but_for_status.status := NEW.status;
        IF but_for_status *= NEW THEN
            moved := jsonb_build_object('before', OLD.status, 'after', NEW.status);
        END IF;
    EXCEPTION WHEN others THEN
        -- There is no such column, or no jsonb can hold what is in it.
        moved := NULL;
    END;
    IF moved -> 'before' <> moved -> 'after' THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'job_status_changed', 'job', NEW.id, moved),
               (NEW.organization_id, 'job_updated', 'job', NEW.id, '{"changed": ["status"]}');
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
    changed := ARRAY(
        SELECT key FROM (SELECT jsonb_object_keys(now_is) AS key) AS columns
        WHERE now_is -> key IS DISTINCT FROM was -> key
    );
    IF changed = '{}' THEN
        RETURN NULL;
    END IF;
    -- One change that means several things is several events, the most urgent first.
    IF 'status' = ANY (changed) THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'job_status_changed', 'job', NEW.id,
                jsonb_build_object('before', was -> 'status', 'after', now_is -> 'status'));
    END IF;
    IF 'schedule_start' = ANY (changed) AND now_is ->> 'schedule_start' IS NOT NULL THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'job_scheduled', 'job', NEW.id,
                jsonb_build_object('before', was -> 'schedule_start',
                                   'after', now_is -> 'schedule_start'));
    END IF;
    IF 'tags' = ANY (changed) THEN
        moved := public.fixlify_tags_moved(was -> 'tags', now_is -> 'tags');
        IF moved IS NOT NULL THEN
            INSERT INTO public.automation_events
                (organization_id, event_type, subject_type, subject_id, data)
            VALUES (NEW.organization_id, 'job_tags_changed', 'job', NEW.id, moved);
        END IF;
    END IF;
    INSERT INTO public.automation_events
        (organization_id, event_type, subject_type, subject_id, data)
    VALUES (NEW.organization_id, 'job_updated', 'job', NEW.id,
            jsonb_build_object('changed', changed));
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION fixlify_record_client() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was jsonb;
    now_is jsonb;
    moved jsonb;
    changed text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO public.automation_events (organization_id, event_type, subject_type, subject_id)
        VALUES (NEW.organization_id, 'client_created', 'client', NEW.id::text);
        RETURN NULL;
    ELSIF OLD *= NEW THEN
        RETURN NULL;
    END IF;

    BEGIN
        was := to_jsonb(OLD);
        now_is := to_jsonb(NEW);
    EXCEPTION WHEN others THEN
        was := public.fixlify_row(OLD);
        now_is := public.fixlify_row(NEW);
    END;
    changed := ARRAY(
        SELECT key FROM (SELECT jsonb_object_keys(now_is) AS key) AS columns
        WHERE now_is -> key IS DISTINCT FROM was -> key
    );
    IF changed = '{}' THEN
        RETURN NULL;
    END IF;
    IF 'tags' = ANY (changed) THEN
        moved := public.fixlify_tags_moved(was -> 'tags', now_is -> 'tags');
        IF moved IS NOT NULL THEN
            INSERT INTO public.automation_events
                (organization_id, event_type, subject_type, subject_id, data)
            VALUES (NEW.organization_id, 'client_tags_changed', 'client', NEW.id::text, moved);
        END IF;
    END IF;
    INSERT INTO public.automation_events
        (organization_id, event_type, subject_type, subject_id, data)
    VALUES (NEW.organization_id, 'client_updated', 'client', NEW.id::text,
            jsonb_build_object('changed', changed));
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION fixlify_record_standing() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was jsonb := 'null';
    now_is jsonb;
BEGIN
    -- The status alone is less than the row, which is for companies that have none.
    BEGIN
        now_is := coalesce(to_jsonb(NEW.status), 'null');
        IF TG_OP = 'UPDATE' THEN
            was := coalesce(to_jsonb(OLD.status), 'null');
        END IF;
    EXCEPTION WHEN others THEN
        now_is := coalesce(public.fixlify_row(NEW) -> 'status', 'null');
        IF TG_OP = 'UPDATE' THEN
            was := coalesce(public.fixlify_row(OLD) -> 'status', 'null');
        END IF;
    END;
    IF was <> now_is THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, TG_ARGV[0] || '_status_changed', TG_ARGV[0], NEW.id::text,
                jsonb_build_object('before', was, 'after', now_is));
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION fixlify_record_payment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_is CONSTANT jsonb := public.fixlify_row(NEW);
BEGIN
    INSERT INTO public.automation_events
        (organization_id, event_type, subject_type, subject_id, data)
    VALUES (NEW.organization_id, 'payment_received', 'payment', NEW.id::text,
            jsonb_build_object('amount', now_is -> 'amount', 'method', now_is -> 'method'));
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION fixlify_record_task() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was jsonb;
    now_is jsonb;
BEGIN
    BEGIN
        now_is := coalesce(to_jsonb(NEW.status), 'null');
        IF TG_OP = 'UPDATE' THEN
            was := coalesce(to_jsonb(OLD.status), 'null');
        END IF;
    EXCEPTION WHEN others THEN
        now_is := coalesce(public.fixlify_row(NEW) -> 'status', 'null');
        IF TG_OP = 'UPDATE' THEN
            was := coalesce(public.fixlify_row(OLD) -> 'status', 'null');
        END IF;
    END;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'task_created', 'task', NEW.id::text,
                jsonb_build_object('after', now_is));
    ELSIF was <> now_is THEN
        INSERT INTO public.automation_events
            (organization_id, event_type, subject_type, subject_id, data)
        VALUES (NEW.organization_id, 'task_status_changed', 'task', NEW.id::text,
                jsonb_build_object('before', was, 'after', now_is));
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION fixlify_record_inbound_message() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.automation_events
        (organization_id, event_type, subject_type, subject_id, data)
    VALUES (NEW.organization_id, 'sms_received', 'sms', NEW.id::text,
            jsonb_build_object('body', public.fixlify_row(NEW) -> 'body'));
    RETURN NULL;
END
$$;
