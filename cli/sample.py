"""A fictional company, entered as plain SQL, as a company's own app would."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg

from fixlify.library import shipped_automations
from fixlify.storage.database import Database, Role
from starter.definitions import apply_definitions, validate_definition

FIRST_NAMES: Final = ("Maya", "Jonas", "Aiko", "Samuel", "Priya", "Leon", "Nora", "Mateo")
LAST_NAMES: Final = ("Okafor", "Lindqvist", "Tanaka", "Reyes", "Nair", "Fischer", "Haddad")
SAMPLE_JOBS: Final = 5
# One invoice is overdue by so many days; the next is due today, and each later one as much later.
OVERDUE_DAYS: Final = 7
SAMPLE_AUTOMATION: Final = "job-completed"
MORE_AUTOMATIONS: Final = ("invoice-overdue", "payment-received")
TITLES: Final = ("Boiler repair", "Furnace tune-up", "Leak under the sink", "Dryer repair")


@dataclass(frozen=True, slots=True)
class SampleJob:
    """One job, and the addresses its messages must arrive at; each job has its own client."""

    id: str
    email: str
    phone: str

    @property
    def change(self) -> str:
        """The business write as a person would type it, to show and not to run."""
        return f"UPDATE jobs SET status = 'completed' WHERE id = '{self.id}';"  # noqa: S608


class SampleCompany:
    """Northwind Heating & Air; lives as long as its SQL connection."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self.organization_id: UUID

    async def found(self, number_of_jobs: int) -> list[SampleJob]:
        """Enter the company, a technician, and as many scheduled jobs as asked for."""
        self.organization_id = await self._one(
            "INSERT INTO organizations (name, email, phone, website, time_zone, locale, currency)"
            " VALUES ('Northwind Heating & Air', 'office@northwind.example', '+1 212 555 0100',"
            " 'https://northwind.example', 'America/New_York', 'en_US', 'USD') RETURNING id"
        )
        technician = await self._one(
            "INSERT INTO profiles (organization_id, first_name, last_name, phone)"
            " VALUES (%s, 'Daniel', 'Cho', '+12125550177') RETURNING id",
            self.organization_id,
        )
        async with self._connection.transaction():
            return [await self._add_job(place, technician) for place in range(number_of_jobs)]

    async def bill(self, jobs: list[SampleJob]) -> None:
        """Enter an invoice for each job, one of them overdue, and an estimate for the last."""
        for place, job in enumerate(jobs):
            due = datetime.now(UTC).date() + timedelta(days=OVERDUE_DAYS * (place - 1))
            await self._connection.execute(
                "INSERT INTO invoices (organization_id, client_id, job_id, number, status, total,"
                " due_date) SELECT organization_id, client_id, id, %s, 'sent', total, %s"
                " FROM jobs WHERE organization_id = %s AND id = %s",
                (f"INV-{1001 + place}", due, self.organization_id, job.id),
            )
        await self._connection.execute(
            "INSERT INTO estimates (organization_id, client_id, number, title, status, total)"
            " SELECT organization_id, client_id, 'E-31', 'New boiler', 'draft', 4800"
            " FROM jobs WHERE organization_id = %s AND id = %s",
            (self.organization_id, jobs[-1].id),
        )

    async def complete(self, job: SampleJob) -> None:
        """Do the one thing everything else follows from, and return when it is committed."""
        await self._connection.execute(
            "UPDATE jobs SET status = 'completed' WHERE organization_id = %s AND id = %s",
            (self.organization_id, job.id),
        )

    async def _add_job(self, place: int, technician: UUID) -> SampleJob:
        first = FIRST_NAMES[place % len(FIRST_NAMES)]
        last = LAST_NAMES[place % len(LAST_NAMES)]
        job = SampleJob(
            id=f"J-{2019 + place}",
            email=f"{first}.{last}.{place}@example.com".lower(),
            phone=f"+1212555{1000 + place}",
        )
        client = await self._one(
            "INSERT INTO clients (organization_id, first_name, last_name, email, phone)"
            " VALUES (%s, %s, %s, %s, %s) RETURNING id",
            self.organization_id,
            first,
            last,
            job.email,
            job.phone,
        )
        start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        await self._connection.execute(
            "INSERT INTO jobs (organization_id, id, client_id, technician_id, title, job_type,"
            " status, schedule_start, total) VALUES (%s, %s, %s, %s, %s, 'repair', 'in_progress',"
            " %s, %s)",
            (
                self.organization_id,
                job.id,
                client,
                technician,
                TITLES[place % len(TITLES)],
                start - timedelta(hours=2),
                180 + 15 * (place % 9),
            ),
        )
        return job

    async def _one(self, statement: str, *parameters: Any) -> UUID:
        cursor = await self._connection.execute(statement.encode(), parameters)
        row = await cursor.fetchone()
        if row is None:
            raise RuntimeError("an INSERT … RETURNING returned nothing")
        value: UUID = row[0]
        return value


async def apply_shipped(url: str, organization_id: UUID, name: str) -> None:
    """Apply one of the automations that come with the package."""
    pinned = validate_definition(name, shipped_automations()[name])
    database = Database(url, Role.APP, pool_size=2)
    try:
        await apply_definitions(database, organization_id, [pinned])
    finally:
        await database.close()


async def enter_sample(url: str) -> None:
    """Enter the company with a few jobs, bills and automations, unless there is any company."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute("SELECT EXISTS (SELECT 1 FROM organizations)")
        if await cursor.fetchone() == (True,):
            return
        company = SampleCompany(connection)
        await company.bill(await company.found(SAMPLE_JOBS))
        for name in (SAMPLE_AUTOMATION, *MORE_AUTOMATIONS):
            await apply_shipped(url, company.organization_id, name)
