"""Judge a run of chaos: each promise, what was lost, what came twice, and the story of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from uuid import UUID

from benchmarks.chaos.evidence import Evidence
from benchmarks.chaos.ledgers import Ledgers
from benchmarks.chaos.promises import PROMISES, Check, Harm
from benchmarks.chaos.reading import read_ledgers
from benchmarks.chaos.story import story_of

STORIES_TOLD: Final = 3


@dataclass(frozen=True)
class Verdict:
    """What became of the promises, by their names in the design."""

    ledgers: Ledgers
    promises: Mapping[str, Check]

    @property
    def holds(self) -> bool:
        """Whether every promise was checked and kept."""
        return all(check.holds for check in self.promises.values())

    @property
    def broken(self) -> list[str]:
        """The promises that were not kept, or of which nothing was checked."""
        return [name for name, check in self.promises.items() if not check.holds]

    @property
    def lost(self) -> int:
        """How many things were lost: changes, executions, messages."""
        return sum(check.harmed(Harm.LOST) for check in self.promises.values())

    @property
    def duplicated(self) -> int:
        """How many things happened twice, beside the repeats of email that are documented."""
        return sum(check.harmed(Harm.DUPLICATED) for check in self.promises.values())

    @property
    def unknown(self) -> int:
        """How many messages nobody knows the fate of."""
        return self.promises["P4"].counts["unknown"]

    @property
    def repeated_emails(self) -> int:
        """How many emails went out once more, in doubt and under the same Message-ID."""
        return self.promises["P4"].counts["repeated_emails"]

    def as_json(self) -> dict[str, Any]:
        """Return the verdict for a program."""
        ledgers = self.ledgers
        return {
            "seed": ledgers.evidence.seed,
            "holds": self.holds,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "changes": len(ledgers.evidence.changes),
            "executions": len(ledgers.executions),
            "messages": len(ledgers.messages),
            "emails": len(ledgers.evidence.emails),
            "texts": len(ledgers.evidence.texts),
            "unknown": self.unknown,
            "repeated_emails": self.repeated_emails,
            "promises": {name: check.as_json() for name, check in self.promises.items()},
        }

    def tell_story(self, id_: UUID) -> str:
        """Return how an execution, or the one of a message, came to be what it is.

        Raises:
            LookupError: There is neither by that id.
        """
        return story_of(self.ledgers, id_)

    def stories(self, at_most: int = STORIES_TOLD) -> Iterator[str]:
        """Yield the stories of the first executions that a promise was broken to."""
        broken = (
            violation.execution_id
            for check in self.promises.values()
            for violation in check.violations
            if violation.execution_id in self.ledgers.execution
        )
        for execution_id in islice(dict.fromkeys(broken), at_most):
            if execution_id is not None:
                yield self.tell_story(execution_id)


async def judge(evidence: Evidence) -> Verdict:
    """Reconcile what happened with what was recorded and what arrived, when all is at rest."""
    return weigh(await read_ledgers(evidence))


def weigh(ledgers: Ledgers) -> Verdict:
    """Check every promise against *ledgers*."""
    return Verdict(ledgers, {name: check(ledgers) for name, check in PROMISES.items()})
