"""A company may add, drop, rename and retype its columns, and its writes go on being seen."""

from __future__ import annotations

import pytest

from tests.office import Office
from tests.recorded import changes, kinds, recorded, times_fired


@pytest.fixture
async def office(office: Office) -> Office:
    """A company with one row in each table, and nothing recorded yet."""
    client = await office.add_client(tags=["a"])
    await office.add_job(client_id=client, tags=["a"])
    await office.add_estimate(client_id=client)
    await office.add_invoice(client_id=client)
    await office.add_payment(client_id=client)
    await office.add_task(client_id=client)
    await office.add_inbound_message(client_id=client)
    await forget(office)
    return office


async def forget(office: Office) -> None:
    await office.query("DELETE FROM automation_events")


@pytest.mark.parametrize(
    "column", ["title", "schedule_start", "tags", "total", "job_type", "created_at", "completed_at"]
)
async def test_a_job_without_one_of_its_columns(office: Office, column: str) -> None:
    await office.query(f"ALTER TABLE jobs DROP COLUMN {column} CASCADE")
    await office.query("UPDATE jobs SET status = 'completed', address = '1 Elm'")
    assert await kinds(office) == ["job_status_changed", "job_updated"]
    assert await times_fired(office, "job_completed") == 1
    await office.query(
        "INSERT INTO jobs (organization_id, id) VALUES (%s, 'J-1')", office.organization_id
    )
    assert (await kinds(office))[-1] == "job_created"


async def test_a_job_without_a_status(office: Office) -> None:
    """It takes CASCADE: what records double clicks goes with it, everything else stays."""
    await office.query("ALTER TABLE jobs DROP COLUMN status CASCADE")
    await office.query("UPDATE jobs SET title = 'x', tags = '{b}'")
    await office.query(
        "INSERT INTO jobs (organization_id, id) VALUES (%s, 'J-1')", office.organization_id
    )
    assert await kinds(office) == ["job_tags_changed", "job_updated", "job_created"]


async def test_a_status_by_another_name(office: Office) -> None:
    await office.query("ALTER TABLE jobs RENAME COLUMN status TO state")
    await office.query("UPDATE jobs SET state = state")
    await office.query("UPDATE jobs SET state = 'completed'")
    assert await recorded(office, "job_updated") == [{"changed": ["state"]}]
    assert await times_fired(office, "job_completed") == 0


@pytest.mark.parametrize(
    ("table", "column", "write"),
    [
        ("clients", "tags", "first_name = 'x'"),
        ("clients", "lead_source", "tags = '{b}'"),
        ("estimates", "status", "total = 1"),
        ("estimates", "title", "status = 'sent'"),
        ("invoices", "status", "total = 1"),
        ("invoices", "due_date", "status = 'paid'"),
        ("tasks", "status", "title = 'x'"),
        ("tasks", "due_at", "status = 'done'"),
        ("payments", "amount", "method = 'cash'"),
        ("payments", "method", "amount = 1"),
        ("inbound_messages", "body", "from_number = NULL"),
    ],
)
async def test_any_row_without_one_of_its_columns(
    office: Office, table: str, column: str, write: str
) -> None:
    await office.query(f"ALTER TABLE {table} DROP COLUMN {column} CASCADE")
    await office.query(f"UPDATE {table} SET {write}")
    await forget(office)
    await office.query(f"INSERT INTO {table} (organization_id) VALUES (%s)", office.organization_id)
    expected = {"estimates": 0, "invoices": 0}.get(table, 1)
    assert len(await office.events()) == expected


@pytest.mark.parametrize(
    ("kind", "value", "other"),
    [
        ("json", '{"a": 1}', '{"a": 2}'),
        ("point", "(1,2)", "(1,3)"),
        ("int4range", "[1,2)", "empty"),
        ("bytea", "\\x00", "\\x01"),
        ("tsvector", "a", "b"),
        ("float8", "NaN", "-Infinity"),
        ("interval", "1 day", "24 hours"),
    ],
)
async def test_a_column_of_any_type(office: Office, kind: str, value: str, other: str) -> None:
    """Also of one without equality, which a comparison of whole rows would choke on."""
    for table in ("jobs", "clients"):
        await office.query(f"ALTER TABLE {table} ADD COLUMN own {kind}")
        await office.query(f"UPDATE {table} SET own = %s::{kind}", value)
        await office.query(f"UPDATE {table} SET own = %s::{kind}", value)
        await office.query(f"UPDATE {table} SET own = %s::{kind}", other)
    await office.query("UPDATE jobs SET own = own, status = 'completed'")
    assert await recorded(office, "client_updated") == [{"changed": ["own"]}] * 2
    assert await changes(office) == [("scheduled", "completed")]
    assert len(await recorded(office, "job_updated")) == 3


