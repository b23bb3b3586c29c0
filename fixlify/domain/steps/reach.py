"""Refuse steps that no run could ever come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from fixlify.domain.conditions import AllOf, Condition
from fixlify.domain.steps.branches import Branch, Exit

if TYPE_CHECKING:
    from fixlify.domain.steps import Step


def refuse_unreachable(steps: Sequence[Step]) -> None:
    """Raise where a step follows the end of the run, or a branch can only go one way.

    Raises:
        PydanticCustomError: Naming the step that is never reached, and why.
    """
    _walk(steps, ())


def _walk(steps: Sequence[Step], decided: tuple[Condition, ...]) -> bool:
    """Look through *steps*; return whether every way through them ends the run."""
    over: str | None = None
    for step in steps:
        if over is not None:
            raise PydanticCustomError(
                "unreachable",
                "the step '{id}' can never be reached: the run has ended at '{over}'; "
                "remove it, or move it up",
                {"id": step.id, "over": over},
            )
        if not step.enabled:
            continue
        if isinstance(step, Exit) or (isinstance(step, Branch) and _branch_ends(step, decided)):
            over = str(step.id)
    return over is not None


def _branch_ends(branch: Branch, decided: tuple[Condition, ...]) -> bool:
    if branch.if_ in decided or branch.if_ == AllOf(all=[]):
        raise PydanticCustomError(
            "unreachable",
            "the branch '{id}' can only go one way: its condition is already decided there; "
            "write the steps without it",
            {"id": branch.id},
        )
    inside = (*decided, branch.if_)
    # Both are looked through, also when the first does not end the run.
    ends = [_walk(side, inside) for side in (branch.then, branch.otherwise)]
    return all(ends)
