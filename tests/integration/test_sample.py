"""The sample company is entered once, into an empty database, and shows what there is."""

from __future__ import annotations

import psycopg

from cli.sample import enter_sample


async def count(url: str, what: str) -> int:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(f"SELECT count(*) FROM {what}".encode())
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_an_empty_database_gets_jobs_bills_and_automations(database_url: str) -> None:
    await enter_sample(database_url)
    assert await count(database_url, "jobs") == 5
    assert (
        await count(database_url, "invoices WHERE status = 'sent' AND client_id IS NOT NULL") == 5
    )
    assert await count(database_url, "invoices WHERE due_date < current_date") == 1
    assert await count(database_url, "estimates") == 1
    assert await count(database_url, "automation_workflows WHERE status = 'active'") == 3


async def test_a_database_with_a_company_is_left_alone(database_url: str) -> None:
    await enter_sample(database_url)
    await enter_sample(database_url)
    assert await count(database_url, "organizations") == 1
    assert await count(database_url, "invoices") == 5
