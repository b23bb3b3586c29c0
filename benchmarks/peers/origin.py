"""The origin rebuilt: a row trigger, a poll a minute of ten rows, half a second between two."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from statistics import median
from time import monotonic
from typing import Final

from benchmarks.lab.companies import Job, complete
from benchmarks.lab.figures import Spread
from benchmarks.lab.stack import open_lab
from benchmarks.peers.driving import latencies
from benchmarks.peers.origin_function import ORIGINAL, Pace, Poll
from benchmarks.peers.origin_system import Origin, open_origin
from benchmarks.suite import Bars, Figures, Scale, Section, Table, Tell

NAME: Final = "origin"
A_MINUTE: Final = 9
"""Jobs completed a minute: one fewer than it takes, or some would wait for a second poll."""

MANY_A_SECOND: Final = 10
"""Jobs a second, for what would become of them."""

_JOBS: Final = 24
# After the last of the others, at once, so that the next poll finds more than it takes.
_BURST: Final = 20
_LOOK_AGAIN: Final = 0.05


@dataclass(frozen=True, slots=True)
class Capacity:
    """What it can carry: so many a poll, a poll every so often, *busy* with a full one."""

    taken: int
    every: timedelta
    busy: timedelta

    @property
    def an_hour(self) -> float:
        """Automations an hour."""
        return self.taken * (timedelta(hours=1) / self.every)

    def left_after_an_hour(self, per_second: float) -> float:
        """Return how many are left undone after an hour of so many a second."""
        return max(per_second * 3600 - self.an_hour, 0.0)


def capacity(polls: Sequence[Poll], pace: Pace = ORIGINAL) -> Capacity:
    """Return the capacity that *polls* show.

    Raises:
        ValueError: None was full, or there was only one.
    """
    full = [poll for poll in polls if poll.taken >= pace.batch]
    apart = [later.began - earlier.began for earlier, later in pairwise(polls)]
    if not full or not apart:
        raise ValueError("it takes two polls, and a full one, to tell the capacity")
    return Capacity(
        taken=max(poll.taken for poll in full),
        every=timedelta(seconds=median(apart)),
        busy=timedelta(seconds=median(poll.took.total_seconds() for poll in full)),
    )


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Complete jobs in both systems in turns, each at a pace that the origin can carry."""
    if scale.quick:
        return {"skipped": "the origin polls once a minute, so it takes four to measure it"}
    async with (
        open_lab() as lab,
        lab.worker(),
        open_origin(lab.home / "origin", lab.mail, lab.phone, _JOBS + _BURST) as origin,
    ):
        company = await lab.founder.found(_JOBS)
        tell(f"origin: {_JOBS} jobs in each system, {A_MINUTE} a minute; {origin.clock} calls it")
        pause = timedelta(minutes=1) / A_MINUTE

        async def write(job: Job) -> float:
            await complete(lab.connection, job)
            return monotonic()

        patience = 2 * ORIGINAL.every
        theirs = asyncio.create_task(
            latencies(origin.write, origin.jobs[:_JOBS], lab.deliveries, pause, patience)
        )
        await asyncio.sleep(pause.total_seconds() / 2)
        ours = await latencies(write, company.jobs, lab.deliveries, pause)
        tell(f"origin: {_BURST} at once")
        for job in origin.jobs[_JOBS:]:
            await origin.write(job)
        await _until_full(origin, patience)
        found = capacity(origin.polls)
        measured, ourselves = Spread.of(await theirs), Spread.of(ours)
    return {
        "clock": origin.clock,
        "a_minute": A_MINUTE,
        "origin": measured.as_json("ms"),
        "fidelity": {
            "taken_a_poll": found.taken,
            "poll_every_seconds": round(found.every.total_seconds(), 1),
            "full_poll_took_seconds": round(found.busy.total_seconds(), 1),
        },
        "fixlify": ourselves.as_json("ms"),
        "ratio_p50": round(measured.p50 / ourselves.p50, 1),
        "capacity_an_hour": round(found.an_hour),
        "left_after_an_hour_of_ten_a_second": round(found.left_after_an_hour(MANY_A_SECOND)),
    }


def section(figures: Figures) -> Section:
    """Return what the page says of the origin."""
    title, command = "Beside the system it replaces", "python -m benchmarks.run --only origin"
    if "skipped" in figures:
        return Section(title, [f"Not measured: {figures['skipped']}."], command)
    poll = figures["fidelity"]
    return Section(
        title=title,
        text=[
            "Rebuilt from its own papers: a row trigger writes a `pending` row, once a minute a "
            "poll takes the ten oldest and carries them out one after the other, with 500 ms "
            "between two, each an email over SMTP and a text message over HTTP. In the place of "
            "its edge function stands minimal Python in the measuring process: what calling an "
            f"edge function over HTTP costs is left out. It is called by {figures['clock']}.",
            f"Both systems get {figures['a_minute']} jobs a minute, in turns, on one machine and "
            "to the same mailbox and phone. Latency is from the commit to the later of the two "
            f"acceptances, of {figures['origin']['count']} jobs in each: with so few the p99 is "
            "about the slowest.",
            f"Then {_BURST} jobs were completed at once: a poll took {poll['taken_a_poll']} in "
            f"{poll['full_poll_took_seconds']} s, the polls came every "
            f"{poll['poll_every_seconds']} s. That is {figures['capacity_an_hour']:,} an hour. "
            f"Computed from it and not measured: an hour of {MANY_A_SECOND} jobs a second leaves "
            f"{figures['left_after_an_hour_of_ten_a_second']:,} undone, for which it takes "
            f"{_hours_for(figures):.0f} more hours.",
            "What it does not say: the origin needs Postgres and one small function, where ours "
            "needs a Temporal server and a worker beside Postgres. A shorter poll and no pause "
            "would have made it faster; how it would have borne that is not measured.",
        ],
        command=command,
        tables=[
            Table(
                columns=["", "p50", "p95", "p99", "max"],
                rows=[
                    _row("The origin, rebuilt", figures["origin"]),
                    _row("Fixlify Automations", figures["fixlify"]),
                ],
            )
        ],
        charts=[
            Bars(
                "Commit to both accepted, p50",
                "ms",
                [
                    ("The origin, rebuilt", figures["origin"]["p50_ms"]),
                    ("Fixlify Automations", figures["fixlify"]["p50_ms"]),
                ],
            )
        ],
    )


def _hours_for(figures: Figures) -> float:
    left: int = figures["left_after_an_hour_of_ten_a_second"]
    return left / int(figures["capacity_an_hour"])


def _row(name: str, spread: Figures) -> list[str]:
    return [name, *(_for_people(spread[f"{each}_ms"]) for each in ("p50", "p95", "p99", "max"))]


def _for_people(ms: float) -> str:
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"


async def _until_full(origin: Origin, patience: timedelta) -> None:
    async with asyncio.timeout(patience.total_seconds()):
        while not any(poll.taken >= ORIGINAL.batch for poll in origin.polls):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_AGAIN)
