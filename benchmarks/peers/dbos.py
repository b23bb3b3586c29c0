"""DBOS on the same job: the same steps, Postgres, renderer, channels and far ends, in turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from time import monotonic
from typing import Any, Final, cast

import psycopg

from benchmarks.lab.companies import Job, complete
from benchmarks.lab.figures import Spread
from benchmarks.lab.processes import usage
from benchmarks.lab.stack import Lab, open_lab
from benchmarks.peers.dbos_process import INSTALL, DbosProcess, Trigger, is_installed
from benchmarks.peers.dbos_rounds import DIRECT, OURS, OUTBOX, SYSTEMS, Measured, medians, ratios
from benchmarks.peers.driving import DEADLINE, Write, drain, latencies
from benchmarks.suite import Bars, Figures, Scale, Section, Table, Tell

NAME: Final = "dbos"
PER_SECOND: Final = 10
IN_FLIGHT: Final = 32
"""Jobs under way at once while throughput is measured, whoever works on them."""

_SYSTEM_DATABASE: Final = "dbos"
_LOOK_AGAIN: Final = 0.02
_TITLES: Final = {
    OURS: "Fixlify Automations",
    OUTBOX: "DBOS, started from the outbox",
    DIRECT: "DBOS, started by the writer",
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many jobs each system completes in one round, and how many rounds there are."""

    rounds: int
    warm_up: int
    at_a_rate: int
    drained: int

    @property
    def a_turn(self) -> int:
        """Jobs one system needs for one round."""
        return self.warm_up + self.at_a_rate + self.drained

    @property
    def jobs(self) -> int:
        """Jobs all of it needs."""
        return self.rounds * len(SYSTEMS) * self.a_turn


