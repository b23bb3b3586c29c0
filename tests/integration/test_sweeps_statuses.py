"""Postgres and Python agree on what people typed."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from fixlify.domain.names import normalized
from fixlify.storage.database import Database
from fixlify.storage.sweeps import statuses


@pytest.mark.parametrize(
    "typed",
    [
        "in progress",
        "In-Progress",
        "__IN _- progress__",
        "on\thold\n",
        "No-Show",
        "Été",
        "ÇA VA",
        "в работе",
        "-_ ",
        "",
        "a\u00a0b",
        None,
    ],
)
async def test_a_status_is_spelled_in_sql_as_in_python(
    engine_database: Database, typed: str | None
) -> None:
    statement = text(f"SELECT {statuses.normalized('CAST(:typed AS text)')}")
    async with engine_database.statement() as connection:
        assert await connection.scalar(statement, {"typed": typed}) == normalized(typed)