@pytest.mark.parametrize("value", ['"\\u0000"', "1e999999", '{"\\u0000": []}'])
async def test_json_that_no_jsonb_can_hold(office: Office, value: str) -> None:
    for table in ("jobs", "clients", "estimates", "invoices", "tasks", "payments"):
        await office.query(f"ALTER TABLE {table} ADD COLUMN own json")
        await office.query(f"UPDATE {table} SET own = %s::json", value)
    await forget(office)
    await office.query("UPDATE jobs SET status = 'completed', tags = '{a,b}'")
    await office.query("UPDATE jobs SET status = status")
    await office.query("UPDATE jobs SET own = NULL")
    await office.query("UPDATE clients SET tags = '{}', own = %s::json", value)
    await office.query("UPDATE estimates SET status = 'approved'")
    await office.query("UPDATE invoices SET status = 'paid'")
    await office.query("UPDATE tasks SET status = 'done'")
    assert await times_fired(office, "job_completed") == 1
    assert await recorded(office, "job_tags_changed") == [{"added": ["b"], "removed": []}]
    assert [sorted(data["changed"]) for data in await recorded(office, "job_updated")] == [
        ["status", "tags"],
        ["own"],
    ]
    assert await recorded(office, "client_updated") == [{"changed": ["tags"]}]
    for trigger in ("estimate_accepted", "invoice_paid", "task_completed"):
        assert await times_fired(office, trigger) == 1, trigger
    await forget(office)
    await office.query(
        "INSERT INTO payments (organization_id, amount, own) VALUES (%s, 5, %s::json)",
        office.organization_id,
        value,
    )
    assert await recorded(office, "payment_received") == [{"amount": 5, "method": None}]


@pytest.mark.parametrize(
    ("kind", "before", "after", "moved"),
    [
        ("jsonb", '["a"]', "[7]", {"added": [7], "removed": ["a"]}),
        ("json", '["a"]', '["a", "b"]', {"added": ["b"], "removed": []}),
        ("jsonb", '["a"]', "null", {"added": [], "removed": ["a"]}),
        ("text", "a", "a,b", {"added": ["a,b"], "removed": ["a"]}),
        ("text", None, "vip", {"added": ["vip"], "removed": []}),
        ("text[]", None, "{vip}", {"added": ["vip"], "removed": []}),
        ("text[]", "{vip}", None, {"added": [], "removed": ["vip"]}),
    ],
)
async def test_tags_of_another_type(
    office: Office, kind: str, before: str | None, after: str | None, moved: object
) -> None:
    for table in ("jobs", "clients"):
        await office.query(f"ALTER TABLE {table} DROP COLUMN tags")
        await office.query(f"ALTER TABLE {table} ADD COLUMN tags {kind}")
        await office.query(f"UPDATE {table} SET tags = %s::{kind}", before)
        await forget(office)
        await office.query(f"UPDATE {table} SET tags = %s::{kind}", after)
        assert await recorded(office, f"{table[:-1]}_tags_changed") == [moved]


async def test_a_status_of_another_type(office: Office) -> None:
    await office.query("CREATE TYPE standing AS ENUM ('draft', 'sent', 'paid')")
    await office.query("ALTER TABLE invoices ALTER COLUMN status TYPE standing USING 'draft'")
    await office.query("UPDATE invoices SET status = 'sent'")
    assert await times_fired(office, "invoice_sent") == 1


async def test_a_row_wider_than_a_page(office: Office) -> None:
    await office.query("UPDATE jobs SET description = repeat(md5(random()::text), 500000)")
    await forget(office)
    await office.query("UPDATE jobs SET status = 'completed'")
    assert await kinds(office) == ["job_status_changed", "job_updated"]


async def test_a_generated_column(office: Office) -> None:
    await office.query(
        "ALTER TABLE jobs ADD COLUMN loud text GENERATED ALWAYS AS (upper(title)) STORED"
    )
    await forget(office)
    await office.query("UPDATE jobs SET title = 'quiet'")
    assert [sorted(data["changed"]) for data in await recorded(office, "job_updated")] == [
        ["loud", "title"]
    ]
