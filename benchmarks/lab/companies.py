"""Fictional companies of any size, entered as plain SQL, as a company's own app would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg

from cli.sample import SAMPLE_AUTOMATION, apply_shipped

# Each company has an area of its own: 800 exchanges of 10,000 numbers, all of them possible.
AREAS: Final = (212, 213, 305, 312, 404, 415, 503, 512, 602, 617, 702, 713, 720, 816, 904, 916)
_FIRST_EXCHANGE: Final = 200
_AN_EXCHANGE: Final = 10_000

_FOUND: Final = (
    "INSERT INTO organizations (name, email, phone, website, time_zone, locale, currency)"
    " VALUES (%s, %s, '+12125550100', 'https://northwind.example', 'America/New_York', 'en_US',"
    " 'USD') RETURNING id"
)
_TECHNICIAN: Final = (
    "INSERT INTO profiles (organization_id, first_name, last_name, phone)"
    " VALUES (%s, 'Daniel', 'Cho', '+12125550177') RETURNING id"
)
# Every job has a client of its own, so that a message tells which job it is about.
_JOBS: Final = """
    WITH numbered AS (
        SELECT n, gen_random_uuid() AS client_id
        FROM generate_series(%(first)s::int, %(last)s::int) AS n
    ), people AS (
        INSERT INTO clients (id, organization_id, first_name, last_name, email, phone)
        SELECT client_id, %(organization)s::uuid, 'Maya', 'Okafor ' || n,
               'client-' || n || '@' || %(domain)s::text,
               '+1' || %(area)s::text || (%(exchange)s::int + n / 10000)
                    || lpad((n %% 10000)::text, 4, '0')
        FROM numbered
    )
    INSERT INTO jobs (organization_id, id, client_id, technician_id, title, job_type, status,
                      schedule_start, total)
    SELECT %(organization)s::uuid, 'J-' || n, client_id, %(technician)s::uuid, 'Boiler repair',
           'repair', 'in_progress', now() - interval '2 hours', 180 + n %% 9 * 15
    FROM numbered
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One job, and the addresses its messages must arrive at."""

    organization_id: UUID
    id: str
    email: str
    phone: str


@dataclass(frozen=True, slots=True)
class Company:
    """A company with its jobs, all of them in progress."""

    organization_id: UUID
    name: str
    jobs: Sequence[Job]


class Founder:
    """Enters companies, each with telephone numbers of its own; lives as long as its database."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], url: str) -> None:
        """Take an autocommitting *connection* of the database's owner, and the database's URL."""
        self._connection = connection
        self._url = url
        self._founded = 0

    async def found(
        self, jobs: int, *, automation: str | None = SAMPLE_AUTOMATION, name: str | None = None
    ) -> Company:
        """Enter a company with so many *jobs*; *automation* is a shipped one, or None."""
        number, self._founded = self._founded, self._founded + 1
        name = name or f"Company {number}"
        domain = f"company-{number}.example"
        organization_id = await self._one(_FOUND, name, f"office@{domain}")
        technician = await self._one(_TECHNICIAN, organization_id)
        area = AREAS[number % len(AREAS)]
        # A second round through the areas begins at other exchanges.
        exchange = _FIRST_EXCHANGE + number // len(AREAS) * 100
        await self._connection.execute(
            _JOBS,
            {
                "organization": organization_id,
                "technician": technician,
                "first": 0,
                "last": jobs - 1,
                "domain": domain,
                "area": str(area),
                "exchange": exchange,
            },
        )
        if automation is not None:
            await apply_shipped(self._url, organization_id, automation)
        return Company(
            organization_id,
            name,
            [
                Job(
                    organization_id,
                    f"J-{n}",
                    f"client-{n}@{domain}",
                    f"+1{area}{exchange + n // _AN_EXCHANGE}{n % _AN_EXCHANGE:04}",
                )
                for n in range(jobs)
            ],
        )

    async def _one(self, statement: str, *parameters: Any) -> UUID:
        cursor = await self._connection.execute(statement.encode(), parameters)
        row = await cursor.fetchone()
        assert row is not None, "RETURNING gives one"  # noqa: S101
        value: UUID = row[0]
        return value


async def complete(connection: psycopg.AsyncConnection[Any], job: Job) -> None:
    """Do the one thing everything else follows from, and return when it is committed."""
    await connection.execute(
        "UPDATE jobs SET status = 'completed' WHERE organization_id = %s AND id = %s",
        (job.organization_id, job.id),
    )
