"""n8n on the same far ends, in turns with ours, where somebody has installed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.lab.stack import open_lab
from benchmarks.peers.n8n_process import FOLDER_SETTING, N8nProcess, installation
from benchmarks.peers.rounds import OURS, medians, ratios, who_is_ahead
from benchmarks.peers.turns import (
    IN_FLIGHT,
    PER_SECOND,
    Running,
    Sizes,
    cpu,
    forget_what_happened,
    ours,
    turn,
)
from benchmarks.suite import Figures, Scale, Section, Table, Tell

NAME: Final = "n8n"
VERSION: Final = "2.30.0"
"""The one whose dependencies a registry has, with the overrides of ``n8n_install``."""

_INSTALL: Final = (
    "copy benchmarks/peers/n8n_install/package.json into an empty folder (3 GB), run npm install "
    f"--ignore-scripts there, and set {FOLDER_SETTING} to it"
)
_TITLES: Final = {OURS: "Fixlify Automations", NAME: "n8n"}
_SIZES: Final = Sizes(rounds=3, warm_up=30, at_a_rate=100, drained=200)


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Let each system have its turn, round after round, and return medians and ratios."""
    modules = installation()
    if modules is None:
        return {"skipped": f"n8n is not installed; {_INSTALL}"}
    if scale.quick:
        return {"skipped": "starting n8n takes a minute, too long for a quick run"}
    async with open_lab() as lab, N8nProcess(modules, lab.environment, lab.home / "n8n") as n8n:
        company = await lab.founder.found(_SIZES.jobs(len(_TITLES)))
        await forget_what_happened(lab)
        jobs = iter(company.jobs)
        rounds = []
        for number in range(_SIZES.rounds):
            tell(f"n8n: round {number + 1} of {_SIZES.rounds}")
            async with ours(lab, f"worker-{number}") as running:
                measured = {OURS: await turn(running, lab, jobs, _SIZES)}
            measured[NAME] = await turn(_running(n8n), lab, jobs, _SIZES)
            rounds.append(measured)
        if duplicates := lab.deliveries.duplicates():
            raise AssertionError(f"{len(duplicates)} people were written to more than once")
    return {
        "version": VERSION,
        "rounds": _SIZES.rounds,
        "per_second": PER_SECOND,
        "in_flight": IN_FLIGHT,
        **{system: medians(rounds, system) for system in _TITLES},
        "ratio": ratios(rounds, NAME),
    }


def section(figures: Figures) -> Section:
    """Return what the page says of n8n."""
    title, command = "Beside n8n", "python -m benchmarks.run --only n8n"
    if "skipped" in figures:
        return Section(title, [f"Not measured: {figures['skipped']}."], command)
    ratio = figures["ratio"]
    return Section(
        title=title,
        text=[
            f"n8n {figures['version']}, one process on the same Postgres, with a workflow of a "
            "webhook, an email over SMTP and a text message over HTTP, to the same mailbox and "
            f"phone. Both take turns, in {figures['rounds']} rounds, at {figures['per_second']} "
            f"jobs a second and then with {figures['in_flight']} under way. n8n runs, idle, while "
            "ours has its turn; our worker is stopped while n8n has its.",
            f"Our p50 is {ratio['p50']} times its, our p99 {ratio['p99']} times, our throughput "
            f"{ratio['runs_per_second']} times, and a run of ours takes {ratio['engine_cpu']} "
            f"times the processor time. {who_is_ahead(ratio, 'n8n')}",
            "What it does not say: n8n is called with all the facts, so no business write and no "
            "reading of facts is in its figures, and the clock starts with the call and not with "
            "a commit. It sends the text after the email, ours both at once. Where its process "
            "ends in the middle of an execution, that execution ends, too.",
        ],
        command=command,
        tables=[
            Table(
                columns=["", "p50 ms", "p95 ms", "p99 ms", "max ms", "runs a second", "CPU ms"],
                rows=[_row(system, figures[system]) for system in _TITLES],
            )
        ],
    )


def _row(system: str, figures: Mapping[str, Any]) -> list[str]:
    names = ("p50_ms", "p95_ms", "p99_ms", "max_ms", "runs_per_second", "engine_cpu_ms_per_run")
    return [_TITLES[system], *(str(figures[name]) for name in names)]


def _running(n8n: N8nProcess) -> Running:
    async def is_done() -> bool:
        return True

    return Running(n8n.complete, lambda: {**cpu(), "worker": n8n.cpu()}, is_done)
