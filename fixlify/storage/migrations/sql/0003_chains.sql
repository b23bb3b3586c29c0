-- What led to an event. An automation that writes to the business says so for its transaction
-- (SET LOCAL fixlify.chain, fixlify.cause); every event recorded meanwhile carries it on, whoever
-- records it. Anybody may set anything there, and no write may fail for it: what is no chain is
-- none.

CREATE FUNCTION fixlify_current_chain() RETURNS uuid[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN said ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(,[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}){0,31}$'
                THEN string_to_array(said, ',')::uuid[] END
    FROM current_setting('fixlify.chain', true) AS said
$$;

CREATE FUNCTION fixlify_current_cause() RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN said ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN said::uuid END
    FROM current_setting('fixlify.cause', true) AS said
$$;

ALTER TABLE automation_events ADD COLUMN chain uuid[], ADD COLUMN caused_by uuid;
-- Set afterwards, so that rows that stand are not written anew.
ALTER TABLE automation_events
    ALTER COLUMN chain SET DEFAULT fixlify_current_chain(),
    ALTER COLUMN caused_by SET DEFAULT fixlify_current_cause();
