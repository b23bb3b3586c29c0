"""Measure what the row triggers cost whoever writes a job.

``python -m benchmarks.row_triggers [--json] [--not-durable]`` starts a Postgres of its own with
one database per variant and writes to them in turns, so that a busy machine slows all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final, LiteralString

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool, create_engine

from devstack.postgres import EmbeddedPostgres
from fixlify.storage import migrations
from fixlify.storage.database import sqlalchemy_url

JOBS: Final = 10_000
SINGLE_WRITES: Final = 5_000
WRITES_A_TURN: Final = 100
BULK_TURNS: Final = 7

# What a variant is: the schema's revision, and what is done to it.
VARIANTS: Final[Mapping[str, tuple[str, LiteralString]]] = {
    "without triggers": ("head", "ALTER TABLE jobs DISABLE TRIGGER USER"),
    "triggers of 0001": ("0001", "SELECT"),
    "newest triggers": ("head", "SELECT"),
}

_FILL: Final = """
    WITH company AS (INSERT INTO organizations (name) VALUES ('Northwind') RETURNING id)
    INSERT INTO jobs (organization_id, id, title, description, job_type, status, address, total,
                      schedule_start, tags)
    SELECT company.id, 'J-' || n, 'Boiler repair', repeat('The boiler drips. ', 20), 'repair',
           'scheduled', '12 Main Street, Springfield', 240, now(), '{vip,repeat}'
    FROM company, generate_series(1, %s) AS n
"""
_STATUS: Final = (
    "UPDATE jobs SET status = CASE status WHEN 'completed' THEN 'scheduled' ELSE 'completed' END"
)
_TITLE: Final = "UPDATE jobs SET title = title || '.'"
_ONE: Final = " WHERE organization_id = (SELECT id FROM organizations) AND id = %s"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one kind of write took in one variant; *ratio* is to the first variant's median."""

    write: str
    variant: str
    median_ms: float
    p95_ms: float
    ratio: float


def measure(connections: Mapping[str, psycopg.Connection[Any]]) -> list[Cost]:
    """Return what each kind of write costs in each variant."""
    return [
        *_compare("status of one job", connections, _one_by_one(_STATUS + _ONE), _turns()),
        *_compare("title of one job", connections, _one_by_one(_TITLE + _ONE), _turns()),
        *_compare(f"status of {JOBS:,} jobs", connections, _all_at_once(_STATUS), BULK_TURNS),
    ]


def _turns() -> int:
    return SINGLE_WRITES // WRITES_A_TURN


_Turn = Callable[[psycopg.Connection[Any], int], list[float]]


def _compare(
    write: str, connections: Mapping[str, psycopg.Connection[Any]], turn: _Turn, turns: int
) -> list[Cost]:
    took: dict[str, list[float]] = {variant: [] for variant in connections}
    for number in range(turns):
        for variant, connection in connections.items():
            took[variant] += turn(connection, number)
    baseline = median(next(iter(took.values())))
    return [
        Cost(
            write,
            variant,
            round(median(times), 3),
            round(quantiles(times, n=20)[-1], 3),
            round(median(times) / baseline, 2),
        )
        for variant, times in took.items()
    ]


def _one_by_one(statement: LiteralString) -> _Turn:
    """Write some jobs, each in a transaction of its own."""

    def turn(connection: psycopg.Connection[Any], number: int) -> list[float]:
        first = number * WRITES_A_TURN + 1
        return [
            _milliseconds(partial(connection.execute, statement, [f"J-{job}"]))
            for job in range(first, first + WRITES_A_TURN)
        ]

    return turn


def _all_at_once(statement: LiteralString) -> _Turn:
    """Write every job in one statement, into a table without the last turn's dead rows."""

    def turn(connection: psycopg.Connection[Any], _: int) -> list[float]:
        connection.execute("TRUNCATE automation_events")
        connection.execute("VACUUM jobs")
        return [_milliseconds(lambda: connection.execute(statement))]

    return turn


def _milliseconds(act: Callable[[], object]) -> float:
    start = perf_counter()
    act()
    return (perf_counter() - start) * 1_000


def _prepare(url: str, revision: str, adaptation: LiteralString) -> psycopg.Connection[Any]:
    """Make the schema in the empty database at *url*, fill it, and return a connection."""
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    with engine.connect() as upgrading:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = upgrading
        command.upgrade(config, revision)
    engine.dispose()
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(_FILL, [JOBS])
    connection.execute(adaptation)
    connection.execute("VACUUM ANALYZE")
    return connection


async def _run(*, durable: bool) -> list[Cost]:
    with TemporaryDirectory(prefix="fixlify-benchmark-") as folder:
        async with EmbeddedPostgres(Path(folder), durable=durable) as server:
            return await asyncio.to_thread(_measure_in, server)


def _measure_in(server: EmbeddedPostgres) -> list[Cost]:
    connections: dict[str, psycopg.Connection[Any]] = {}
    try:
        with psycopg.connect(server.dsn(), autocommit=True) as administration:
            for number, (variant, (revision, adaptation)) in enumerate(VARIANTS.items()):
                administration.execute(f"CREATE DATABASE variant_{number}".encode())
                connections[variant] = _prepare(
                    server.dsn(f"variant_{number}"), revision, adaptation
                )
        return measure(connections)
    finally:
        for connection in connections.values():
            connection.close()


def _table(costs: Sequence[Cost]) -> str:
    return "\n".join(
        f"{cost.write:22}{cost.variant:20}{cost.median_ms:10.3f} ms median"
        f"{cost.p95_ms:10.3f} ms p95{cost.ratio:8.2f} x"
        for cost in costs
    )


def main() -> None:
    """Measure, and print a line per kind of write and variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.add_argument("--not-durable", action="store_true", help="commit without fsync")
    arguments = parser.parse_args()
    costs = asyncio.run(_run(durable=not arguments.not_durable))
    print(  # noqa: T201 - this is what the program is for
        json.dumps([asdict(cost) for cost in costs], indent=2) if arguments.json else _table(costs)
    )


if __name__ == "__main__":
    main()
