-- The ledger's only way from one status to another, whoever writes: our own statements, a
-- person with a console. A message never goes back to where it could be sent a second time,
-- unless its provider surely does not have it, or a person redrives it.

CREATE FUNCTION fixlify_may_become(from_status text, to_status text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE from_status
        WHEN 'queued' THEN to_status IN ('held', 'sending', 'sent', 'delivered', 'undelivered',
                                         'bounced', 'failed', 'suppressed', 'cancelled')
        WHEN 'held' THEN to_status IN ('queued', 'sending', 'sent', 'delivered', 'undelivered',
                                       'bounced', 'failed', 'suppressed', 'cancelled')
        WHEN 'sending' THEN to_status IN ('queued', 'sent', 'delivered', 'undelivered', 'bounced',
                                          'failed', 'unknown', 'suppressed')
        WHEN 'unknown' THEN to_status IN ('queued', 'sent', 'delivered', 'undelivered', 'bounced',
                                          'failed', 'suppressed')
        WHEN 'sent' THEN to_status IN ('delivered', 'undelivered', 'bounced', 'failed')
        WHEN 'undelivered' THEN to_status IN ('delivered', 'bounced')
        WHEN 'delivered' THEN to_status = 'bounced'
        WHEN 'failed' THEN to_status IN ('held', 'sent', 'delivered', 'undelivered', 'bounced')
        WHEN 'suppressed' THEN to_status IN ('held', 'sent', 'delivered', 'undelivered', 'bounced')
        WHEN 'cancelled' THEN to_status IN ('held', 'sent', 'delivered', 'undelivered', 'bounced')
        ELSE false
    END
$$;

CREATE FUNCTION fixlify_move_message() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT public.fixlify_may_become(OLD.status, NEW.status) THEN
        RAISE EXCEPTION 'a message that is % cannot become %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', HINT = 'look at it with fixlify messages show';
    END IF;
    INSERT INTO public.message_transitions (
        organization_id, message_id, from_status, to_status, cause, attempt,
        provider, provider_id, sender, error_code
    ) VALUES (
        NEW.organization_id, NEW.id, OLD.status, NEW.status,
        coalesce(NEW.reason, CASE
            WHEN NEW.status = 'sending' THEN 'attempt ' || NEW.attempts
            WHEN NEW.status = 'sent' THEN 'accepted by ' || coalesce(NEW.provider, 'the provider')
            WHEN NEW.status IN ('delivered', 'undelivered', 'bounced')
                THEN 'reported by ' || coalesce(NEW.provider, 'the provider')
            ELSE NEW.status END),
        NEW.attempts, NEW.provider, NEW.provider_id, NEW.sender, NEW.error_code
    );
    RETURN NEW;
END
$$;

CREATE TRIGGER fixlify_message_moved
    BEFORE UPDATE OF status ON messages
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION fixlify_move_message();
