"""What is to go wrong and when: a pure function of the seed, so that it can go wrong again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from types import MappingProxyType
from typing import Final

# One round of these takes about a minute.
SPACING: Final = timedelta(seconds=3.4)
# The first needs something to hit, and the last may not outlive the traffic.
LEAD: Final = timedelta(seconds=3)
TAIL: Final = timedelta(seconds=8)
DEPLOYMENT: Final = "deploy"
# After so much of the run the new release is deployed; the old one is gone so much later.
DEPLOYED_AT: Final = 0.4
SIDE_BY_SIDE: Final = 0.12
# Of the kills: struck once more, before what was killed is back or just after.
STRUCK_AGAIN: Final = 0.5
STRUCK_AGAIN_AT_MOST: Final = timedelta(seconds=1)

RELAY, API, TEMPORAL, POSTGRES = "relay", "api", "temporal", "postgres"
WORKERS: Final = ("worker 1", "worker 2")
MAIL, PHONE = "mail", "phone"

TARGETS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "kill worker": WORKERS,
        "kill relay": (RELAY,),
        "kill api": (API,),
        "kill temporal": (TEMPORAL,),
        "kill postgres": (POSTGRES,),
        "kill everything": ("everything",),
        "freeze worker": WORKERS,
        "freeze relay": (RELAY,),
        "stall temporal": (TEMPORAL,),
        "stall postgres": (POSTGRES,),
        "cut temporal": (TEMPORAL,),
        "cut postgres": (POSTGRES,),
        "stall provider": (MAIL, PHONE),
        "cut provider": (MAIL, PHONE),
        "lost answer": (MAIL, PHONE),
        "provider outage": (MAIL, PHONE),
        "provider throttles": (MAIL, PHONE),
        "repeat reports": (PHONE,),
    }
)
"""Every kind of fault but a deployment, and what it can strike."""

_LASTING: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "kill worker": (0, 1),
        "kill relay": (0, 2),
        "kill api": (0, 2),
        "kill temporal": (0, 2),
        "kill postgres": (0, 1.5),
        "kill everything": (0, 1),
        # Ten seconds and more: Temporal gives its work to somebody else, and then it wakes.
        "freeze worker": (2, 13),
        "freeze relay": (2, 8),
        "stall temporal": (1, 6),
        "stall postgres": (1, 6),
        "stall provider": (1, 6),
        # At most: it is over when they are lost.
        "lost answer": (10, 15),
        "provider outage": (1, 4),
        "provider throttles": (1, 4),
    }
)
_ANSWERS: Final[Mapping[tuple[str, str], Sequence[str]]] = MappingProxyType(
    {
        ("provider outage", MAIL): ("421", "450"),
        ("provider outage", PHONE): ("500", "503"),
        ("provider throttles", MAIL): ("451",),
        ("provider throttles", PHONE): ("429",),
    }
)
_MOST_LOST: Final = 3


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault: ``at`` and ``lasting`` are seconds, from the beginning and from ``at``.

    ``lasting`` is how long it stays broken, or away before it is started again. ``answer`` is
    what a provider says meanwhile; ``number`` how many answers are lost. ``again`` tells that
    it strikes what was struck just before, while that recovers.
    """

    at: float
    kind: str
    target: str
    lasting: float = 0.0
    answer: str = ""
    number: int = 0
    again: bool = False

    def __str__(self) -> str:
        told = f"{self.target}" + (f", {self.answer}" if self.answer else "")
        told += f", {self.number} of them" if self.number else ""
        return told + (f", for {self.lasting:.1f} s" if self.lasting else "")


def plan_faults(seed: int, duration: timedelta) -> list[PlannedFault]:
    """Return every fault of a run of *duration*, in the order of time.

    Each kind comes once in a round, so that long runs are not luckier than short ones.
    """
    choose = Random(f"{seed} faults")  # noqa: S311 - repeatable, not secret
    end = (duration - TAIL).total_seconds()
    faults = [
        PlannedFault(duration.total_seconds() * DEPLOYED_AT, DEPLOYMENT, "the second release")
    ]
    at = LEAD.total_seconds()
    for kind in _rounds(choose):
        if at >= end:
            return sorted(faults, key=lambda fault: fault.at)
        fault = _fault(choose, at, kind)
        faults.append(fault)
        if kind.startswith("kill ") and choose.random() < STRUCK_AGAIN:
            later = fault.lasting + choose.uniform(0, STRUCK_AGAIN_AT_MOST.total_seconds())
            faults.append(_again(choose, fault, later))
        at += choose.uniform(0.8, 1.2) * SPACING.total_seconds()
    raise AssertionError("rounds have no end")


def _rounds(choose: Random) -> Iterator[str]:
    while True:
        kinds = list(TARGETS)
        choose.shuffle(kinds)
        yield from kinds


def _fault(choose: Random, at: float, kind: str) -> PlannedFault:
    target = choose.choice(TARGETS[kind])
    shortest, longest = _LASTING.get(kind, (0.0, 0.0))
    answers = _ANSWERS.get((kind, target), ("",))
    return PlannedFault(
        at=round(at, 2),
        kind=kind,
        target=target,
        lasting=round(choose.uniform(shortest, longest), 2),
        answer=choose.choice(answers),
        number=choose.randint(1, _MOST_LOST) if kind == "lost answer" else 0,
    )


def _again(choose: Random, fault: PlannedFault, later: float) -> PlannedFault:
    """Return what strikes while *fault* is recovered from: the same, or what it needs to recover.

    A database that restarted once more during recovery has left workflows pending for ever.
    """
    kind = choose.choice((fault.kind, "kill postgres", "kill temporal", "cut postgres"))
    target = fault.target if kind == fault.kind else TARGETS[kind][0]
    return PlannedFault(round(fault.at + later, 2), kind, target, again=True)
