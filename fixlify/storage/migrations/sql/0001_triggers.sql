-- Row triggers record what happened to a job, in the transaction that did it, and nothing else:
-- no matching, no look-ups, no statuses compared by meaning. The relay does that later.
--
-- They run with the owner's rights, so whoever may write a job needs no right to the outbox.
-- Nothing in them can fail on account of the data: automation_events has no check, no foreign
-- key and no required text.

CREATE FUNCTION fixlify_record_job_created() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.automation_events
        (organization_id, event_type, subject_type, subject_id, data)
    VALUES
        (NEW.organization_id, 'job_created', 'job', NEW.id,
         jsonb_build_object('after', NEW.status));
    PERFORM pg_notify('automation_events', '');
    RETURN NULL;
END
$$;

CREATE FUNCTION fixlify_record_job_status() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.automation_events
        (organization_id, event_type, subject_type, subject_id, data)
    VALUES
        (NEW.organization_id, 'job_status_changed', 'job', NEW.id,
         jsonb_build_object('before', OLD.status, 'after', NEW.status));
    -- A status written again is only looked at beside what it repeats; nobody waits for it.
    IF OLD.status IS DISTINCT FROM NEW.status THEN
        PERFORM pg_notify('automation_events', '');
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER fixlify_job_created
    AFTER INSERT ON jobs
    FOR EACH ROW EXECUTE FUNCTION fixlify_record_job_created();

-- Compares the rows, not the statement's column list: a BEFORE trigger of the company's own
-- may change a status that the statement does not name.
CREATE TRIGGER fixlify_job_status_changed
    AFTER UPDATE ON jobs
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION fixlify_record_job_status();

-- A double click writes the same status twice. The repetition is recorded, so that people can
-- see it was noticed and nothing was sent for it.
CREATE TRIGGER fixlify_job_status_rewritten
    AFTER UPDATE OF status ON jobs
    FOR EACH ROW WHEN (OLD.status IS NOT DISTINCT FROM NEW.status)
    EXECUTE FUNCTION fixlify_record_job_status();

-- Firing needs no right to a function, hanging it on a table does: on a table of one's own the
-- owner's rights would write events of any organization.
REVOKE EXECUTE ON FUNCTION fixlify_record_job_created(), fixlify_record_job_status() FROM PUBLIC;
