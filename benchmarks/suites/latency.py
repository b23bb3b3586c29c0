"""How long a committed change takes to reach both providers, at several rates, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

from benchmarks.lab.figures import Spread, middle
from benchmarks.lab.rounds import Round, offer
from benchmarks.lab.stack import open_lab
from benchmarks.lab.stages import STAGES, stage_medians
from benchmarks.lab.stream import open_stream
from benchmarks.suite import Bars, Figures, Scale, Section, Table, Tell

NAME: Final = "latency"

USUAL: Final = 10
"""The rate, in runs a second, whose figures are the suite's own."""

RATES: Final = (1, USUAL, 30)
WARM_UP: Final = 20


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Measure the first run after the start, and then rounds of every rate in turn."""
    rounds = scale.choose(2, 3)
    seconds = {1: scale.choose(3, 15), USUAL: scale.choose(8, 25), 30: scale.choose(3, 10)}
    measured: dict[int, list[Round]] = {rate: [] for rate in RATES}
    async with open_lab() as lab, open_stream(lab.url) as stream:
        first = await lab.founder.found(1)
        warm_up = await lab.founder.found(WARM_UP)
        companies = [
            (rate, await lab.founder.found(rate * seconds[rate]))
            for _ in range(rounds)
            for rate in RATES
        ]
        async with lab.worker():
            cold = await offer(lab, stream, first.jobs, 1)
            await offer(lab, stream, warm_up.jobs, USUAL)
            for place, (rate, company) in enumerate(companies):
                if place % len(RATES) == 0:
                    tell(f"round {place // len(RATES) + 1} of {rounds}")
                measured[rate].append(await offer(lab, stream, company.jobs, rate))
    return summary(cold, measured)


def summary(cold: Round, measured: Mapping[int, Sequence[Round]]) -> Figures:
    """Return the figures of rounds by their rate; *cold* is the first run of all."""
    usual = of_rate(USUAL, measured[USUAL])
    return {
        "rounds": len(measured[USUAL]),
        "cold_ms": round(cold.latencies[0], 1),
        "warm_p50_ms": usual["p50_ms"],
        "warm_p99_ms": usual["p99_ms"],
        "by_rate": {str(rate): of_rate(rate, rounds) for rate, rounds in measured.items()},
        "stages": stage_medians(list(chain.from_iterable(r.moments for r in measured[USUAL]))),
    }


def of_rate(rate: int, rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the medians of the rounds of one rate, and the worst of all.

    Where most rounds could not keep up there are no percentiles: they would only tell how long
    was measured.
    """
    saturated = sum(each.saturated for each in rounds) * 2 > len(rounds)
    figures: dict[str, Any] = {
        "offered_per_second": rate,
        "ended_per_second": middle([each.per_second for each in rounds], 1),
        "saturated": saturated,
        "count": sum(len(each.latencies) for each in rounds),
        "writes_late_p99_ms": middle([Spread.of(each.lateness).p99 for each in rounds], 1),
    }
    percentiles = dict.fromkeys(("p50_ms", "p95_ms", "p99_ms", "max_ms"))
    if saturated:
        return {**figures, **percentiles}
    spreads = [Spread.of(each.latencies) for each in rounds]
    return {
        **figures,
        "p50_ms": middle([spread.p50 for spread in spreads], 1),
        "p95_ms": middle([spread.p95 for spread in spreads], 1),
        "p99_ms": middle([spread.p99 for spread in spreads], 1),
        "max_ms": max(spread.max for spread in spreads),
    }


def section(figures: Figures) -> Section:
    """Return what the page says of the figures."""
    by_rate: Mapping[str, Mapping[str, Any]] = figures["by_rate"]
    stages: Mapping[str, float] = figures["stages"]
    return Section(
        title="From a committed change to both providers",
        text=[
            "A job is completed by an SQL update; one automation sends an email over SMTP and a"
            " text message through Twilio's API, both to servers on this machine that accept at"
            " once. The clock runs from the moment the writer learns of its commit to the later"
            " of the two acceptances. A real provider adds its own time, which is usually more"
            " than all of this.",
            "Writes follow a fixed schedule that waits for nothing, over connections of their"
            " own: what stalls is seen by everything that was due meanwhile. How far the writes"
            f" themselves fell behind it is told beside. {figures['rounds']} rounds take the"
            " rates in turn; each figure is the median of the rounds, the last column the worst"
            f" of all. Before them {WARM_UP} runs warm up. The first run of all took"
            f" {figures['cold_ms']} ms.",
            "One worker process, its relay, Postgres, Temporal, both providers and the writer"
            " share the processors. With few runs in a round the 99th percentile is close to the"
            " slowest of them. A rate is called saturated when the last quarter of a round"
            " waited more than twice as long as the first, and 200 ms more: then there is no"
            " percentile, because it would grow with the time that was measured.",
            "The stages are told from what the engine writes anyway: `clock_timestamp()` of"
            " Postgres in the statement that ends each, so the commit of a statement counts for"
            " the stage after it; the acceptance is the provider's own moment. One machine, one"
            " clock. They are medians, and do not add up.",
        ],
        command=f"python -m benchmarks.run --only {NAME}",
        tables=[
            Table(
                columns=("a second", "runs", "p50", "p95", "p99", "worst", "writes late, p99"),
                rows=[_row(rate, of) for rate, of in by_rate.items()],
            ),
            Table(
                columns=(f"stage, at {USUAL} a second", "ends when", "median"),
                rows=[(stage, STAGES[stage], f"{taken:.1f} ms") for stage, taken in stages.items()],
            ),
        ],
        charts=[
            Bars(
                title=f"Where the time goes at {USUAL} a second",
                unit="ms",
                bars=list(stages.items()),
            )
        ],
    )


def _row(rate: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    if figures["saturated"]:
        told = (f"saturated: {figures['ended_per_second']} a second ended", "", "", "")
    else:
        told = (
            f"{figures['p50_ms']} ms",
            f"{figures['p95_ms']} ms",
            f"{figures['p99_ms']} ms",
            f"{figures['max_ms']} ms",
        )
    return (rate, str(figures["count"]), *told, f"{figures['writes_late_p99_ms']} ms")
