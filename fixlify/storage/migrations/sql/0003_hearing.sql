-- Whom an event concerns beside its own subject: the records it belongs to, and its client.
-- Whoever changes this changes fixlify_people_of() of 0002 with it.

CREATE FUNCTION fixlify_relatives_of(organization uuid, subject_type text, subject_id text)
RETURNS TABLE (relative_type text, relative_id text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT subject_type, subject_id;
END
$$;
