"""What ten thousand matches of one company do to another, and how long they take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

import psycopg

from benchmarks.lab.backlog import steady_rate
from benchmarks.lab.companies import Company, Job, complete
from benchmarks.lab.figures import Spread
from benchmarks.lab.processes import Usage, usage
from benchmarks.lab.stack import Lab, open_lab
from benchmarks.suite import Figures, Lines, Scale, Section, Table, Tell

NAME: Final = "herd"

WARM_UP: Final = 5
ALONE: Final = 5
# A herd of which nothing arrived for as long has lost the rest.
PATIENCE_SECONDS: Final = 30
_LOOK_AGAIN: Final = 0.2
_A_SECOND: Final = 1.0

_STAMPEDE: Final = "UPDATE jobs SET status = 'completed' WHERE organization_id = %s"
# What founding the companies recorded is nobody's news.
_FORGET: Final = "UPDATE automation_events SET processed_at = now() WHERE processed_at IS NULL"
_MATCHED: Final = """
    SELECT extract(epoch FROM max(created_at) - min(created_at))::float8,
           count(*) FILTER (WHERE status = 'completed')
    FROM automation_execution_logs WHERE organization_id = %s
"""


@dataclass(frozen=True, slots=True)
class Completed:
    """One job of the small company: when it was committed, and both its messages accepted."""

    committed: float
    accepted: float | None


@dataclass(slots=True)
class Watched:
    """What was seen while the herd drained: peaks of memory, and how far it was."""

    memory: dict[str, int] = field(default_factory=dict)
    progress: list[tuple[float, int]] = field(default_factory=list)

    def see(self, used: Mapping[str, Usage]) -> None:
        """Keep what is the most so far."""
        for kind, now in used.items():
            self.memory[kind] = max(self.memory.get(kind, 0), now.memory)


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Let one company complete everything at once, and another one job a second."""
    matches = scale.choose(1000, 10_000)
    # More seconds than any such herd takes.
    seconds = scale.choose(300, 1800)
    async with open_lab() as lab:
        small = await lab.founder.found(WARM_UP + ALONE + seconds)
        large = await lab.founder.found(matches)
        await lab.connection.execute(_FORGET)
        await lab.connection.execute("ANALYZE")
        async with lab.worker():
            small_jobs = iter(small.jobs)
            for _ in range(WARM_UP):
                job = next(small_jobs)
                await complete(lab.connection, job)
                await lab.deliveries.wait_for_both(job)
            alone = [await _one(lab, next(small_jobs)) for _ in range(ALONE)]
            tell(f"{matches:,} matches of one company, one a second of another")
            before, begun = usage(), monotonic()
            watched, drained = Watched(), asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                during = tasks.create_task(_one_a_second(lab, small_jobs.__next__, drained))
                tasks.create_task(_watch(lab, large, watched, begun, drained))
                committed = await _stampede(lab, large)
                await _drain(lab, large.jobs)
                drained.set()
            after = usage()
            beside = [Completed(at, await _accepted(lab, job)) for job, at in during.result()]
            matched, completed = await _matched(lab, large)
    moments = [at for job in large.jobs if (at := lab.deliveries.both(job)) is not None]
    return {
        "matches": matches,
        "commit_seconds": round(committed - begun, 2),
        "matched_seconds": round(matched, 2),
        "drain_seconds": round(max(moments) - committed, 1),
        "runs_per_second": round(steady_rate(moments), 1),
        "lost": missing(large.jobs, lab.deliveries.of)
        + (matches - completed)
        + sum(each.accepted is None for each in beside),
        "duplicated": sum(times - 1 for times in lab.deliveries.duplicates().values()),
        **small_figures(beside),
        "small_org_alone_p50_ms": latencies(alone).p50,
        "memory_mb": {kind: round(peak / 1e6) for kind, peak in sorted(watched.memory.items())},
        "cpu_seconds": {
            kind: round(now.cpu - before[kind].cpu, 1)
            for kind, now in sorted(after.items())
            if kind in before
        },
        "small_org_over_time": [
            [round(each.committed - begun, 1), round((each.accepted - each.committed) * 1000)]
            for each in beside
            if each.accepted is not None
        ],
        "progress": [[round(at, 1), accepted] for at, accepted in watched.progress],
    }


def missing(jobs: Sequence[Job], of: Callable[[str], Sequence[float]]) -> int:
    """Return how many messages about *jobs*, two each, no provider accepted."""
    return sum(not of(recipient) for job in jobs for recipient in (job.email, job.phone))


def latencies(completed: Sequence[Completed]) -> Spread:
    """Return the milliseconds from commit to both accepted, of those that were.

    Raises:
        ValueError: None was.
    """
    return Spread.of(
        [(each.accepted - each.committed) * 1000 for each in completed if each.accepted is not None]
    )


def small_figures(completed: Sequence[Completed]) -> dict[str, Any]:
    """Return what the small company saw, each name with its prefix."""
    spread = latencies(completed).as_json("ms")
    return {f"small_org_{name}": value for name, value in spread.items()}


