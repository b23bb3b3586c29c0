"""How latency and throughput move when the tables already hold ten times the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from benchmarks.lab.backlog import Drained, drain
from benchmarks.lab.companies import Job
from benchmarks.lab.figures import Spread, middle
from benchmarks.lab.rounds import Round, offer
from benchmarks.lab.stack import Lab, open_lab
from benchmarks.lab.stream import open_stream
from benchmarks.lab.years import Grown, fill
from benchmarks.suite import Bars, Figures, Scale, Section, Table, Tell

NAME: Final = "tenfold"

PAST_RUNS: Final = 20_000
TIMES: Final = 10
ROUNDS: Final = 2
RATE: Final = 10
SECONDS: Final = 12
RUNS: Final = 150
WARM_UP: Final = 40
_DEADLINE: Final = timedelta(minutes=5)


@dataclass(slots=True)
class Side:
    """What was measured over one number of past runs, round by round."""

    past_runs: int
    grown: Grown
    steady: list[Round] = field(default_factory=list)
    backlog: list[Drained] = field(default_factory=list)


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Measure two stacks in turn; they differ in what their tables hold."""
    if scale.quick:
        return {"skipped": "filling the tables takes longer than everything else of a quick run"}
    async with AsyncExitStack() as stack:
        measured: list[tuple[Lab, Side, Iterator[Job]]] = []
        for past_runs in (PAST_RUNS, PAST_RUNS * TIMES):
            lab = await stack.enter_async_context(open_lab())
            company = await lab.founder.found(WARM_UP + ROUNDS * (RATE * SECONDS + RUNS))
            tell(f"filling the tables with {past_runs:,} past runs")
            grown = await fill(lab.connection, company.organization_id, past_runs)
            await stack.enter_async_context(lab.worker())
            jobs = iter(company.jobs)
            await drain(lab, _some(jobs, WARM_UP), _DEADLINE)
            measured.append((lab, Side(past_runs, grown), jobs))
        for round_ in range(1, ROUNDS + 1):
            tell(f"round {round_} of {ROUNDS}")
            # Who comes first in one round comes last in the next.
            measured.reverse()
            for lab, side, jobs in measured:
                async with open_stream(lab.url) as stream:
                    some = _some(jobs, RATE * SECONDS)
                    side.steady.append(await offer(lab, stream, some, RATE))
            for lab, side, jobs in measured:
                side.backlog.append(await drain(lab, _some(jobs, RUNS), _DEADLINE))
    small, large = sorted((side for _, side, _ in measured), key=lambda side: side.past_runs)
    return summary(small, large)


def _some(jobs: Iterator[Job], number: int) -> list[Job]:
    return [next(jobs) for _ in range(number)]


def summary(small: Side, large: Side) -> Figures:
    """Return the figures of both sides, and the medians of the rounds' own ratios."""
    p50 = _ratios(_medians(small.steady), _medians(large.steady))
    throughput = _ratios(
        [each.per_second for each in small.backlog], [each.per_second for each in large.backlog]
    )
    return {
        "rounds": len(small.steady),
        "p50_ratio": middle(p50),
        "p50_ratio_by_round": p50,
        "throughput_ratio": middle(throughput),
        "throughput_ratio_by_round": throughput,
        "small": _of(small),
        "large": _of(large),
    }


def _of(side: Side) -> dict[str, Any]:
    return {
        "past_runs": side.past_runs,
        "rows": side.grown.rows,
        "size_mb": round(side.grown.size / 1e6, 1),
        "p50_ms": middle(_medians(side.steady), 1),
        "p99_ms": middle([Spread.of(each.latencies).p99 for each in side.steady], 1),
        "saturated": any(each.saturated for each in side.steady),
        "per_second": middle([each.per_second for each in side.backlog], 1),
    }


def _medians(rounds: Sequence[Round]) -> list[float]:
    return [Spread.of(each.latencies).p50 for each in rounds]


def _ratios(small: Sequence[float], large: Sequence[float]) -> list[float]:
    return [round(more / less, 2) for less, more in zip(small, large, strict=True)]


def _range(ratios: Sequence[float]) -> str:
    return f"{min(ratios)} to {max(ratios)}"


def section(figures: Figures) -> Section:
    """Return what the page says of the figures."""
    title, command = "Ten times the rows", f"python -m benchmarks.run --only {NAME}"
    if "skipped" in figures:
        return Section(title=title, text=[f"Not measured: {figures['skipped']}."], command=command)
    sides: Mapping[str, Mapping[str, Any]] = {
        f"{side['past_runs']:,} past runs": side for side in (figures["small"], figures["large"])
    }
    return Section(
        title=title,
        text=[
            "Two stacks run side by side and are measured in turn, for"
            f" {figures['rounds']} rounds. They differ in what their tables hold: past runs of"
            " the same company and automation, a minute apart, each with its client and job, two"
            " events, two steps, two messages and their four changes of status. Rows are counted"
            " in the five tables that grow with every run.",
            f"With {TIMES} times the past runs, the median latency at {RATE} a second is"
            f" {figures['p50_ratio']} times what it is with the few, and the sustained"
            f" throughput {figures['throughput_ratio']} times. Both are medians of the rounds'"
            f" own ratios, which go from {_range(figures['p50_ratio_by_round'])} and from"
            f" {_range(figures['throughput_ratio_by_round'])}: what is less than their distance"
            " from each other is not told by this.",
            "Everything fits into memory, and the tables are analyzed and vacuumed, as autovacuum"
            " would in time. Past messages are short, and have no HTML. Temporal's own database"
            " holds no past runs on either side.",
        ],
        command=command,
        tables=[
            Table(
                columns=("", "rows", "size", "p50", "p99", "runs a second"),
                rows=[
                    (
                        name,
                        f"{side['rows']:,}",
                        f"{side['size_mb']:.0f} MB",
                        f"{side['p50_ms']} ms",
                        f"{side['p99_ms']} ms",
                        f"{side['per_second']}",
                    )
                    for name, side in sides.items()
                ],
            )
        ],
        charts=[
            Bars(
                title=f"Median latency at {RATE} a second",
                unit="ms",
                bars=[(name, side["p50_ms"]) for name, side in sides.items()],
            )
        ],
    )
