"""Whoever may write a row can, whatever surrounds it, and gains no right by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tests.office import Office
from tests.recorded import changes, kinds

# What any writer may put before the real thing in his own search path.
IMPOSTORS = """
    CREATE FUNCTION {schema}.pg_notify(text, text) RETURNS void LANGUAGE plpgsql
        AS $$ BEGIN RAISE 'never'; END $$;
    CREATE FUNCTION {schema}.to_jsonb(anyelement) RETURNS jsonb LANGUAGE plpgsql
        AS $$ BEGIN RAISE 'never'; END $$;
    CREATE FUNCTION {schema}.fixlify_row(anyelement) RETURNS jsonb LANGUAGE plpgsql
        AS $$ BEGIN RAISE 'never'; END $$;
    CREATE FUNCTION {schema}.fixlify_tags_moved(jsonb, jsonb) RETURNS jsonb LANGUAGE plpgsql
        AS $$ BEGIN RAISE 'never'; END $$;
    CREATE FUNCTION {schema}.jsonb_build_object(VARIADIC "any") RETURNS jsonb
        LANGUAGE internal AS 'jsonb_build_object';
    CREATE FUNCTION {schema}.never(jsonb, jsonb) RETURNS boolean LANGUAGE plpgsql
        AS $$ BEGIN RAISE 'never'; END $$;
    CREATE OPERATOR {schema}.= (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = {schema}.never);
    CREATE OPERATOR {schema}.<> (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = {schema}.never);
    CREATE TABLE {schema}.automation_events (nothing int);
    CREATE TABLE {schema}.jobs (nothing int)
"""
WRITES = {
    "jobs": "UPDATE public.jobs SET status = 'completed', tags = '{{b}}', schedule_start = now()",
    "clients": "UPDATE public.clients SET tags = '{{b}}', first_name = 'x'",
    "estimates": "UPDATE public.estimates SET status = 'sent'",
    "invoices": "UPDATE public.invoices SET status = 'sent'",
    "tasks": "UPDATE public.tasks SET status = 'done'",
    "payments": "INSERT INTO public.payments (organization_id, amount) VALUES ('{company}', 1)",
    "inbound_messages": (
        "INSERT INTO public.inbound_messages (organization_id, body) VALUES ('{company}', 'x')"
    ),
}
EVENTS = {
    "jobs": ["job_status_changed", "job_scheduled", "job_tags_changed", "job_updated"],
    "clients": ["client_tags_changed", "client_updated"],
    "estimates": ["estimate_status_changed"],
    "invoices": ["invoice_status_changed"],
    "tasks": ["task_status_changed"],
    "payments": ["payment_received"],
    "inbound_messages": ["sms_received"],
}
RECORDING = [
    "fixlify_record_job",
    "fixlify_record_job_rewrite",
    "fixlify_record_client",
    "fixlify_record_standing",
    "fixlify_record_payment",
    "fixlify_record_task",
    "fixlify_record_inbound_message",
    "fixlify_wake_relay",
]


@pytest.fixture
async def bookkeeper(office: Office) -> AsyncIterator[psycopg.AsyncConnection]:
    """A connection whose user may write business rows and nothing else of ours."""
    client = await office.add_client()
    await office.add_job(client_id=client)
    await office.add_estimate(client_id=client)
    await office.add_invoice(client_id=client)
    await office.add_task(client_id=client)
    role = f"bookkeeper_{uuid4().hex[:8]}"
    await office.query(f"CREATE ROLE {role} NOLOGIN")
    for table in WRITES:
        await office.query(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {role}")
        await office.query(f"CREATE POLICY bookkeeping ON {table} TO {role} USING (true)")
    await office.query("CREATE SCHEMA hostile")
    await office.query(f"GRANT ALL ON SCHEMA hostile TO {role}")
    await office.query("DELETE FROM automation_events")
    connection = await psycopg.AsyncConnection.connect(office.url, autocommit=True)
    async with connection:
        await connection.execute(f"SET ROLE {role}".encode())
        yield connection
    await office.query(f"DROP OWNED BY {role}")
    await office.query(f"DROP ROLE {role}")


@pytest.mark.parametrize("table", sorted(WRITES))
async def test_a_writer_without_any_right_to_the_outbox(
    office: Office, bookkeeper: psycopg.AsyncConnection, table: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await bookkeeper.execute("SELECT * FROM automation_events")
    await bookkeeper.execute(WRITES[table].format(company=office.organization_id).encode())
    assert await kinds(office) == EVENTS[table]


@pytest.mark.parametrize("path", ["hostile, pg_catalog", "pg_temp, hostile, pg_catalog", "''"])
@pytest.mark.parametrize("table", sorted(WRITES))
async def test_a_hostile_search_path(
    office: Office, bookkeeper: psycopg.AsyncConnection, table: str, path: str
) -> None:
    """Things of the same name, nearer on the writer's path, get nothing and break nothing."""
    await office.query(IMPOSTORS.format(schema="hostile"))
    await bookkeeper.execute("CREATE TEMP TABLE automation_events (nothing int)")
    await bookkeeper.execute("CREATE TEMP TABLE jobs (nothing int)")
    await bookkeeper.execute(f"SET search_path = {path}".encode())
    await bookkeeper.execute(WRITES[table].format(company=office.organization_id).encode())
    assert await kinds(office) == EVENTS[table]


