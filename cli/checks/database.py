"""Look at Postgres: reachable, new enough, migrated, guarded by its roles, and not behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

from cli.checks.findings import Finding, Health, failed, ok, warning
from cli.checks.rules import check_rules
from cli.checks.standstill import check_standstill
from cli.checks.triggers import check_triggers
from cli.checks.webhooks import check_webhooks
from cli.database import database_words
from cli.output import elapsed
from fixlify.storage.database import Role, libpq_url
from fixlify.storage.migrations import newest_revision

OLDEST_POSTGRES: Final = 15
# The relay takes milliseconds. A burst may take it a minute; nothing takes it a quarter of an hour.
LATE: Final = timedelta(minutes=1)
STUCK: Final = timedelta(minutes=15)

_MIGRATE: Final = "Run `fixlify migrate`."
_CONNECT_TIMEOUT_S: Final = 5

# Two kinds, an index each.
_WAITING_EVENTS = """
    SELECT count(*), clock_timestamp() - min(occurred_at)
    FROM (
        SELECT occurred_at FROM automation_events
        WHERE processed_at IS NULL AND automation_id IS NULL
        UNION ALL
        SELECT occurred_at FROM automation_events
        WHERE processed_at IS NULL AND automation_id IS NOT NULL
    ) waiting
"""
# Those of whoever is stopped wait because somebody wants them to.
_PENDING_EXECUTIONS = """
    SELECT count(*), clock_timestamp() - min(created_at)
    FROM automation_execution_logs e
    WHERE status = 'pending' AND NOT EXISTS (
        SELECT FROM automation_stops s
        WHERE s.organization_id IS NULL OR s.organization_id = e.organization_id
    )
"""
_UNKNOWN_OUTCOMES = "SELECT count(*) FROM messages WHERE status = 'unknown'"


async def check_database(url: str) -> AsyncIterator[Finding]:
    """Look at the database at *url*, from the connection to what waits in it."""
    try:
        connection = await psycopg.AsyncConnection.connect(
            libpq_url(url),
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT_S,
            application_name="fixlify doctor",
        )
    except psycopg.Error as error:
        yield failed(
            "database.reachable",
            database_words(error),
            "Start it, or correct FIXLIFY_DATABASE_URL.",
        )
        return
    async with connection:
        yield ok("database.reachable", _whereabouts(connection))
        yield _version(connection)
        schema = await _schema(connection)
        yield schema
        if schema.status is Health.FAILED:
            # Everything below asks for what the migrations make.
            return
        roles = [await _role(connection, role) for role in Role]
        for finding in roles:
            yield finding
        yield await check_triggers(connection)
        if all(finding.status is Health.OK for finding in roles):
            async for finding in _work(connection):
                yield finding


def _whereabouts(connection: psycopg.AsyncConnection[Any]) -> str:
    info = connection.info
    return f"{info.dbname} on {info.host}:{info.port} as {info.user}"


def _version(connection: psycopg.AsyncConnection[Any]) -> Finding:
    major, minor = divmod(connection.info.server_version, 10_000)
    version = f"Postgres {major}.{minor}"
    if major < OLDEST_POSTGRES:
        return failed("database.version", version, f"Move to Postgres {OLDEST_POSTGRES} or newer.")
    return ok("database.version", version)


async def _schema(connection: psycopg.AsyncConnection[Any]) -> Finding:
    check = "database.schema"
    newest = await asyncio.to_thread(newest_revision)
    try:
        cursor = await connection.execute("SELECT version_num FROM alembic_version")
        row = await cursor.fetchone()
    except psycopg.errors.UndefinedTable:
        return failed(check, "the database is empty: nothing was migrated", _MIGRATE)
    except psycopg.Error as error:
        return failed(check, database_words(error), "Connect as the owner of the tables.")
    if row is None:
        return failed(check, "nothing was migrated", _MIGRATE)
    if row[0] != newest:
        return failed(
            check,
            f"at revision {row[0]}, this program needs {newest}",
            f"{_MIGRATE} If that knows no {row[0]}, this program is older than the database.",
        )
    return ok(check, f"at the newest revision, {newest}")


async def _role(connection: psycopg.AsyncConnection[Any], role: Role) -> Finding:
    check = f"database.role.{role}"
    try:
        async with connection.transaction():
            await connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
    except psycopg.errors.InvalidParameterValue:
        return failed(check, "the role does not exist", _MIGRATE)
    except psycopg.Error as error:
        return failed(
            check, database_words(error), f"As its owner: GRANT {role} TO {connection.info.user};"
        )
    return ok(check, "exists, and can be taken")


async def _work(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[Finding]:
    """Look at what waits, with the rights of the engine: every organization's rows."""
    await connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(Role.ENGINE)))
    yield _waiting(
        "database.events",
        "events wait for the relay",
        await _row(connection, _WAITING_EVENTS),
        "Start a relay, `fixlify worker` or `fixlify starter`, and look at its log.",
    )
    yield _waiting(
        "database.executions",
        "executions wait for their workflow",
        await _row(connection, _PENDING_EXECUTIONS),
        "Look at Temporal below, and start a worker: `fixlify worker`.",
    )
    (unknown,) = await _row(connection, _UNKNOWN_OUTCOMES)
    if unknown:
        yield warning(
            "database.messages",
            f"{unknown} messages with an unknown outcome: they may have arrived, or not",
            "`fixlify executions list --status failed` names the runs; ask the provider.",
        )
    else:
        yield ok("database.messages", "no unknown outcomes")
    async for finding in check_standstill(connection):
        yield finding
    yield await check_rules(connection)
    yield await check_webhooks(connection)


async def _row(connection: psycopg.AsyncConnection[Any], query: str) -> tuple[Any, ...]:
    row = await (await connection.execute(query.encode())).fetchone()
    if row is None:
        raise LookupError("an aggregate returned no row")
    return tuple(row)


def _waiting(check: str, what: str, row: tuple[Any, ...], remedy: str) -> Finding:
    count, age = row
    if not count:
        return ok(check, f"no {what}")
    detail = f"{count} {what}, the oldest for {elapsed(age)}"
    if age < LATE:
        return ok(check, detail)
    return (failed if age >= STUCK else warning)(check, detail, remedy)
