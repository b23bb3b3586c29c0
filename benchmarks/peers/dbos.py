"""DBOS on the same job: the same steps, Postgres, renderer, channels and far ends, in turns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Any, Final, cast

import psycopg

from benchmarks.lab.stack import Lab, open_lab
from benchmarks.peers.dbos_process import INSTALL, DbosProcess, Trigger, is_installed
from benchmarks.peers.rounds import OURS, medians, ratios, who_is_ahead
from benchmarks.peers.turns import (
    IN_FLIGHT,
    PER_SECOND,
    Running,
    Sizes,
    cpu,
    forget_what_happened,
    is_true,
    ours,
    turn,
    writer,
)
from benchmarks.suite import Bars, Figures, Scale, Section, Table, Tell

NAME: Final = "dbos"

_OUTBOX: Final = "dbos_outbox"
_DIRECT: Final = "dbos_direct"
_SYSTEMS: Final = (OURS, _OUTBOX, _DIRECT)
_TRIGGERS: Final[Mapping[str, Trigger]] = {_OUTBOX: "outbox", _DIRECT: "direct"}
_TITLES: Final = {
    OURS: "Fixlify Automations",
    _OUTBOX: "DBOS, started from the outbox",
    _DIRECT: "DBOS, started by the writer",
}
_SIZES: Final = Sizes(rounds=3, warm_up=30, at_a_rate=100, drained=200)
_SYSTEM_DATABASE: Final = "dbos"


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Let each system have its turn, round after round, and return medians and ratios."""
    if not is_installed():
        return {"skipped": f"DBOS is not installed; install it with {INSTALL}"}
    if scale.quick:
        return {"skipped": "three systems in turns take minutes, too long for a quick run"}
    async with open_lab() as lab:
        company = await lab.founder.found(_SIZES.jobs(len(_SYSTEMS)))
        await forget_what_happened(lab)
        jobs = iter(company.jobs)
        rounds = []
        for number in range(_SIZES.rounds):
            tell(f"dbos: round {number + 1} of {_SIZES.rounds}")
            measured = {}
            for system in _SYSTEMS:
                async with _running(lab, system, number) as running:
                    measured[system] = await turn(running, lab, jobs, _SIZES)
            rounds.append(measured)
        if duplicates := lab.deliveries.duplicates():
            raise AssertionError(f"{len(duplicates)} people were written to more than once")
        cursor = await lab.connection.execute("SHOW synchronous_commit")
        (synchronous_commit,) = cast("tuple[str]", await cursor.fetchone())
    return {
        "version": version("dbos"),
        "rounds": _SIZES.rounds,
        "per_second": PER_SECOND,
        "in_flight": IN_FLIGHT,
        "synchronous_commit": synchronous_commit,
        **{system: medians(rounds, system) for system in _SYSTEMS},
        "ratio_to_outbox": ratios(rounds, _OUTBOX),
        "ratio_to_direct": ratios(rounds, _DIRECT),
    }


def section(figures: Figures) -> Section:
    """Return what the page says of DBOS."""
    command = "python -m benchmarks.run --only dbos"
    if "skipped" in figures:
        return Section("Beside DBOS", [f"Not measured: {figures['skipped']}."], command)
    outbox, direct = figures["ratio_to_outbox"], figures["ratio_to_direct"]
    return Section(
        title="Beside DBOS",
        text=[
            f"DBOS {figures['version']} keeps workflows in Postgres, in a library inside the "
            "app. The same four steps run in it: facts from the same Postgres, our renderer, and "
            "our own SMTP and Twilio clients, to the same mailbox and phone. The three take turns "
            f"on one stack, in {figures['rounds']} rounds; figures are medians of the rounds, "
            "ratios medians of the ratios within a round. One worker or app process each.",
            f"Latency is from the commit to the later of the two acceptances, at "
            f"{figures['per_second']} jobs a second. Throughput is with {figures['in_flight']} "
            "jobs under way all the time, and the processor time is taken then. "
            f"synchronous_commit is {figures['synchronous_commit']} for all. DBOS keeps "
            "everything in Postgres; our runs' histories are in Temporal's development server, "
            "whose SQLite may lose its last commits when the power fails, so there DBOS promises "
            "more.",
            "DBOS has no row triggers. Started from the rows that ours leave, found by "
            f"LISTEN/NOTIFY as ours are, it compares like this: our p50 is {outbox['p50']} times "
            f"its, our p99 {outbox['p99']} times, our throughput {outbox['runs_per_second']} "
            f"times, and a run of ours takes {outbox['engine_cpu']} times the processor time "
            "(of worker or app, Temporal and Postgres together). Started as its users do, by the "
            "process that did the write, with our triggers off: "
            f"{direct['p50']}, {direct['p99']}, {direct['runs_per_second']} and "
            f"{direct['engine_cpu']} times. {who_is_ahead(outbox, 'DBOS')}",
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
                rows=[_row(system, figures[system]) for system in _SYSTEMS],
            ),
            Table(
                columns=["CPU ms a run", "engine or app", "Temporal", "Postgres", "driver"],
                rows=[_cpu_row(system, figures[system]["cpu_ms_per_run"]) for system in _SYSTEMS],
            ),
        ],
        charts=[
            Bars(
                "Commit to both accepted, p50",
                "ms",
                [(_TITLES[system], figures[system]["p50_ms"]) for system in _SYSTEMS],
            ),
            Bars(
                f"Throughput with {figures['in_flight']} in flight",
                "runs a second",
                [(_TITLES[system], figures[system]["runs_per_second"]) for system in _SYSTEMS],
            ),
        ],
    )


def _row(system: str, figures: Mapping[str, Any]) -> list[str]:
    names = ("p50_ms", "p95_ms", "p99_ms", "max_ms", "runs_per_second", "engine_cpu_ms_per_run")
    return [_TITLES[system], *(str(figures[name]) for name in names)]


def _cpu_row(system: str, cpu: Mapping[str, float]) -> list[str]:
    kinds = ("worker", "temporal", "postgres", "driver")
    return [_TITLES[system], *(str(cpu.get(kind, "none")) for kind in kinds)]


def _running(lab: Lab, system: str, number: int) -> AbstractAsyncContextManager[Running]:
    if system == OURS:
        return ours(lab, f"worker-{number}")
    return _dbos(lab, _TRIGGERS[system])


@asynccontextmanager
async def _dbos(lab: Lab, trigger: Trigger) -> AsyncIterator[Running]:
    system_url = f"{lab.url.rpartition('/')[0]}/{_SYSTEM_DATABASE}"
    settings = {**lab.environment, "DBOS_SYSTEM_DATABASE_URL": system_url}
    if trigger == "direct":
        # Who starts the workflow needs no row that says so.
        await lab.connection.execute("ALTER TABLE jobs DISABLE TRIGGER USER")
    try:
        async with (
            DbosProcess(trigger, settings, lab.home / f"dbos-{trigger}.log") as app,
            await psycopg.AsyncConnection.connect(system_url, autocommit=True) as connection,
        ):
            yield Running(
                write=app.complete if trigger == "direct" else writer(lab),
                cpu=lambda: {**cpu(), "worker": app.cpu()},
                is_done=lambda: _all_succeeded(connection),
            )
    finally:
        await lab.connection.execute("ALTER TABLE jobs ENABLE TRIGGER USER")


async def _all_succeeded(connection: psycopg.AsyncConnection[Any]) -> bool:
    return await is_true(
        connection,
        "SELECT NOT EXISTS (SELECT FROM dbos.workflow_status WHERE status <> 'SUCCESS')",
    )