async def test_a_hostile_search_path_beside_json_that_no_jsonb_holds(
    office: Office, bookkeeper: psycopg.AsyncConnection
) -> None:
    await office.query("ALTER TABLE jobs ADD COLUMN own json DEFAULT '\"\\u0000\"'")
    await office.query(IMPOSTORS.format(schema="hostile"))
    await bookkeeper.execute("SET search_path = hostile, pg_catalog")
    await bookkeeper.execute("UPDATE public.jobs SET status = 'completed'")
    assert await changes(office) == [("scheduled", "completed")]


async def test_every_function_of_ours_names_its_search_path(office: Office) -> None:
    """Else whoever calls it decides what its words mean."""
    rows = await office.query("""
        SELECT proname::text AS name, coalesce(proconfig::text, '') AS settings
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proname <> 'fixlify_current_organization'
    """)
    assert {row["name"] for row in rows} >= {*RECORDING, "fixlify_people_of", "fixlify_row"}
    assert [row for row in rows if "pg_catalog, pg_temp" not in row["settings"]] == []


@pytest.mark.parametrize("function", RECORDING)
async def test_nobody_can_forge_events_with_the_triggers_rights(
    bookkeeper: psycopg.AsyncConnection, function: str
) -> None:
    """They act as their owner: hung on a table of one's own they would write any company's."""
    await bookkeeper.execute("CREATE TEMP TABLE mine (organization_id uuid, id text, status text)")
    statement = sql.SQL(
        "CREATE TRIGGER forge AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION {}()"
    ).format(sql.Identifier("public", function))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await bookkeeper.execute(statement)


async def test_every_function_with_the_owners_rights_is_kept_from_others(office: Office) -> None:
    rows = await office.query("""
        SELECT proname::text AS name FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prosecdef
          AND has_function_privilege('fixlify_app', oid, 'EXECUTE')
    """)
    assert rows == []
    rows = await office.query(
        "SELECT proname::text AS name FROM pg_proc "
        "WHERE pronamespace = 'public'::regnamespace AND prosecdef"
    )
    assert {row["name"] for row in rows} == set(RECORDING)


async def test_automations_that_are_garbage(office: Office) -> None:
    await office.query(
        "INSERT INTO automation_workflows (id, organization_id, name, status, trigger_type, "
        "trigger_config, conditions, steps, version) SELECT gen_random_uuid(), %s, "
        "'garbage ' || n, 'active', 'job_status_changed', '[]', '\"x\"', '7', -1 "
        "FROM generate_series(1, 20) n",
        office.organization_id,
    )
    job = await office.add_job()
    await office.write_status(job, "completed")
    assert await changes(office) == [("scheduled", "completed")]


async def test_a_company_that_is_being_changed(office: Office) -> None:
    """Recording takes no lock on the organization, its automations or other events."""
    job = await office.add_job()
    async with await psycopg.AsyncConnection.connect(office.url) as connection:
        await connection.execute("SELECT * FROM organizations FOR UPDATE")
        await connection.execute("SELECT * FROM automation_events FOR UPDATE")
        await connection.execute("LOCK TABLE automation_workflows IN ACCESS EXCLUSIVE MODE")
        await office.query("SET statement_timeout = '10s'")
        await office.write_status(job, "completed")
    assert await changes(office) == [("scheduled", "completed")]


async def test_an_outbox_that_is_gone_stops_the_write(office: Office) -> None:
    """A change that cannot be recorded would be lost; the company hears of it instead."""
    job = await office.add_job()
    await office.query("ALTER TABLE automation_events RENAME TO elsewhere")
    with pytest.raises(psycopg.errors.UndefinedTable):
        await office.write_status(job, "completed")
    rows: list[dict[str, Any]] = await office.query("SELECT status FROM jobs")
    assert rows == [{"status": "scheduled"}]
