"""One worker process against two, on the processors they share with everything else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from benchmarks.lab.backlog import Drained, drain
from benchmarks.lab.figures import middle
from benchmarks.lab.stack import open_lab
from benchmarks.suite import Bars, Figures, Scale, Section, Table, Tell

NAME: Final = "scaling"

ROUNDS: Final = 2
RUNS: Final = 200
WARM_UP: Final = 40
_DEADLINE: Final = timedelta(minutes=5)


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Work off the same backlog with one worker and with two, in turn."""
    if scale.quick:
        return {"skipped": "one worker against two is measured in full runs alone"}
    one: list[Drained] = []
    two: list[Drained] = []
    async with open_lab() as lab:
        warm_up = [await lab.founder.found(WARM_UP) for _ in range(ROUNDS + 1)]
        companies = [await lab.founder.found(2 * RUNS) for _ in range(ROUNDS)]
        async with lab.worker():
            await drain(lab, warm_up[-1].jobs, _DEADLINE)
            for round_, company in enumerate(companies):
                tell(f"round {round_ + 1} of {ROUNDS}: {RUNS} runs with one, and with two")
                one.append(await drain(lab, company.jobs[:RUNS], _DEADLINE))
                async with lab.worker(f"second-{round_}"):
                    await drain(lab, warm_up[round_].jobs, _DEADLINE)
                    two.append(await drain(lab, company.jobs[RUNS:], _DEADLINE))
    return summary(one, two, os.cpu_count() or 1)


def summary(one: Sequence[Drained], two: Sequence[Drained], processors: int) -> Figures:
    """Return the figures of rounds with one worker and with two."""
    return {
        "rounds": len(one),
        "runs_per_round": one[0].runs,
        "processors": processors,
        "ratio": middle([b.per_second / a.per_second for a, b in zip(one, two, strict=True)]),
        "one": _of(one),
        "two": _of(two),
    }


def busy(drained: Drained) -> float:
    """Return how many processors the stack kept busy, all of its processes together."""
    return sum(drained.cpu_ms.values()) * drained.runs / 1000 / drained.seconds


def _of(rounds: Sequence[Drained]) -> dict[str, Any]:
    kinds = sorted({kind for each in rounds for kind in each.cpu_ms})
    return {
        "per_second": middle([each.per_second for each in rounds], 1),
        "busy_processors": middle([busy(each) for each in rounds]),
        "cpu_ms_per_run": {
            kind: middle([each.cpu_ms.get(kind, 0.0) for each in rounds], 1) for kind in kinds
        },
    }


def section(figures: Figures) -> Section:
    """Return what the page says of the figures."""
    title, command = "One worker against two", f"python -m benchmarks.run --only {NAME}"
    if "skipped" in figures:
        return Section(title=title, text=[f"Not measured: {figures['skipped']}."], command=command)
    sides: Mapping[str, Mapping[str, Any]] = {
        "one worker": figures["one"],
        "two workers": figures["two"],
    }
    kinds = sorted({kind for side in sides.values() for kind in side["cpu_ms_per_run"]})
    processors = figures["processors"]
    return Section(
        title=title,
        text=[
            f"{figures['runs_per_round']} jobs are completed as fast as one connection writes,"
            " and worked off by one worker process, then by two, each with a relay of its own,"
            f" in turn for {figures['rounds']} rounds. Two do {figures['ratio']} times what one"
            " does.",
            f"All of it, with Postgres, Temporal and the providers, shares {processors}"
            " processors. What the workers can gain is what the other processes leave of them:"
            " the column of busy processors says how much of the machine was in use."
            " So it tells whether two share the work or stand in each other's way; it does not"
            " tell how far workers on machines of their own would scale.",
        ],
        command=command,
        tables=[
            Table(
                columns=(
                    "",
                    "runs a second",
                    f"busy processors, of {processors}",
                    *(f"{kind}, CPU ms a run" for kind in kinds),
                ),
                rows=[
                    (
                        name,
                        f"{side['per_second']:.1f}",
                        f"{side['busy_processors']:.2f}",
                        *(f"{side['cpu_ms_per_run'].get(kind, 0.0):.1f}" for kind in kinds),
                    )
                    for name, side in sides.items()
                ],
            )
        ],
        charts=[
            Bars(
                title="Runs a second, by worker processes",
                unit="runs a second",
                bars=[(name, side["per_second"]) for name, side in sides.items()],
            )
        ],
    )
