"""How long the daily sweep takes for 100,000 open invoices, and what memory."""

from __future__ import annotations

import asyncio
import re
import resource
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

import psycopg
from temporalio.testing import ActivityEnvironment

from activities.sweeps import SweepActivities
from benchmarks.suite import Figures, Scale, Section, Table, Tell
from devstack.postgres import EmbeddedPostgres
from fixlify.domain.ids import new_id
from fixlify.domain.sweeps import Sweep, SweepFindings, SweepKind, SweepRun
from fixlify.storage.database import Database, Role
from fixlify.storage.migrations import migrate

NAME: Final = "sweep"
# 09:00 in New York.
NINE: Final = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
ZONE: Final = "America/New_York"
CASES: Final[Mapping[str, datetime]] = {
    "all reach a threshold": NINE,
    "all recorded already": NINE,
    "two days before": NINE - timedelta(days=2),
}

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
    peak_bytes: int
    peak_growth_bytes: int


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Sweep when every invoice reaches a threshold, when all are recorded, and two days before."""
    invoices = scale.choose(10_000, 100_000)
    with TemporaryDirectory(prefix="fixlify-sweep-") as folder:
        async with EmbeddedPostgres(Path(folder) / "postgres") as server:
            url = server.dsn("postgres")
            await asyncio.to_thread(migrate, url)
            tell(f"entering {invoices:,} invoices")
            await _fill(url, invoices)
            database = Database(url, Role.ENGINE)
            try:
                # Once for nothing: connections and imports are not the sweep's.
                await _sweep(database, NINE - timedelta(days=400))
                costs = []
                for case, at in CASES.items():
                    tell(case)
                    costs.append(await _cost(case, database, at))
            finally:
                await database.close()
    first = costs[0]
    return {
        "invoices": invoices,
        "seconds": first.seconds,
        "rows_per_second": first.rows_per_second,
        "cases": [asdict(cost) for cost in costs],
    }


def section(figures: Figures) -> Section:
    """Tell what each sweep took."""
    cases: Sequence[Mapping[str, Any]] = figures["cases"]
    return Section(
        f"A sweep of {figures['invoices']:,} rows",
        (
            f"One company has {figures['invoices']:,} open invoices, and an automation for those "
            "3, 7 and 14 days overdue. The sweep that a Temporal Schedule starts every day reads "
            "them in pages and records what it finds, in a durable Postgres. Three times: when "
            "every invoice reaches a threshold, again when all of them are recorded already, and "
            "two days before, when some are overdue and none reaches a threshold.",
            "It is measured from the activity's start to its end. Nothing is sent by a sweep; what "
            "it found goes through the relay like any event. Memory is the peak of the process "
            "that sweeps, with all it has loaded; during the first sweep it grew by "
            f"{cases[0]['peak_growth_bytes'] / 1e6:.1f} MB.",
        ),
        "python -m benchmarks.run --only sweep",
        [
            Table(
                ("Case", "Looked at", "Found", "Seconds", "Rows a second", "Peak memory, MB"),
                [
                    (
                        each["case"],
                        f"{each['looked_at']:,}",
                        f"{each['found']:,}",
                        f"{each['seconds']:.2f}",
                        f"{each['rows_per_second']:,}",
                        f"{each['peak_bytes'] / 1e6:.0f}",
                    )
                    for each in cases
                ],
            )
        ],
    )


async def _fill(url: str, invoices: int) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        row = await (await connection.execute(_ORGANIZATION, [ZONE])).fetchone()
        assert row is not None, "RETURNING gives one"  # noqa: S101
        await connection.execute(_AUTOMATION, [new_id(), row[0]])
        await connection.execute(_FILL, [row[0], invoices])
        await connection.execute("DELETE FROM automation_events")
        await connection.execute("VACUUM ANALYZE")


async def _cost(case: str, database: Database, at: datetime) -> Cost:
    _forget_peak()
    before, began = _peak(), perf_counter()
    findings = await _sweep(database, at)
    seconds = perf_counter() - began
    return Cost(
        case=case,
        looked_at=findings.looked_at,
        found=findings.found,
        seconds=round(seconds, 2),
        rows_per_second=round(findings.looked_at / seconds),
        peak_bytes=_peak(),
        peak_growth_bytes=_peak() - before,
    )


async def _sweep(database: Database, at: datetime) -> SweepFindings:
    sweep = Sweep(schedule_id="benchmark", kind=SweepKind.OVERDUE_INVOICES, time_zone=ZONE)
    run = SweepRun(run_id=str(uuid4()), sweep=sweep, scheduled_at=at)
    activities = SweepActivities(database, clock=lambda: at)
    findings: SweepFindings = await ActivityEnvironment().run(activities.run_sweep, run)
    return findings


def _peak() -> int:
    """Return the most memory this process had since its peak was forgotten, in bytes."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text()
        if found := re.search(r"^VmHWM:\s+(\d+) kB$", status, flags=re.MULTILINE):
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _forget_peak() -> None:
    """Let the peak begin anew where the system can (proc(5), clear_refs)."""
    # What the migration took before would hide what a sweep takes.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
