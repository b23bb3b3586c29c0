"""Whom a timeline is about: a client as people call them, and the records of clients and jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.events import SubjectType
from fixlify.domain.facts import Subject

# A digit more or less before the number itself is its country's code, or the zero before it.
_TELLING_DIGITS: Final = 9

# What belongs to a client or to a job, as fixlify_people_of() has it: a record's own client
# counts before its job's.
_RECORDS_OF_CLIENT = text("""
    WITH its_jobs AS (
        SELECT id FROM jobs WHERE organization_id = :organization_id AND client_id = :client_id
    ), its_invoices AS (
        SELECT id FROM invoices
        WHERE organization_id = :organization_id AND client_id = :client_id
        UNION ALL
        SELECT i.id FROM its_jobs j
        JOIN invoices i ON i.organization_id = :organization_id AND i.job_id = j.id
        WHERE i.client_id IS NULL
    )
    SELECT 'client' AS type, CAST(CAST(:client_id AS uuid) AS text) AS id
    UNION ALL SELECT 'job', id FROM its_jobs
    UNION ALL SELECT 'invoice', CAST(id AS text) FROM its_invoices
    UNION ALL SELECT 'estimate', CAST(id AS text) FROM estimates
        WHERE organization_id = :organization_id AND client_id = :client_id
    UNION ALL SELECT 'estimate', CAST(e.id AS text) FROM its_jobs j
        JOIN estimates e ON e.organization_id = :organization_id AND e.job_id = j.id
        WHERE e.client_id IS NULL
    UNION ALL SELECT 'payment', CAST(id AS text) FROM payments
        WHERE organization_id = :organization_id AND client_id = :client_id
    UNION ALL SELECT 'payment', CAST(p.id AS text) FROM its_invoices i
        JOIN payments p ON p.organization_id = :organization_id AND p.invoice_id = i.id
        WHERE p.client_id IS NULL
    UNION ALL SELECT 'task', CAST(id AS text) FROM tasks
        WHERE organization_id = :organization_id AND client_id = :client_id
    UNION ALL SELECT 'task', CAST(t.id AS text) FROM its_jobs j
        JOIN tasks t ON t.organization_id = :organization_id AND t.job_id = j.id
        WHERE t.client_id IS NULL
    UNION ALL SELECT 'sms', CAST(id AS text) FROM inbound_messages
        WHERE organization_id = :organization_id AND client_id = :client_id
""")

_RECORDS_OF_JOB = text("""
    WITH its_invoices AS (
        SELECT id FROM invoices WHERE organization_id = :organization_id AND job_id = :job_id
    )
    SELECT 'job' AS type, CAST(:job_id AS text) AS id
    UNION ALL SELECT 'invoice', CAST(id AS text) FROM its_invoices
    UNION ALL SELECT 'payment', CAST(p.id AS text) FROM its_invoices i
        JOIN payments p ON p.organization_id = :organization_id AND p.invoice_id = i.id
    UNION ALL SELECT 'estimate', CAST(id AS text) FROM estimates
        WHERE organization_id = :organization_id AND job_id = :job_id
    UNION ALL SELECT 'task', CAST(id AS text) FROM tasks
        WHERE organization_id = :organization_id AND job_id = :job_id
""")

_CLIENT_COLUMNS: Final = "id, first_name, last_name, company, email, phone"

_CLIENT_BY_ID = text(f"""
    SELECT {_CLIENT_COLUMNS} FROM clients
    WHERE organization_id = :organization_id AND id = CAST(:id AS uuid)
""")  # noqa: S608 - constants of this module

# Row security lets no index look into what these functions make of a column: they go through the
# clients of the one company.
_CLIENTS_BY_EMAIL = text(f"""
    SELECT {_CLIENT_COLUMNS} FROM clients
    WHERE organization_id = :organization_id AND lower(email) = lower(:email)
    ORDER BY id LIMIT :limit
""")  # noqa: S608

_CLIENTS_BY_PHONE = text(f"""
    SELECT {_CLIENT_COLUMNS} FROM clients
    WHERE organization_id = :organization_id
      AND right(regexp_replace(phone, '[^0-9]', '', 'g'), {_TELLING_DIGITS}) = :digits
    ORDER BY id LIMIT :limit
""")  # noqa: S608

_JOB_IS_THERE = text("SELECT 1 FROM jobs WHERE organization_id = :organization_id AND id = :id")


@dataclass(frozen=True, slots=True)
class KnownClient:
    """A client, as people call them."""

    id: UUID
    first_name: str | None
    last_name: str | None
    company: str | None
    email: str | None
    phone: str | None

    @property
    def name(self) -> str:
        """First and last name, else the company, else the id."""
        person = " ".join(part for part in (self.first_name, self.last_name) if part)
        return person or self.company or str(self.id)


async def find_clients(
    connection: AsyncConnection, organization_id: UUID, wanted: str, limit: int
) -> list[KnownClient]:
    """Return up to *limit* clients with this id, email or phone, however those are written."""
    asked: dict[str, Any] = {"organization_id": organization_id, "limit": limit}
    digits = "".join(filter(str.isdecimal, wanted))
    if "@" in wanted:
        found = await connection.execute(_CLIENTS_BY_EMAIL, {**asked, "email": wanted.strip()})
    elif (client_id := _uuid(wanted)) is not None:
        found = await connection.execute(
            _CLIENT_BY_ID, {"organization_id": organization_id, "id": client_id}
        )
    elif len(digits) >= _TELLING_DIGITS:
        found = await connection.execute(
            _CLIENTS_BY_PHONE, {**asked, "digits": digits[-_TELLING_DIGITS:]}
        )
    else:
        return []
    return [KnownClient(**row) for row in found.mappings()]


async def job_is_there(connection: AsyncConnection, organization_id: UUID, job_id: str) -> bool:
    """Whether the organization has a job of that id now."""
    key = {"organization_id": organization_id, "id": job_id}
    return await connection.scalar(_JOB_IS_THERE, key) is not None


async def records_of_client(
    connection: AsyncConnection, organization_id: UUID, client_id: UUID
) -> list[Subject]:
    """Return the client and every record of theirs."""
    return await _subjects(
        connection, _RECORDS_OF_CLIENT, organization_id, {"client_id": client_id}
    )


async def records_of_job(
    connection: AsyncConnection, organization_id: UUID, job_id: str
) -> list[Subject]:
    """Return the job, whether it is still there or not, and what belongs to it."""
    return await _subjects(connection, _RECORDS_OF_JOB, organization_id, {"job_id": job_id})


async def _subjects(
    connection: AsyncConnection,
    statement: TextClause,
    organization_id: UUID,
    key: Mapping[str, Any],
) -> list[Subject]:
    rows = await connection.execute(statement, {"organization_id": organization_id, **key})
    found = dict.fromkeys((type_, id_) for type_, id_ in rows)
    return [Subject(organization_id, SubjectType(type_), id_) for type_, id_ in found]


def _uuid(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None
