"""The promises, each with the one check that decides whether it was kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from benchmarks.chaos.ledgers import Ledgers
from benchmarks.chaos.promises.calm import (
    everything_came_to_rest,
    no_chain_goes_on,
    no_write_failed,
)
from benchmarks.chaos.promises.checks import Check, Harm, Violation
from benchmarks.chaos.promises.delivered import each_message_is_sent_once
from benchmarks.chaos.promises.once import (
    each_run_has_one_workflow,
    no_change_is_lost,
    nothing_runs_twice,
)
from benchmarks.chaos.promises.told import (
    a_status_says_what_happened,
    what_was_not_done_says_why,
)
from benchmarks.chaos.promises.wanted import (
    everybody_keeps_to_their_own,
    nothing_goes_to_who_does_not_want_it,
)

__all__ = ["PROMISES", "Check", "Harm", "Violation"]

PROMISES: Final[Mapping[str, Callable[[Ledgers], Check]]] = MappingProxyType(
    {
        "P1": no_change_is_lost,
        "P2": nothing_runs_twice,
        "P3": each_run_has_one_workflow,
        "P4": each_message_is_sent_once,
        "P5": nothing_goes_to_who_does_not_want_it,
        "P6": a_status_says_what_happened,
        "P7": what_was_not_done_says_why,
        "P8": everybody_keeps_to_their_own,
        "P9": no_write_failed,
        "P10": no_chain_goes_on,
        "P11": everything_came_to_rest,
    }
)
"""Names as the design has them."""