async def _stampede(lab: Lab, company: Company) -> float:
    """Complete every job of the company in one statement; return when it was committed."""
    async with await psycopg.AsyncConnection.connect(lab.url, autocommit=True) as connection:
        await connection.execute(_STAMPEDE, (company.organization_id,))
        return monotonic()


async def _drain(lab: Lab, jobs: Sequence[Job]) -> None:
    """Return when both messages of every job were accepted, or none was for a while."""
    left, last = list(jobs), monotonic()
    while left and monotonic() - last < PATIENCE_SECONDS:
        await asyncio.sleep(_LOOK_AGAIN)
        still = [job for job in left if lab.deliveries.both(job) is None]
        if len(still) < len(left):
            left, last = still, monotonic()


async def _one_a_second(
    lab: Lab, next_job: Callable[[], Job], drained: asyncio.Event
) -> list[tuple[Job, float]]:
    """Complete a job each second until the herd is gone; return them with their commits."""
    done: list[tuple[Job, float]] = []
    first = monotonic()
    async with await psycopg.AsyncConnection.connect(lab.url, autocommit=True) as connection:
        while not drained.is_set():
            job = next_job()
            await complete(connection, job)
            done.append((job, monotonic()))
            await asyncio.sleep(max(first + len(done) * _A_SECOND - monotonic(), 0))
    return done


async def _watch(
    lab: Lab, company: Company, watched: Watched, begun: float, drained: asyncio.Event
) -> None:
    """Look once a second at memory, and at how far the herd is."""
    while not drained.is_set():
        # In a thread: the mailbox and the phone answer meanwhile.
        watched.see(await asyncio.to_thread(usage))
        accepted = sum(lab.deliveries.both(job) is not None for job in company.jobs)
        watched.progress.append((monotonic() - begun, accepted))
        await asyncio.sleep(_A_SECOND)


async def _one(lab: Lab, job: Job) -> Completed:
    await complete(lab.connection, job)
    committed = monotonic()
    return Completed(committed, await lab.deliveries.wait_for_both(job))


async def _accepted(lab: Lab, job: Job) -> float | None:
    try:
        return await lab.deliveries.wait_for_both(job)
    except TimeoutError:
        return None


async def _matched(lab: Lab, company: Company) -> tuple[float, int]:
    """Return how long matching took in seconds, and how many executions are completed by now.

    A run says so after its providers accepted, so the last few are waited for.
    """
    until = monotonic() + PATIENCE_SECONDS
    while True:
        cursor = await lab.connection.execute(_MATCHED, (company.organization_id,))
        row = await cursor.fetchone()
        seconds, completed = row if row and row[0] is not None else (0.0, 0)
        if completed >= len(company.jobs) or monotonic() > until:
            return seconds, completed
        await asyncio.sleep(_LOOK_AGAIN)


def section(figures: Figures) -> Section:
    """Tell what both companies saw."""
    memory: Mapping[str, int] = figures["memory_mb"]
    cpu: Mapping[str, float] = figures["cpu_seconds"]
    matches = figures["matches"]
    return Section(
        title="A herd of one company, beside another's single jobs",
        text=[
            f"One statement completes {matches:,} jobs of one company, each of which is an email"
            f" and a text message; it commits after {figures['commit_seconds']} s. Another company"
            " completes one job a second all the while. One worker process with its relay; the"
            " relay matches everything at once and launches no more of one company than a dozen"
            " that have not begun, so the others do not wait behind it"
            " ([0018](decisions/0018-a-herd-waits-in-postgres.md)).",
            f"All matches are recorded {figures['matched_seconds']} s after the first, and the last"
            f" message is accepted {figures['drain_seconds']} s after the commit: drained at"
            f" {figures['runs_per_second']} runs a second, which is what this machine sustains"
            f" anyway. Lost {figures['lost']}, duplicated {figures['duplicated']}; lost counts"
            " messages that no provider accepted, and executions that did not end as completed.",
            f"The other company's messages are accepted {figures['small_org_p50_ms']} ms after its"
            f" commit in the middle, {figures['small_org_p99_ms']} ms at p99 of"
            f" {figures['small_org_count']} jobs, {figures['small_org_max_ms']} ms at most; alone"
            f" on the same stack {figures['small_org_alone_p50_ms']} ms. The difference is the"
            " processors, all of which the herd uses, and the worker's places, of which it gets"
            " the next one free. With few jobs p99 is near the maximum.",
            "What the herd's own company sees is not told here: its next job waits behind the"
            " others of its own, in the order of its own writes.",
        ],
        command=f"python -m benchmarks.run --only {NAME}",
        tables=[
            Table(
                columns=("Processes", "Memory at most, MB", "CPU, s"),
                rows=[
                    (kind, f"{memory[kind]:,}", f"{cpu.get(kind, 0.0):.1f}")
                    for kind in sorted(memory)
                ],
            )
        ],
        charts=[
            Lines(
                title="The other company's jobs, commit to both accepted",
                x="seconds since the herd began",
                y="ms",
                lines={"one job a second": [(x, y) for x, y in figures["small_org_over_time"]]},
            ),
            Lines(
                title="The herd: jobs whose messages are both accepted",
                x="seconds since the herd began",
                y="jobs",
                lines={"accepted": [(x, y) for x, y in figures["progress"]]},
            ),
        ],
    )
