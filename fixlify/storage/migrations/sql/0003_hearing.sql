-- Whom an event concerns beside its own subject: the records it belongs to, and their client.
-- Whoever changes whose client it is changes fixlify_people_of() of 0002 with it, and whoever adds
-- a way from one record to another changes fixlify/domain/relatives.py.

-- A subject that is gone, or whose id nothing can have, belongs to nothing but itself.
CREATE FUNCTION fixlify_relatives_of(organization uuid, subject_type text, subject_id text)
RETURNS TABLE (relative_type text, relative_id text)
LANGUAGE plpgsql STABLE ROWS 4 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    row_id uuid;
    an_invoice uuid;
    a_job text;
    a_client uuid;
BEGIN
    relative_type := subject_type;
    relative_id := subject_id;
    RETURN NEXT;

    IF subject_type NOT IN ('job', 'organization') THEN
        BEGIN
            row_id := subject_id::uuid;
        EXCEPTION WHEN invalid_text_representation THEN
            RETURN;
        END;
    END IF;
    CASE subject_type
    WHEN 'job' THEN
        SELECT j.client_id INTO a_client FROM public.jobs j
            WHERE j.organization_id = organization AND j.id = subject_id;
    WHEN 'estimate' THEN
        SELECT e.job_id, coalesce(e.client_id, j.client_id) INTO a_job, a_client
            FROM public.estimates e
            LEFT JOIN public.jobs j ON j.organization_id = e.organization_id AND j.id = e.job_id
            WHERE e.organization_id = organization AND e.id = row_id;
    WHEN 'invoice' THEN
        SELECT i.job_id, coalesce(i.client_id, j.client_id) INTO a_job, a_client
            FROM public.invoices i
            LEFT JOIN public.jobs j ON j.organization_id = i.organization_id AND j.id = i.job_id
            WHERE i.organization_id = organization AND i.id = row_id;
    WHEN 'payment' THEN
        SELECT i.id, i.job_id, coalesce(p.client_id, i.client_id, j.client_id)
            INTO an_invoice, a_job, a_client
            FROM public.payments p
            LEFT JOIN public.invoices i
                ON i.organization_id = p.organization_id AND i.id = p.invoice_id
            LEFT JOIN public.jobs j ON j.organization_id = i.organization_id AND j.id = i.job_id
            WHERE p.organization_id = organization AND p.id = row_id;
    WHEN 'task' THEN
        SELECT t.job_id, coalesce(t.client_id, j.client_id) INTO a_job, a_client
            FROM public.tasks t
            LEFT JOIN public.jobs j ON j.organization_id = t.organization_id AND j.id = t.job_id
            WHERE t.organization_id = organization AND t.id = row_id;
    WHEN 'sms' THEN
        SELECT m.client_id INTO a_client FROM public.inbound_messages m
            WHERE m.organization_id = organization AND m.id = row_id;
    ELSE
        RETURN;
    END CASE;
    RETURN QUERY
        SELECT belongs_to.*
        FROM (VALUES ('invoice', an_invoice::text), ('job', a_job), ('client', a_client::text))
            AS belongs_to (kind, id)
        WHERE belongs_to.id IS NOT NULL;
END
$$;
