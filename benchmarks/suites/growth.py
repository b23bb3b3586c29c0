"""How much each execution leaves behind: in our tables, in Temporal's history and its file."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from statistics import mean
from typing import Any, Final
from uuid import UUID

from benchmarks.lab.companies import complete
from benchmarks.lab.stack import Lab, open_lab
from benchmarks.suite import Bars, Figures, Scale, Section, Table, Tell
from devstack.temporal_actions import billable_actions
from fixlify.domain.ids import workflow_id

NAME: Final = "growth"
DEADLINE: Final = timedelta(minutes=5)
_A_PAGE: Final = 8192

_SIZES: Final = """
    SELECT relname, pg_table_size(oid), pg_indexes_size(oid)
    FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""
_EXECUTIONS: Final = "SELECT id FROM automation_execution_logs ORDER BY id"
_WRITTEN: Final = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"


@dataclass(frozen=True, slots=True)
class Size:
    """A table: its rows, and the bytes of it and of its indexes."""

    rows: int
    table: int
    indexes: int


@dataclass(frozen=True, slots=True)
class Growth:
    """What one execution adds to a table, on the average."""

    table: str
    rows: float
    table_bytes: int
    index_bytes: int


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Weigh everything, let runs of one email and one text through, and weigh again."""
    runs = scale.choose(100, 500)
    async with open_lab() as lab:
        company = await lab.founder.found(runs + 1)
        async with lab.worker():
            # The first run writes what is only written once.
            await complete(lab.connection, company.jobs[0])
            await lab.completed(1, DEADLINE)
            before = await _sizes(lab)
            log, file = await _one(lab, _WRITTEN), _temporal_bytes(lab.home)
            tell(f"{runs} runs")
            for job in company.jobs[1:]:
                await complete(lab.connection, job)
            await lab.completed(1 + runs, DEADLINE)
            after = await _sizes(lab)
            log, file = await _one(lab, _WRITTEN) - log, _temporal_bytes(lab.home) - file
            tell("reading the histories")
            history = await _history(lab)
    grown = growth(before, after, runs)
    return {
        "runs": runs,
        "bytes_per_run": sum(each.table_bytes + each.index_bytes for each in grown),
        "wal_bytes_per_run": round(int(log) / runs),
        "tables": [asdict(each) for each in grown],
        "temporal_db_bytes_per_run": round(file / runs),
        **history,
    }


def growth(before: Mapping[str, Size], after: Mapping[str, Size], runs: int) -> list[Growth]:
    """Return what one of *runs* added to each table that grew, the most first.

    A table that only got new versions of its rows grew as well: they are bytes too.
    """
    grown = []
    for name, now in after.items():
        was = before.get(name, Size(0, 0, 0))
        each = Growth(
            name,
            round((now.rows - was.rows) / runs, 2),
            round((now.table - was.table) / runs),
            round((now.indexes - was.indexes) / runs),
        )
        # Less than a page or two is not told apart from none.
        if now.table + now.indexes - was.table - was.indexes > 2 * _A_PAGE:
            grown.append(each)
    return sorted(grown, key=lambda each: each.table_bytes + each.index_bytes, reverse=True)


def section(figures: Figures) -> Section:
    """Tell what a run leaves behind, and where."""
    tables: Sequence[Mapping[str, Any]] = figures["tables"]
    rows = [
        (
            f"`{each['table']}`",
            f"{each['rows']:g}",
            f"{each['table_bytes']:,}",
            f"{each['index_bytes']:,}",
        )
        for each in tables
    ]
    rows.append(
        ("Together", "", f"{_sum(tables, 'table_bytes'):,}", f"{_sum(tables, 'index_bytes'):,}")
    )
    return Section(
        "What a run leaves behind",
        (
            f"Sizes before and after {figures['runs']} runs that send one email and one text, "
            "divided by the runs; a table that grew by a page or two is left out. Sizes count "
            "whole pages, and versions of rows that no vacuum has taken away yet, as the disk "
            "does. The write-ahead log takes "
            f"{figures['wal_bytes_per_run']:,} bytes a run, which Postgres uses again.",
            f"In Temporal a run is {figures['events_per_run']:g} events and "
            f"{figures['history_bytes_per_run']:,} bytes of history, and "
            f"{figures['mean_actions_per_run']:g} billable actions: two where both messages were "
            f"taken at once, at most {figures['actions_per_run']:g} where one or both went "
            "through their queue. The server's SQLite file grows by "
            f"{figures['temporal_db_bytes_per_run']:,} bytes a run, of which the retention frees "
            "most after its days. Histories hold ids and decisions; what was sent to whom is in "
            "Postgres alone.",
        ),
        "python -m benchmarks.run --only growth",
        [Table(("Table", "Rows a run", "Bytes a run", "Bytes of indexes a run"), rows)],
        [
            Bars(
                "Growth per run",
                "bytes with indexes",
                [(each["table"], each["table_bytes"] + each["index_bytes"]) for each in tables],
            )
        ],
    )


def _sum(tables: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum(int(each[name]) for each in tables)


async def _sizes(lab: Lab) -> dict[str, Size]:
    cursor = await lab.connection.execute(_SIZES)
    sizes: list[tuple[str, int, int]] = await cursor.fetchall()
    return {
        name: Size(await _one(lab, f"SELECT count(*) FROM {name}"), *weighed)  # noqa: S608
        for name, *weighed in sizes
    }


async def _one(lab: Lab, statement: str) -> int:
    cursor = await lab.connection.execute(statement.encode())
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def _history(lab: Lab) -> dict[str, Any]:
    """Return events, bytes and billable actions of a run: means over some; of actions the most."""
    cursor = await lab.connection.execute(_EXECUTIONS)
    executions: list[UUID] = [row[0] for row in await cursor.fetchall()]
    sampled = executions[1 :: max(1, len(executions) // 20)]
    events = size = 0
    actions = []
    for execution in sampled:
        handle = lab.client.get_workflow_handle(workflow_id(execution))
        described = await handle.describe()
        events += described.history_length
        size += described.raw_description.workflow_execution_info.history_size_bytes
        actions.append(billable_actions((await handle.fetch_history()).events))
    return {
        "events_per_run": round(events / len(sampled), 1),
        "history_bytes_per_run": round(size / len(sampled)),
        "actions_per_run": max(actions),
        "mean_actions_per_run": round(mean(actions), 1),
    }


def _temporal_bytes(home: Path) -> int:
    """Return how large Temporal's database is, with what is only in its log so far."""
    file = home / "temporal" / "temporal.db"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        pages, page = (
            database.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size")
        )
    return int(pages) * int(page)
