"""How many runs a second the stack sustains, beside bare Temporal with nothing to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Final

from benchmarks.lab.backlog import EDGE, Drained, drain
from benchmarks.lab.figures import middle
from benchmarks.lab.stack import open_lab
from benchmarks.peers.bare_temporal import open_bare
from benchmarks.suite import Bars, Figures, Scale, Section, Table, Tell

NAME: Final = "throughput"

OURS: Final = "fixlify"
QUEUED: Final = "bare_queued"
SAME_SHAPE: Final = "bare_same_shape"
SIDES: Final = (OURS, QUEUED, SAME_SHAPE)

WARM_UP: Final = 40
_DEADLINE: Final = timedelta(minutes=5)

_NAMES: Final[Mapping[str, str]] = {
    OURS: "Fixlify",
    QUEUED: "bare Temporal, sends queued",
    SAME_SHAPE: "bare Temporal, our shape",
}


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Work off the same backlog on each side in turn, round after round, on one server."""
    rounds, runs = scale.choose(2, 3), scale.choose(160, 400)
    measured: dict[str, list[Drained]] = {side: [] for side in SIDES}
    async with AsyncExitStack() as stack:
        lab = await stack.enter_async_context(open_lab())
        warm_up = await lab.founder.found(WARM_UP)
        companies = [await lab.founder.found(runs) for _ in range(rounds)]
        await stack.enter_async_context(lab.worker())
        queued = await stack.enter_async_context(open_bare(lab, "queued"))
        same_shape = await stack.enter_async_context(open_bare(lab, "same_shape"))
        await drain(lab, warm_up.jobs, _DEADLINE)
        await queued.drain(WARM_UP, _DEADLINE)
        await same_shape.drain(WARM_UP, _DEADLINE)
        for round_, company in enumerate(companies, 1):
            tell(f"round {round_} of {rounds}: {runs} runs on each side")
            measured[OURS].append(await drain(lab, company.jobs, _DEADLINE))
            measured[QUEUED].append(await queued.drain(runs, _DEADLINE))
            measured[SAME_SHAPE].append(await same_shape.drain(runs, _DEADLINE))
    return summary(measured)


def summary(measured: Mapping[str, Sequence[Drained]]) -> Figures:
    """Return the figures of all rounds; a ratio is the median of the rounds' own ratios."""
    ours = measured[OURS]
    return {
        "rounds": len(ours),
        "runs_per_round": ours[0].runs,
        "per_second": middle([each.per_second for each in ours], 1),
        "ratio_to_bare": _ratio(ours, measured[QUEUED]),
        "ratio_to_bare_same_shape": _ratio(ours, measured[SAME_SHAPE]),
        "by_side": {
            side: {
                "per_second": middle([each.per_second for each in drained], 1),
                "per_second_by_round": [round(each.per_second, 1) for each in drained],
                "cpu_ms_per_run": cpu_ms(drained),
            }
            for side, drained in measured.items()
        },
    }


def cpu_ms(drained: Sequence[Drained]) -> dict[str, float]:
    """Return the medians of the rounds, by process, and of what they use together."""
    kinds = sorted({kind for each in drained for kind in each.cpu_ms})
    by_kind = {kind: middle([each.cpu_ms.get(kind, 0.0) for each in drained], 1) for kind in kinds}
    return {**by_kind, "all": middle([sum(each.cpu_ms.values()) for each in drained], 1)}


def _ratio(ours: Sequence[Drained], bare: Sequence[Drained]) -> float:
    return middle(
        [each.per_second / beside.per_second for each, beside in zip(ours, bare, strict=True)]
    )


def section(figures: Figures) -> Section:
    """Return what the page says of the figures."""
    sides: Mapping[str, Mapping[str, Any]] = figures["by_side"]
    kinds = ("worker", "bare", "temporal", "postgres", "driver", "all")
    return Section(
        title="Sustained throughput, beside bare Temporal",
        text=[
            f"{figures['runs_per_round']} jobs are completed as fast as one connection writes,"
            " and worked off by one worker process; a run has ended when both providers have"
            " accepted and its outcome is recorded. Bare Temporal is one process, too: the same"
            " server, the same worker options and sandbox, the same payload models and search"
            " attributes, eager starts with the same concurrency; but its activities do nothing,"
            " and there is no Postgres, no mail server, no provider. So it is what remains if"
            " all of the work is taken away, not something that could do the work.",
            f"The rate is that of the middle {1 - 2 * EDGE:.0%} of the ends on every side, so"
            " that neither start-up nor tail counts. The sides take turns on one server in"
            f" {figures['rounds']} rounds; figures are medians of the rounds, and a ratio is the"
            " median of the ratios of each round. All processes are up throughout; the two"
            " whose turn it is not are idle.",
            f"Two shapes stand beside ours. Queued, the ratio is {figures['ratio_to_bare']}:"
            " fetching, rendering and recording are local activities, and each send has a"
            " queue of its own, as Temporal's documentation teaches it. Our own shape, the ratio"
            f" is {figures['ratio_to_bare_same_shape']}: one local activity fetches and renders,"
            " and both sends are tried in local activities, which spares the server most of its"
            " work. The first ratio is that of a run of ours to the usual way of building one,"
            " and our shape is a part of it; the second leaves our work alone to tell the"
            " difference.",
            "The driver is the process that writes the jobs; it holds the mailbox and the phone,"
            " too, and shares the processors with everything else. Idle processes of the other"
            " sides are counted where they use something.",
        ],
        command=f"python -m benchmarks.run --only {NAME}",
        tables=[
            Table(
                columns=("", "runs a second", *(f"{kind}, CPU ms a run" for kind in kinds)),
                rows=[
                    (
                        _NAMES[side],
                        f"{sides[side]['per_second']:.1f}",
                        *(f"{sides[side]['cpu_ms_per_run'].get(kind, 0.0):.1f}" for kind in kinds),
                    )
                    for side in SIDES
                ],
            )
        ],
        charts=[
            Bars(
                title="Runs a second, sustained",
                unit="runs a second",
                bars=[(_NAMES[side], sides[side]["per_second"]) for side in SIDES],
            )
        ],
    )
