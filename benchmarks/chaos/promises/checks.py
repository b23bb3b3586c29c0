"""What a check found: how much it looked at, and what was not as promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

_SHOWN: Final = 20


class Harm(StrEnum):
    """What a broken promise did to somebody."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Violation:
    """One promise that was not kept: to what, in a sentence.

    ``execution_id`` is whose story tells how it came about; None where there is none.
    """

    what: str
    sentence: str
    harm: Harm = Harm.OTHER
    execution_id: UUID | None = None

    def __str__(self) -> str:
        return f"{self.what}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Check:
    """How one promise was checked. What looked at nothing has shown nothing, and fails.

    ``counts`` are what was seen on the way and is no violation, by name.
    """

    checked: int
    violations: Sequence[Violation] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether something was looked at and all of it was as promised."""
        return self.checked > 0 and not self.violations

    def harmed(self, harm: Harm) -> int:
        """Return how many violations did this *harm*."""
        return sum(each.harm is harm for each in self.violations)

    def as_json(self) -> dict[str, Any]:
        """Return it for a program; of many violations the first, and how many there are."""
        return {
            "holds": self.holds,
            "checked": self.checked,
            "violations": [str(each) for each in self.violations[:_SHOWN]],
            "violated": len(self.violations),
            **self.counts,
        }
