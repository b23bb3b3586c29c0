"""What the row triggers cost whoever writes a job: pgbench with them and without, in turns."""

from __future__ import annotations

import asyncio
import re
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final
from uuid import UUID

import psycopg

from benchmarks.lab.figures import middle
from benchmarks.suite import Bars, Figures, Scale, Section, Table, Tell
from devstack.postgres import EmbeddedPostgres, find_binaries
from fixlify.domain.errors import DevstackError
from fixlify.storage.events import CHANNEL
from fixlify.storage.migrations import migrate

NAME: Final = "write_overhead"
JOBS: Final = 10_000

_WITH, _WITHOUT = "with_triggers", "without_triggers"
VARIANTS: Final = (_WITHOUT, _WITH)

_FILL: Final = """
    WITH company AS (INSERT INTO organizations (name) VALUES ('Northwind') RETURNING id),
    someone AS (
        INSERT INTO clients (organization_id, first_name, last_name, email, phone)
        SELECT id, 'Maya', 'Okafor', 'maya@example.com', '+12125550123' FROM company
        RETURNING id, organization_id
    )
    INSERT INTO jobs (organization_id, id, client_id, title, description, job_type, status, address,
                      total, schedule_start, tags)
    SELECT organization_id, 'J-' || n, id, 'Boiler repair', repeat('The boiler drips. ', 20),
           'repair', 'scheduled', '12 Main Street, Springfield', 240, now(), '{{vip,repeat}}'
    FROM someone, generate_series(1, {jobs}) AS n
    RETURNING organization_id
"""
# What an app has beside ours: whatever it writes in the same transaction.
_OWN_TABLE: Final = """
    CREATE TABLE job_notes (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        organization_id uuid NOT NULL, job_id text NOT NULL, note text NOT NULL,
        written_at timestamptz DEFAULT now() NOT NULL,
        FOREIGN KEY (organization_id, job_id) REFERENCES jobs
    )
"""
_STATUS: Final = "CASE status WHEN 'completed' THEN 'scheduled' ELSE 'completed' END"
_CHOSEN: Final = f"\\set job random(1, {JOBS})\n"
_UPDATE: Final = (
    f"UPDATE jobs SET status = {_STATUS}"  # noqa: S608 - our own words
    " WHERE organization_id = '{organization}' AND id = 'J-' || :job;\n"
)
_READ: Final = (
    "SELECT j.*, c.first_name, c.email FROM jobs j JOIN clients c ON c.id = j.client_id"
    " WHERE j.organization_id = '{organization}' AND j.id = 'J-' || :job;\n"
)
_NOTE: Final = (
    "INSERT INTO job_notes (organization_id, job_id, note)"
    " VALUES ('{organization}', 'J-' || :job, 'Done. The customer was there.');\n"
)
SCRIPTS: Final[Mapping[str, str]] = {
    "one UPDATE": _CHOSEN + _UPDATE,
    "a transaction of four": f"{_CHOSEN}BEGIN;\n{_READ}{_UPDATE}{_NOTE}COMMIT;\n",
}
"""What pgbench does over and over, by what people call it."""

# As pgbench does unless it is told otherwise, and as most drivers do.
SIMPLE: Final = "simple"
PREPARED: Final = "prepared"

