"""How late five thousand waits end that are all due at the same minute."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final
from uuid import UUID

from benchmarks.lab.clock import monotonic_of
from benchmarks.lab.companies import Company
from benchmarks.lab.figures import Spread
from benchmarks.lab.stack import Lab, open_lab
from benchmarks.suite import Figures, Lines, Scale, Section, Table, Tell
from fixlify.storage.database import Database, Role
from starter.definitions import apply_definitions, validate_definition

NAME: Final = "timers"

ALONE: Final = 3
# How many runs come to their wait in a second, with room to spare on a slow machine.
BEGINNINGS_PER_SECOND: Final = 22
_LEAD: Final = timedelta(seconds=3)
# Waits of which none ended for as long have lost the rest.
PATIENCE_SECONDS: Final = 30
_LOOK_AGAIN: Final = 0.1
_CURVE_POINTS: Final = 100

_STAMPEDE: Final = "UPDATE jobs SET status = 'completed' WHERE organization_id = %s"
_FORGET: Final = "UPDATE automation_events SET processed_at = now() WHERE processed_at IS NULL"
_WAITING: Final = """
    SELECT count(*) FROM automation_execution_logs
    WHERE organization_id = %s AND status = 'waiting'
"""


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Let some timers end alone, and then many at one moment."""
    waits = scale.choose(300, 5000)
    async with open_lab() as lab:
        single = await lab.founder.found(1, automation=None)
        herd = await lab.founder.found(waits, automation=None)
        await lab.connection.execute(_FORGET)
        async with lab.worker():
            moments = [
                datetime.now(UTC) + _LEAD + timedelta(seconds=place) for place in range(ALONE)
            ]
            for moment in moments:
                await _apply(lab, single.organization_id, moment)
            await lab.connection.execute(_STAMPEDE, (single.organization_id,))
            alone = await _lateness_alone(lab, single, moments)

            due = datetime.now(UTC) + _LEAD + timedelta(seconds=waits / BEGINNINGS_PER_SECOND)
            await _apply(lab, herd.organization_id, due)
            tell(f"{waits:,} waits, all due at {due:%H:%M:%S} UTC")
            await lab.connection.execute(_STAMPEDE, (herd.organization_id,))
            until = monotonic_of(due.timestamp())
            waiting = await _waiting_before(lab, herd, until)
            await _ended(lab, herd, until)
            lateness = [
                accepted[0] - until
                for job in herd.jobs
                if (accepted := lab.deliveries.of(job.phone))
            ]
            duplicated = sum(times - 1 for times in lab.deliveries.duplicates().values())
    # One text of each single wait goes to the same telephone.
    return {
        "waits": waits,
        "waiting_when_due": waiting,
        "lost": waits - len(lateness),
        "duplicated": duplicated - (ALONE - 1),
        "alone_ms": [round(each * 1000) for each in alone],
        **late_figures(lateness),
        "ended_over_time": curve(lateness),
    }


def late_figures(lateness: Sequence[float]) -> dict[str, Any]:
    """Return how late what arrived was, from seconds; and how many ended a second.

    Raises:
        ValueError: Nothing arrived.
    """
    spread = Spread.of([each * 1000 for each in lateness], digits=0)
    figures = spread.as_json("ms")
    figures["ended_per_second"] = round(len(lateness) / max(max(lateness), 0.001), 1)
    return figures


def curve(lateness: Sequence[float], points: int = _CURVE_POINTS) -> list[list[float]]:
    """Return how many had ended by when, in seconds after all were due."""
    ordered = sorted(lateness)
    step = max(len(ordered) // points, 1)
    return [[round(ordered[place], 2), place + 1] for place in range(step - 1, len(ordered), step)]


async def _apply(lab: Lab, organization_id: UUID, moment: datetime) -> None:
    """Let completed jobs of the company be thanked for by text, at *moment*."""
    definition = {
        "name": f"At {moment.isoformat()}",
        "trigger": {"type": "job_completed"},
        "steps": [
            {"id": "then", "type": "wait_until", "at": moment.isoformat(), "if_late": "send"},
            {"id": "text", "type": "send_sms", "to": "client", "text": "Thank you."},
        ],
    }
    database = Database(lab.url, Role.APP, pool_size=2)
    try:
        pinned = validate_definition("timers", definition)
        await apply_definitions(database, organization_id, [pinned])
    finally:
        await database.close()


async def _lateness_alone(lab: Lab, company: Company, moments: Sequence[datetime]) -> list[float]:
    """Return how many seconds after each moment its text was accepted."""
    (job,) = company.jobs
    until = monotonic() + PATIENCE_SECONDS
    while monotonic() < until:
        if len(lab.deliveries.of(job.phone)) == len(moments):
            break
        await asyncio.sleep(_LOOK_AGAIN)
    accepted = sorted(lab.deliveries.of(job.phone))
    return [
        at - monotonic_of(moment.timestamp()) for at, moment in zip(accepted, moments, strict=False)
    ]


async def _waiting_before(lab: Lab, company: Company, due: float) -> int:
    """Return how many runs had come to their wait when it was over."""
    waiting = 0
    while waiting < len(company.jobs) and monotonic() < due:
        waiting = await _count(lab, company)
        await asyncio.sleep(min(_LOOK_AGAIN, max(due - monotonic(), 0)))
    return waiting


async def _count(lab: Lab, company: Company) -> int:
    cursor = await lab.connection.execute(_WAITING, (company.organization_id,))
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def _ended(lab: Lab, company: Company, due: float) -> None:
    """Return when every text was accepted, or none was for a while after they were *due*."""
    left, last = list(company.jobs), due
    while left and monotonic() - last < PATIENCE_SECONDS:
        await asyncio.sleep(_LOOK_AGAIN)
        still = [job for job in left if not lab.deliveries.of(job.phone)]
        if len(still) < len(left):
            left, last = still, max(monotonic(), due)


def section(figures: Figures) -> Section:
    """Tell how late the waits ended, and what that does and does not say."""
    alone: Sequence[float] = figures["alone_ms"]
    rows: Mapping[str, str] = {
        f"{len(alone)} waits a second apart": ", ".join(f"{each:,}" for each in alone),
        "p50": f"{figures['p50_ms']:,}",
        "p99": f"{figures['p99_ms']:,}",
        "max": f"{figures['max_ms']:,}",
    }
    return Section(
        title="Waits that are all due at the same moment",
        text=[
            f"{figures['waits']:,} runs wait until the same moment, and then send a text message"
            " each. Lateness is the moment at which the provider accepted, less the moment that"
            f" was due. {figures['waiting_when_due']:,} of them were waiting by then; one that"
            " came later sends at once, and counts with its lateness. One worker process.",
            f"A wait that is due alone is as late as the run takes that goes on after it. Of"
            f" {figures['waits']:,} at once the last is as late as working off all of them takes:"
            f" {figures['ended_per_second']} a second. So the figure tells the throughput of this"
            " machine for runs that go on, not how exact a timer is, and grows with the number of"
            " waits. Whoever needs them on the minute spreads them, or adds processors.",
            f"Lost {figures['lost']}, duplicated {figures['duplicated']}.",
        ],
        command=f"python -m benchmarks.run --only {NAME}",
        tables=[Table(columns=("Lateness", "ms"), rows=list(rows.items()))],
        charts=[
            Lines(
                title="Waits that have ended",
                x="seconds after they were due",
                y="waits",
                lines={"accepted": [(x, y) for x, y in figures["ended_over_time"]]},
            )
        ],
    )