@dataclass(frozen=True, slots=True)
class _Running:
    """A system at work: how a job is completed, what it has cost, and when it is done."""

    write: Write
    cpu: Callable[[], Mapping[str, float]]
    is_done: Callable[[], Awaitable[bool]]


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Let each system have its turn, round after round, and return medians and ratios."""
    if not is_installed():
        return {"skipped": f"DBOS is not installed; install it with {INSTALL}"}
    sizes = Sizes(
        rounds=scale.choose(1, 3),
        warm_up=scale.choose(10, 30),
        at_a_rate=scale.choose(20, 100),
        drained=scale.choose(40, 200),
    )
    async with open_lab() as lab:
        company = await lab.founder.found(sizes.jobs)
        # That the jobs are there is no news to anybody.
        await lab.connection.execute(
            "UPDATE automation_events SET processed_at = now(), outcome = 'of before'"
        )
        jobs = iter(company.jobs)
        rounds = []
        for number in range(sizes.rounds):
            tell(f"dbos: round {number + 1} of {sizes.rounds}")
            rounds.append(
                {system: await _turn(lab, system, number, jobs, sizes) for system in SYSTEMS}
            )
        if duplicates := lab.deliveries.duplicates():
            raise AssertionError(f"{len(duplicates)} people were written to more than once")
        cursor = await lab.connection.execute("SHOW synchronous_commit")
        (synchronous_commit,) = cast("tuple[str]", await cursor.fetchone())
    return {
        "version": version("dbos"),
        "rounds": sizes.rounds,
        "per_second": PER_SECOND,
        "in_flight": IN_FLIGHT,
        "synchronous_commit": synchronous_commit,
        **{system: medians(rounds, system) for system in SYSTEMS},
        "ratio_to_outbox": ratios(rounds, OUTBOX),
        "ratio_to_direct": ratios(rounds, DIRECT),
    }


def section(figures: Figures) -> Section:
    """Return what the page says of DBOS."""
    command = "python -m benchmarks.run --only dbos"
    if "skipped" in figures:
        return Section("Beside DBOS", [str(figures["skipped"]).capitalize() + "."], command)
    outbox, direct = figures["ratio_to_outbox"], figures["ratio_to_direct"]
    return Section(
        title="Beside DBOS",
        text=[
            f"DBOS {figures['version']} keeps workflows in Postgres, in a library inside the "
            "app. The same four steps run in it: facts from the same Postgres, our renderer, and "
            "our own SMTP and Twilio clients, to the same mailbox and phone. The three take turns "
            f"on one stack, {figures['rounds']} rounds; figures are medians of the rounds, ratios "
            "medians of the ratios within a round. One worker or app process each.",
            f"Latency is from the commit to the later of the two acceptances, at "
            f"{figures['per_second']} jobs a second. Throughput is with {figures['in_flight']} "
            "jobs under way all the time, and the processor time is taken then. "
            f"synchronous_commit is {figures['synchronous_commit']} for all. DBOS keeps "
            "everything in Postgres; our runs' histories are in Temporal's development server, "
            "whose SQLite may lose its last commits when the power fails, so there DBOS promises "
            "more.",
            f"Started from the outbox, as our runs are, DBOS is the fairer comparison: our p50 is "
            f"{outbox['p50']} times its, our p99 {outbox['p99']} times, our throughput "
            f"{outbox['runs_per_second']} times, and a run of ours takes {outbox['engine_cpu']} "
            "times the processor time of everything that serves it. Started by the process that "
            f"did the write, without trigger and outbox: {direct['p50']}, {direct['p99']}, "
            f"{direct['runs_per_second']} and {direct['engine_cpu']} times. {_who_leads(outbox)}",
            "What it does not say: the work is not the same. Beside the four steps ours matches "
            "the event with every automation of the company, records the execution and each "
            "step, asks for consent, hours, limits and the state of the job again right before "
            "each send, and keeps a ledger that knows what to do when a provider's answer is "
            "lost. DBOS keeps facts and texts, people's addresses included, as results of its "
            "steps; ours keeps ids. A workflow started by the writer is lost when the "
            "process ends between commit and start; an outbox row is not. Both send with one "
            "process here: what two or more do is not measured.",
        ],
        command=command,
        tables=[
            Table(
                columns=["", "p50 ms", "p95 ms", "p99 ms", "max ms", "runs a second", "CPU ms"],
                rows=[_row(system, figures[system]) for system in SYSTEMS],
            ),
            Table(
                columns=["CPU ms a run", "engine or app", "Temporal", "Postgres", "driver"],
                rows=[_cpu_row(system, figures[system]["cpu_ms_per_run"]) for system in SYSTEMS],
            ),
        ],
        charts=[
            Bars(
                "Commit to both accepted, p50",
                "ms",
                [(_TITLES[system], figures[system]["p50_ms"]) for system in SYSTEMS],
            ),
            Bars(
                f"Throughput with {figures['in_flight']} in flight",
                "runs a second",
                [(_TITLES[system], figures[system]["runs_per_second"]) for system in SYSTEMS],
            ),
        ],
    )


def _who_leads(ratio: Mapping[str, float]) -> str:
    leads = {
        "latency": ratio["p50"] > 1,
        "throughput": ratio["runs_per_second"] < 1,
        "processor time a run": ratio["engine_cpu"] > 1,
    }
    theirs = [name for name, is_theirs in leads.items() if is_theirs]
    ours = [name for name, is_theirs in leads.items() if not is_theirs]
    said = [
        f"{who} is ahead in {', '.join(names)}."
        for who, names in (("DBOS", theirs), ("Fixlify", ours))
        if names
    ]
    return " ".join(said)


def _row(system: str, figures: Mapping[str, Any]) -> list[str]:
    names = ("p50_ms", "p95_ms", "p99_ms", "max_ms", "runs_per_second", "engine_cpu_ms_per_run")
    return [_TITLES[system], *(str(figures[name]) for name in names)]


def _cpu_row(system: str, cpu: Mapping[str, float]) -> list[str]:
    kinds = ("worker", "temporal", "postgres", "driver")
    return [_TITLES[system], *(str(cpu.get(kind, "none")) for kind in kinds)]


async def _turn(lab: Lab, system: str, number: int, jobs: Iterator[Job], sizes: Sizes) -> Measured:
    async with _running(lab, system, number) as running:
        await drain(running.write, _take(jobs, sizes.warm_up), lab.deliveries, IN_FLIGHT)
        took = await latencies(
            running.write,
            _take(jobs, sizes.at_a_rate),
            lab.deliveries,
            timedelta(seconds=1) / PER_SECOND,
        )
        await _until_done(running)
        before = running.cpu()
        drained = await drain(running.write, _take(jobs, sizes.drained), lab.deliveries, IN_FLIGHT)
        # What a system does after the messages are gone is part of what a run costs.
        await _until_done(running)
        after = running.cpu()
    return Measured(
        latency=Spread.of(took),
        runs_per_second=drained.per_second,
        cpu={kind: (after[kind] - before[kind]) * 1000 / drained.runs for kind in after},
    )


def _take(jobs: Iterator[Job], count: int) -> Sequence[Job]:
    return [next(jobs) for _ in range(count)]


async def _until_done(running: _Running) -> None:
    async with asyncio.timeout(DEADLINE.total_seconds()):
        while not await running.is_done():  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(_LOOK_AGAIN)


@asynccontextmanager
async def _running(lab: Lab, system: str, number: int) -> AsyncIterator[_Running]:
    async def write(job: Job) -> float:
        await complete(lab.connection, job)
        return monotonic()

    if system == OURS:
        async with lab.worker(f"worker-{number}"):
            yield _Running(write, _cpu, lambda: _nobody_waits(lab))
        return
    trigger: Trigger = "direct" if system == DIRECT else "outbox"
    async with _dbos(lab, trigger) as running:
        yield running if system == DIRECT else _Running(write, running.cpu, running.is_done)


@asynccontextmanager
async def _dbos(lab: Lab, trigger: Trigger) -> AsyncIterator[_Running]:
    # What started the workflow itself needs no row that says so.
    await _row_triggers(lab, enabled=trigger == "outbox")
    system_url = f"{lab.url.rpartition('/')[0]}/{_SYSTEM_DATABASE}"
    settings = {**lab.environment, "DBOS_SYSTEM_DATABASE_URL": system_url}
    try:
        async with (
            DbosProcess(trigger, settings, lab.home / f"dbos-{trigger}.log") as app,
            await psycopg.AsyncConnection.connect(system_url, autocommit=True) as connection,
        ):
            yield _Running(
                app.complete,
                lambda: {**_cpu(), "worker": app.cpu()},
                lambda: _all_succeeded(connection),
            )
    finally:
        await _row_triggers(lab, enabled=True)


async def _row_triggers(lab: Lab, *, enabled: bool) -> None:
    await lab.connection.execute(
        "ALTER TABLE jobs ENABLE TRIGGER USER"
        if enabled
        else "ALTER TABLE jobs DISABLE TRIGGER USER"
    )


def _cpu() -> Mapping[str, float]:
    return {kind: used.cpu for kind, used in usage().items()}


async def _nobody_waits(lab: Lab) -> bool:
    return await _is_true(
        lab.connection,
        "SELECT NOT EXISTS (SELECT FROM automation_execution_logs WHERE completed_at IS NULL)",
    )


async def _all_succeeded(connection: psycopg.AsyncConnection[Any]) -> bool:
    return await _is_true(
        connection,
        "SELECT NOT EXISTS (SELECT FROM dbos.workflow_status WHERE status <> 'SUCCESS')",
    )


async def _is_true(connection: psycopg.AsyncConnection[Any], question: str) -> bool:
    cursor = await connection.execute(question.encode())
    return await cursor.fetchone() == (True,)
