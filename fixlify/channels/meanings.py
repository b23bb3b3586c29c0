"""One line of a provider's table: what its code means for a message, in words."""

from __future__ import annotations

from typing import Final, NamedTuple

from fixlify.domain.failures import FailureKind

FOR_GOOD: Final[FailureKind] = FailureKind.PERMANENT
FOR_NOW: Final[FailureKind] = FailureKind.TEMPORARY
SLOWER: Final[FailureKind] = FailureKind.THROTTLED
OPTED_OUT: Final[FailureKind] = FailureKind.OPTED_OUT
LANDLINE: Final[FailureKind] = FailureKind.LANDLINE

_WORTH_ANOTHER_ATTEMPT: Final = frozenset({FOR_NOW, SLOWER})


class Meaning(NamedTuple):
    """What it means for the message, and why, as a clause without a full stop."""

    kind: FailureKind
    reason: str

    @property
    def permanent(self) -> bool:
        """Whether another attempt is in vain."""
        return self.kind not in _WORTH_ANOTHER_ATTEMPT
