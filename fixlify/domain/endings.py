"""What ends a run before its last step: its own exit condition, and its automation's state."""

from __future__ import annotations

from fixlify.domain.automation import AutomationDefinition, AutomationStatus
from fixlify.domain.conditions import satisfied
from fixlify.domain.facts import Facts
from fixlify.domain.runs import Ending, ExecutionStatus


def exit_reason(definition: AutomationDefinition, facts: Facts) -> str | None:
    """Return which part of ``exit_when`` holds, with the values found; None where none does."""
    if definition.exit_when is None or not definition.exit_when.holds(facts):
        return None
    return f"exit_when: {satisfied(definition.exit_when, facts)}"


def automation_ending(status: str, paused_runs: str) -> Ending | None:
    """Return how the runs of an automation end that does not go on; None where they may.

    Args:
        status: Of the automation, as ``AutomationStatus`` has it.
        paused_runs: What becomes of its runs while it is paused: finish, hold or cancel.
    """
    if status == AutomationStatus.ACTIVE:
        return None
    if status == AutomationStatus.PAUSED and paused_runs != "cancel":
        return None
    return Ending(status=ExecutionStatus.CANCELLED, reason=f"the automation is {status}")


def is_on_hold(status: str, paused_runs: str) -> bool:
    """Whether the automation's runs wait, because it is paused."""
    return status == AutomationStatus.PAUSED and paused_runs == "hold"
