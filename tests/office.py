"""A field-service company in a test database: it writes its rows as plain SQL, as companies do."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg
import yaml
from psycopg import sql
from psycopg.rows import dict_row

from fixlify.storage.automations import Applied
from fixlify.storage.database import Database, Role
from starter.definitions import apply_definitions, validate_definition


class Office:
    """One organization and its staff's SQL console; lives as long as its test."""

    def __init__(
        self, url: str, connection: psycopg.AsyncConnection[dict[str, Any]], organization_id: UUID
    ) -> None:
        self.url = url
        self.organization_id = organization_id
        self.newest_client_id: UUID | None = None
        self._connection = connection

    @classmethod
    async def open(cls, url: str, name: str = "Northwind Heating", **columns: Any) -> Self:
        """Found a company in the database at *url*."""
        connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, row_factory=dict_row
        )
        company = cls(url, connection, UUID(int=0))
        row = await company.insert(
            "organizations",
            **{"name": name, "time_zone": "America/New_York", "email": "office@example.com"}
            | columns,
        )
        company.organization_id = row["id"]
        return company

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connection.close()

    async def query(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        """Run one statement with ``%s`` parameters; return its rows, if it has any."""
        cursor = await self._connection.execute(statement.encode(), parameters)
        return await cursor.fetchall() if cursor.description else []

    async def insert(self, table: str, **columns: Any) -> dict[str, Any]:
        """Insert one row and return it whole."""
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING *").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
        )
        cursor = await self._connection.execute(statement, list(columns.values()))
        row = await cursor.fetchone()
        assert row is not None
        return row

    async def add_client(self, **columns: Any) -> UUID:
        """Enter a client who can be reached both ways, unless *columns* say otherwise."""
        defaults = {
            "organization_id": self.organization_id,
            "first_name": "Ada",
            "last_name": "Byron",
            "email": "ada@example.com",
            "phone": "+12125550123",
        }
        row = await self.insert("clients", **(defaults | columns))
        client_id: UUID = row["id"]
        self.newest_client_id = client_id
        return client_id

    async def add_job(self, job_id: str = "J-2019", **columns: Any) -> str:
        """Enter a scheduled job; with a new client unless *columns* name one."""
        if "client_id" not in columns:
            columns["client_id"] = await self.add_client()
        defaults = {
            "organization_id": self.organization_id,
            "id": job_id,
            "title": "Boiler repair",
            "job_type": "repair",
            "status": "scheduled",
            "total": 240,
        }
        await self.insert("jobs", **(defaults | columns))
        return job_id

    async def add_estimate(self, **columns: Any) -> UUID:
        """Enter a draft estimate; for a new client unless *columns* name one."""
        defaults = {"number": "E-1001", "title": "New boiler", "status": "draft", "total": 4_800}
        return await self._add("estimates", defaults | columns)

    async def add_invoice(self, **columns: Any) -> UUID:
        """Enter a draft invoice of nothing paid yet; for a new client unless *columns* name one."""
        defaults = {"number": "INV-1001", "status": "draft", "total": 240}
        return await self._add("invoices", defaults | columns)

    async def add_payment(self, **columns: Any) -> UUID:
        """Enter a payment by card; of a new client unless *columns* name one."""
        return await self._add("payments", {"amount": 240, "method": "card"} | columns)

    async def add_task(self, **columns: Any) -> UUID:
        """Enter an open task; about a new client unless *columns* name one."""
        return await self._add("tasks", {"title": "Call back", "status": "open"} | columns)

    async def add_inbound_message(self, body: str | None = "Yes please", **columns: Any) -> UUID:
        """Enter a text message that came in; from a new client unless *columns* name one."""
        defaults = {"from_number": "+12125550123", "to_number": "+12125550100", "body": body}
        return await self._add("inbound_messages", defaults | columns)

    async def _add(self, table: str, columns: dict[str, Any]) -> UUID:
        if "client_id" not in columns:
            columns["client_id"] = await self.add_client()
        row = await self.insert(table, organization_id=self.organization_id, **columns)
        row_id: UUID = row["id"]
        return row_id

    async def write_status(self, job_id: str, status: str | None) -> None:
        """Do what every app of the company does: one UPDATE."""
        await self.query(
            "UPDATE jobs SET status = %s WHERE organization_id = %s AND id = %s",
            status,
            self.organization_id,
            job_id,
        )

    async def apply(self, automation: str) -> Applied:
        """Apply one automation written in YAML."""
        pinned = validate_definition("test.yaml", yaml.safe_load(automation))
        database = Database(self.url, Role.APP, pool_size=2)
        try:
            return (await apply_definitions(database, self.organization_id, [pinned]))[0]
        finally:
            await database.close()

    async def executions(self) -> list[dict[str, Any]]:
        """Return the company's executions, oldest first."""
        return await self.query(
            "SELECT * FROM automation_execution_logs WHERE organization_id = %s ORDER BY id",
            self.organization_id,
        )

    async def messages(self) -> list[dict[str, Any]]:
        """Return the company's ledger, oldest first."""
        return await self.query(
            "SELECT * FROM messages WHERE organization_id = %s ORDER BY id", self.organization_id
        )

    async def events(self) -> list[dict[str, Any]]:
        """Return what the row triggers recorded, oldest first."""
        return await self.query(
            "SELECT * FROM automation_events WHERE organization_id = %s ORDER BY id",
            self.organization_id,
        )
