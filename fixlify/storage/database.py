"""Connections: one pool per role, and a transaction that sees one organization."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

# In milliseconds. A process that hangs in a transaction, or whose machine is gone, must not keep
# its locks: what it holds would never be relayed.
_LIMITS: Final = "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000"

KEEP_ALIVE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "connect_timeout": 10,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
)
"""How a connection notices in half a minute, not in hours, that the other side is gone."""


class Role(StrEnum):
    """The database roles a process may take; see ``migrations/sql/0001_security.sql``."""

    APP = "fixlify_app"
    ENGINE = "fixlify_engine"


def sqlalchemy_url(url: str) -> str:
    """Return *url* (``postgresql://…``) as SQLAlchemy wants it for psycopg 3."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme.startswith("postgres") else url


def libpq_url(url: str) -> str:
    """Return *url* as psycopg itself wants it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


class Database:
    """A pool of connections that all act as one role; lives as long as its process."""

    def __init__(self, url: str, role: Role, pool_size: int = 10) -> None:
        def pool(**options: Any) -> AsyncEngine:
            return create_async_engine(
                sqlalchemy_url(url),
                pool_size=pool_size,
                max_overflow=0,
                # Errors travel into logs and Temporal; what a statement was about does not.
                hide_parameters=True,
                connect_args={
                    **KEEP_ALIVE,
                    "options": f"-c role={role.value} {_LIMITS}",
                    "application_name": f"fixlify {role.name.lower()}",
                    # Every statement here is one of a fixed few, so prepare at first use.
                    "prepare_threshold": 0,
                },
                **options,
            )

        # Two pools, each with what it needs: switching a connection back and forth costs more
        # than the second pool, which opens nothing until it is used.
        self._transactions = pool()
        self._statements = pool(isolation_level="AUTOCOMMIT", pool_reset_on_return=None)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction that commits unless the block raises."""
        async with self._transactions.begin() as connection:
            yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection on which every statement is its own transaction.

        Saves the two round trips of BEGIN and COMMIT where one statement is all there is.
        """
        async with self._statements.connect() as connection:
            yield connection

    @asynccontextmanager
    async def organization(self, organization_id: UUID) -> AsyncIterator[AsyncConnection]:
        """Yield a transaction that sees one organization's rows, for the app role."""
        async with self._transactions.begin() as connection:
            await connection.execute(
                text("SELECT set_config('fixlify.organization_id', :id, true)"),
                {"id": str(organization_id)},
            )
            yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self._transactions.dispose()
        await self._statements.dispose()
