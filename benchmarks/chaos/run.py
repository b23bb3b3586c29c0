"""One run of chaos: the traffic, the day's commands and the monkey, and then peace."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Final

from benchmarks.chaos.day import let_go_on, live_through
from benchmarks.chaos.evidence import Evidence
from benchmarks.chaos.monkey import Monkey
from benchmarks.chaos.traffic import Traffic
from benchmarks.chaos.world import Left, World

# A text in doubt is looked for and, if need be, sent again within this.
DRAIN_PATIENCE: Final = timedelta(seconds=90)
# What should never have been sent is given the time to arrive.
LINGERING: Final = timedelta(seconds=3)
_TELL_EVERY: Final = timedelta(milliseconds=500)
_REPORTS_DEADLINE: Final = 20.0


@dataclass(frozen=True, slots=True)
class Glimpse:
    """How far a run is; ``at`` is seconds since it began."""

    at: float
    doing: str
    faults: int
    changes: int
    emails: int
    texts: int


@dataclass(frozen=True, slots=True)
class Played:
    """What a run led to, before it is judged.

    ``left`` is what was never done; ``drained_seconds`` how long the rest took
    once the monkey had stopped. ``missed`` says which faults found nothing to strike, and
    ``surprises`` what ended although nobody ended it.
    """

    evidence: Evidence
    left: Left
    drained_seconds: float
    missed: tuple[str, ...]
    surprises: tuple[str, ...]


async def play(
    world: World, seed: int, duration: timedelta, glimpse: Callable[[Glimpse], None]
) -> Played:
    """Let everything loose on *world* for *duration*, then wait until it has come to rest.

    Args:
        world: just opened.
        seed: of the faults and of the traffic.
        duration: how long both last.
        glimpse: called twice a second.

    Raises:
        DevstackError: Something could not be brought up again.
        TimeoutError: A command of the day never worked.
    """
    traffic = Traffic(world.companies, world.connect, world.parts["postgres"].was_there_since, seed)
    monkey = Monkey(
        seed,
        duration,
        world.parts,
        world.proxies,
        world.providers,
        world.releases,
        world.connect,
    )
    watch = asyncio.create_task(_watch(world, traffic, monkey, glimpse))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(traffic.run(duration))
            group.create_task(live_through(world.companies, world.command, duration))
            group.create_task(monkey.run())
        watch.cancel()
        watch = asyncio.create_task(_watch(world, traffic, monkey, glimpse, "draining"))
        await world.wait_until_up()
        stopped = monotonic()
        await let_go_on(world.companies, world.command)
        left = await world.drain(DRAIN_PATIENCE)
        drained = monotonic() - stopped
        await asyncio.sleep(LINGERING.total_seconds())
        await asyncio.wait_for(world.providers.phone.deliveries_end(), _REPORTS_DEADLINE)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        watch.cancel()
    return Played(
        evidence=Evidence(
            seed=seed,
            url=world.url,
            client=await world.temporal_client(),
            changes=traffic.changes,
            faults=sorted(monkey.faults, key=lambda fault: fault.at),
            emails=list(world.providers.mail.messages),
            texts=list(world.providers.phone.messages),
            write_failures=traffic.write_failures,
            fates=world.companies.fates,
            at_most_once=False,
        ),
        left=left,
        drained_seconds=round(drained, 1),
        missed=tuple(monkey.missed),
        surprises=tuple(each for part in world.parts.values() for each in part.surprises),
    )


def faults_by_kind(evidence: Evidence) -> dict[str, int]:
    """Return how often each kind of fault struck, the most frequent first."""
    return dict(Counter(fault.kind for fault in evidence.faults).most_common())


async def _watch(
    world: World,
    traffic: Traffic,
    monkey: Monkey,
    glimpse: Callable[[Glimpse], None],
    doing: str = "breaking things",
) -> None:
    while True:
        glimpse(
            Glimpse(
                at=monotonic() - world.opened_at,
                doing=doing,
                faults=len(monkey.faults),
                changes=len(traffic.changes),
                emails=len(world.providers.mail.messages),
                texts=len(world.providers.phone.messages),
            )
        )
        await asyncio.sleep(_TELL_EVERY.total_seconds())
