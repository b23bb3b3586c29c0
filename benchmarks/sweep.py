"""Measure how long the daily sweep takes for 100,000 open invoices, and what memory.

``python -m benchmarks.sweep [--invoices N] [--json]`` starts a Postgres of its own, and sweeps
three times: when every invoice reaches a threshold, when all of them are recorded already, and
two days before, when some are and none is due.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final
from uuid import uuid4

import psycopg
from temporalio.testing import ActivityEnvironment

from activities.sweeps import SweepActivities
from devstack.postgres import EmbeddedPostgres
from fixlify.domain.ids import new_id
from fixlify.domain.sweeps import Sweep, SweepFindings, SweepKind, SweepRun
from fixlify.storage.database import Database, Role
from fixlify.storage.migrations import migrate

INVOICES: Final = 100_000
# 09:00 in New York.
NINE: Final = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
ZONE: Final = "America/New_York"

_ORGANIZATION: Final = (
    "INSERT INTO organizations (name, time_zone) VALUES ('Northwind', %s) RETURNING id"
)
_AUTOMATION: Final = """
    INSERT INTO automation_workflows
        (id, organization_id, name, status, trigger_type, trigger_config, steps, version)
    VALUES (%s, %s, 'Overdue', 'active', 'invoice_overdue', '{"days": [3, 7, 14]}', '[{}]', 1)
"""
_FILL: Final = """
    INSERT INTO invoices (organization_id, number, status, total, amount_paid, due_date)
    SELECT %s, 'I-' || n, (ARRAY['sent', 'Partially Paid', 'overdue', NULL])[1 + n %% 4], 240,
           n %% 200, DATE '2026-11-21' - (ARRAY[3, 4, 7, 8, 14])[1 + n %% 5]
    FROM generate_series(1, %s) AS n
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one sweep took; memory is this process's, in bytes, and how much its peak grew."""

    case: str
    looked_at: int
    found: int
    seconds: float
    rows_per_second: float
    peak_memory: int
    peak_growth: int


async def measure(invoices: int) -> list[Cost]:
    """Return what each case cost."""
    with TemporaryDirectory(prefix="fixlify-sweep-") as folder:
        async with EmbeddedPostgres(Path(folder) / "postgres") as server:
            url = server.dsn("postgres")
            await asyncio.to_thread(migrate, url)
            await _fill(url, invoices)
            database = Database(url, Role.ENGINE)
            try:
                # Once for nothing: connections and imports are not the sweep's.
                await _sweep(database, NINE - timedelta(days=400))
                return [
                    await _cost("all reach a threshold", database, NINE),
                    await _cost("all recorded already", database, NINE),
                    await _cost("two days before", database, NINE - timedelta(days=2)),
                ]
            finally:
                await database.close()


async def _fill(url: str, invoices: int) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        row = await (await connection.execute(_ORGANIZATION, [ZONE])).fetchone()
        assert row is not None, "RETURNING gives one"  # noqa: S101
        await connection.execute(_AUTOMATION, [new_id(), row[0]])
        await connection.execute(_FILL, [row[0], invoices])
        await connection.execute("DELETE FROM automation_events")
        await connection.execute("VACUUM ANALYZE")


async def _cost(case: str, database: Database, at: datetime) -> Cost:
    before, began = _peak(), perf_counter()
    findings = await _sweep(database, at)
    seconds = perf_counter() - began
    return Cost(
        case=case,
        looked_at=findings.looked_at,
        found=findings.found,
        seconds=round(seconds, 2),
        rows_per_second=round(findings.looked_at / seconds),
        peak_memory=_peak(),
        peak_growth=_peak() - before,
    )


async def _sweep(database: Database, at: datetime) -> SweepFindings:
    sweep = Sweep(schedule_id="benchmark", kind=SweepKind.OVERDUE_INVOICES, time_zone=ZONE)
    run = SweepRun(run_id=str(uuid4()), sweep=sweep, scheduled_at=at)
    activities = SweepActivities(database, clock=lambda: at)
    findings: SweepFindings = await ActivityEnvironment().run(activities.run_sweep, run)
    return findings


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Print what was measured, for people or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=INVOICES)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    costs = asyncio.run(measure(arguments.invoices))
    if arguments.json:
        print(json.dumps([asdict(cost) for cost in costs]))  # noqa: T201 - a script
        return
    for cost in costs:
        print(  # noqa: T201
            f"{cost.case}: looked at {cost.looked_at:,}, found {cost.found:,} in "
            f"{cost.seconds:.2f} s ({cost.rows_per_second:,.0f} a second), "
            f"peak memory {cost.peak_memory / 2**20:.0f} MB ({cost.peak_growth / 2**20:+.1f} MB)"
        )


if __name__ == "__main__":
    main()