WRITES: Final = (
    ("one UPDATE", SIMPLE, 1),
    ("one UPDATE", SIMPLE, 8),
    ("one UPDATE", PREPARED, 1),
    ("one UPDATE", PREPARED, 8),
    ("a transaction of four", SIMPLE, 1),
    ("a transaction of four", SIMPLE, 8),
)
"""Which of them, sent how, by how many clients at once; the suite is judged by the first."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Commits a second of one kind of write; medians of the rounds, and of their ratios."""

    write: str
    protocol: str
    clients: int
    without_tps: float
    with_tps: float
    ratio: float

    @property
    def microseconds(self) -> float:
        """What a write takes longer with the triggers, per client."""
        return round(self.clients * (1e6 / self.with_tps - 1e6 / self.without_tps), 1)


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Write in turns to two databases of one durable server that differ in their triggers."""
    rounds, seconds = scale.choose(3, 5), scale.choose(1, 2)
    async with _databases() as (urls, organization, folder):
        tps: dict[tuple[str, str, int], dict[str, list[float]]] = {
            write: {variant: [] for variant in VARIANTS}
            for write in WRITES[: scale.choose(2, len(WRITES))]
        }
        for turn in range(rounds):
            tell(f"round {turn + 1} of {rounds}")
            for (write, protocol, clients), taken in tps.items():
                script = folder / "write.sql"
                script.write_text(SCRIPTS[write].format(organization=organization))
                for variant in VARIANTS:
                    await _empty(urls[variant])
                    taken[variant].append(
                        await _pgbench(urls[variant], script, protocol, clients, seconds)
                    )
        tell(f"{JOBS:,} jobs in one statement")
        bulk: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
        for _ in range(rounds):
            for variant in VARIANTS:
                await _empty(urls[variant])
                bulk[variant].append(await _update_all(urls[variant]))
    return summary(
        [
            cost_of(write, protocol, clients, taken[_WITHOUT], taken[_WITH])
            for (write, protocol, clients), taken in tps.items()
        ],
        bulk[_WITHOUT],
        bulk[_WITH],
        rounds,
    )


def cost_of(
    write: str,
    protocol: str,
    clients: int,
    without: Sequence[float],
    with_them: Sequence[float],
) -> Cost:
    """Return the cost of one kind of write from the commits a second of its rounds, in order."""
    ratios = [there / bare for bare, there in zip(without, with_them, strict=True)]
    return Cost(
        write, protocol, clients, middle(without, 0), middle(with_them, 0), middle(ratios, 3)
    )


def summary(
    costs: Sequence[Cost],
    bulk_without: Sequence[float],
    bulk_with: Sequence[float],
    rounds: int,
) -> Figures:
    """Return the figures: *costs*, and milliseconds of the statement that writes every job."""
    return {
        # A status written by an app: one statement, sent as text, on the disk when it returns.
        "ratio": costs[0].ratio,
        "rounds": rounds,
        "writes": [asdict(cost) | {"cost_us": cost.microseconds} for cost in costs],
        "bulk_jobs": JOBS,
        "bulk_without_ms": middle(bulk_without, 1),
        "bulk_with_ms": middle(bulk_with, 1),
        "bulk_us_per_job": round((middle(bulk_with) - middle(bulk_without)) * 1_000 / JOBS, 1),
    }


def section(figures: Figures) -> Section:
    """Tell what a write costs without automations and with them."""
    writes: Sequence[Mapping[str, Any]] = figures["writes"]
    table = Table(
        (
            "Write",
            "Protocol",
            "Clients",
            "Without, a second",
            "With, a second",
            "Ratio",
            "Longer, µs",
        ),
        [
            (
                each["write"],
                each["protocol"],
                str(each["clients"]),
                f"{each['without_tps']:,.0f}",
                f"{each['with_tps']:,.0f}",
                f"{each['ratio']:.2f}",
                f"{each['cost_us']:,.0f}",
            )
            for each in writes
        ],
    )
    chart = Bars(
        "Status updates with the row triggers, beside without",
        "ratio of commits a second; 1 is no cost",
        [
            (f"{each['write']}, {each['protocol']}, {_clients(each['clients'])}", each["ratio"])
            for each in writes
        ],
    )
    return Section(
        "The cost of a business write",
        (
            "`pgbench` changes the status of random jobs, durably (`fsync` on), in two databases "
            "of one server: one with our row triggers, one with them disabled. The databases took "
            f"turns, {figures['rounds']} rounds; the ratio is the median of the rounds' ratios. "
            "A connection listens as a relay's does, nobody works behind it, and the outbox is "
            "emptied between rounds. The figure is one UPDATE, by one client, as pgbench sends it "
            "by itself. A transaction of four reads the job with its client, writes the status, "
            "enters a note into a table of the app's own, and commits.",
            f"One statement that changes {figures['bulk_jobs']:,} jobs takes "
            f"{figures['bulk_without_ms']:,.0f} ms without the triggers and "
            f"{figures['bulk_with_ms']:,.0f} ms with them: {figures['bulk_us_per_job']:.0f} µs a "
            "job.",
            "A client of pgbench does nothing but write, again and again, on the same machine; "
            "statements that are prepared leave the least beside the triggers. The last column is "
            "what one write takes longer, per client: two rows, and what finds them in five "
            "indexes, in the same commit. The cost of relaying is not in it; throughput is "
            "another section.",
        ),
        "python -m benchmarks.run --only write_overhead",
        [table],
        [chart],
    )


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


@asynccontextmanager
async def _databases() -> AsyncIterator[tuple[Mapping[str, str], UUID, Path]]:
    """Yield the URL of each variant's database, the company in both, and a folder to write in."""
    with TemporaryDirectory(prefix="fixlify-writes-") as home:
        async with EmbeddedPostgres(Path(home) / "postgres") as server:
            urls = {variant: server.dsn(variant) for variant in VARIANTS}
            await _act(server.dsn(), f"CREATE DATABASE {_WITH}")
            await asyncio.to_thread(migrate, urls[_WITH])
            await _act(urls[_WITH], _OWN_TABLE)
            organization = await _act(urls[_WITH], _FILL.format(jobs=JOBS))
            await _act(urls[_WITH], "TRUNCATE automation_events")
            await _act(urls[_WITH], "VACUUM ANALYZE")
            await _act(server.dsn(), f"CREATE DATABASE {_WITHOUT} TEMPLATE {_WITH}")
            await _act(urls[_WITHOUT], "ALTER TABLE jobs DISABLE TRIGGER USER")
            # A notification that nobody waits for costs the writer less than one in life.
            async with await psycopg.AsyncConnection.connect(
                urls[_WITH], autocommit=True
            ) as listener:
                await listener.execute(f"LISTEN {CHANNEL}".encode())
                yield urls, organization, Path(home)


async def _empty(url: str) -> None:
    await _act(url, "TRUNCATE automation_events, job_notes")
    await _act(url, "VACUUM jobs")


async def _update_all(url: str) -> float:
    """Change the status of every job in one statement; return the milliseconds it took."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        began = perf_counter()
        await connection.execute(f"UPDATE jobs SET status = {_STATUS}".encode())  # noqa: S608
        return (perf_counter() - began) * 1_000


async def _act(url: str, statement: str) -> Any:
    """Run one statement; return the first value of its first row, if it has one."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode())
        row = await cursor.fetchone() if cursor.description else None
        return row[0] if row else None


async def _pgbench(url: str, script: Path, protocol: str, clients: int, seconds: int) -> float:
    """Return how many transactions a second *clients* commit, each on a connection of its own."""
    command = [str(find_binaries() / "pgbench"), "--no-vacuum", f"--protocol={protocol}"]
    command += [f"--client={clients}", f"--time={seconds}", f"--file={script}", url]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    try:
        printed = (await process.communicate())[0].decode(errors="replace")
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return read_tps(printed)


def read_tps(printed: str) -> float:
    """Return the transactions a second that pgbench *printed*.

    Raises:
        DevstackError: It printed none, so it failed; its last words are in the message.
    """
    found = re.search(r"^tps = ([0-9.]+)", printed, flags=re.MULTILINE)
    if found is None:
        raise DevstackError(f"pgbench did not measure anything; it says:\n{printed[-1000:]}")
    return float(found[1])
