"""What ends a run before its last step, or holds it: its exit condition, its automation's state."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from fixlify.domain.automation import AutomationDefinition, AutomationStatus
from fixlify.domain.conditions import Condition, satisfied
from fixlify.domain.facts import Facts
from fixlify.domain.limits import LimitedChannel
from fixlify.domain.runs import Ending, ExecutionStatus

PAUSED: Final = "the automation is paused"
STOPPED: Final = "automations are stopped"
SUPERSEDED: Final = "a newer run of the automation took over"
CHANNEL_PAUSED: Final = MappingProxyType(
    {channel: f"the {channel} channel is paused" for channel in LimitedChannel}
)
WAITS_FOR_A_WORD: Final = (PAUSED, STOPPED, *CHANNEL_PAUSED.values())
"""How the reasons begin that nothing but somebody's word ends."""

_EXIT: Final = "exit_when: "


def exit_reason(definition: AutomationDefinition, facts: Facts) -> str | None:
    """Return which part of ``exit_when`` holds, with the values found; None where none does."""
    return None if definition.exit_when is None else exit_by(definition.exit_when, facts)


def exit_by(condition: Condition, facts: Facts) -> str | None:
    """Return what ends a run whose ``exit_when`` is *condition*; None where it does not hold."""
    return f"{_EXIT}{satisfied(condition, facts)}" if condition.holds(facts) else None


def automation_ending(status: str, paused_runs: str, *, superseded: bool = False) -> Ending | None:
    """Return how the runs of an automation end that does not go on; None where they may.

    Args:
        status: Of the automation, as ``AutomationStatus`` has it.
        paused_runs: What becomes of its runs while it is paused: finish, hold or cancel.
        superseded: Whether the same set it off again since, and the newer run has taken over.
    """
    if superseded:
        return Ending(status=ExecutionStatus.CANCELLED, reason=SUPERSEDED)
    if status == AutomationStatus.ACTIVE:
        return None
    if status == AutomationStatus.PAUSED and paused_runs != "cancel":
        return None
    return Ending(status=ExecutionStatus.CANCELLED, reason=f"the automation is {status}")


def holds_runs(status: str, paused_runs: str) -> bool:
    """Whether an automation's runs wait, because it is paused."""
    return status == AutomationStatus.PAUSED and paused_runs == "hold"


def ending_told(reason: str | None) -> Ending | None:
    """Return how the run ends whose message or step was given up with this *reason*; or None.

    Whoever asks again later, after a crash, finds only the reason.
    """
    if reason is None:
        return None
    if reason.startswith(_EXIT):
        return Ending(status=ExecutionStatus.COMPLETED, reason=reason)
    if reason in {SUPERSEDED, *(f"the automation is {status}" for status in AutomationStatus)}:
        return Ending(status=ExecutionStatus.CANCELLED, reason=reason)
    return None
