"""Refuse steps that no run could ever come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from fixlify.domain.conditions import AllOf, AnyOf, Condition, NotOf
from fixlify.domain.steps.branches import Branch, Exit

if TYPE_CHECKING:
    from fixlify.domain.steps import Step


def refuse_unreachable(steps: Sequence[Step]) -> None:
    """Raise where a step follows the end of the run, or a branch can only go one way.

    Raises:
        PydanticCustomError: With the ``place`` of what is never reached, and why.
    """
    _walk(steps, "", ())


def is_certain(condition: Condition) -> bool:
    """Whether *condition* holds, or does not, whatever the facts are."""
    return _question(condition) == AllOf(all=[])


def _walk(steps: Sequence[Step], place: str, decided: tuple[Condition, ...]) -> bool:
    """Look through *steps*; return whether every way through them ends the run.

    ``decided`` are the questions that were answered on the way here, and nothing has happened
    since: whatever acts or waits gives the facts time to change.
    """
    over: str | None = None
    for position, step in enumerate(steps):
        here = f"{place}[{position}]"
        if over is not None:
            raise PydanticCustomError(
                "unreachable",
                "the step '{id}' can never be reached: the run has ended at '{over}'; "
                "remove it, or move it up",
                {"id": step.id, "over": over, "place": here},
            )
        if isinstance(step, Branch):
            then_ends, else_ends = _sides_end(step, here, decided)
            ends = then_ends and else_ends
            if _acts(step):
                decided = ()
            elif step.enabled and (then_ends or else_ends):
                decided = (*decided, _question(step.if_))
        else:
            ends = isinstance(step, Exit)
            decided = ()
        if ends and step.enabled:
            over = str(step.id)
    return over is not None


def _sides_end(branch: Branch, place: str, decided: tuple[Condition, ...]) -> tuple[bool, bool]:
    question = _question(branch.if_)
    if question in decided or is_certain(question):
        raise PydanticCustomError(
            "unreachable",
            "the branch '{id}' can only go one way: its condition is already decided there; "
            "write the steps without it",
            {"id": branch.id, "place": place},
        )
    inside = (*decided, question)
    return (
        _walk(branch.then, f"{place}.then", inside),
        _walk(branch.otherwise, f"{place}.else", inside),
    )


def _acts(branch: Branch) -> bool:
    """Whether anything happens inside *branch* but deciding."""
    return any(not isinstance(step, Branch | Exit) for step in _inside(branch))


def _inside(branch: Branch) -> Iterator[Step]:
    for step in (*branch.then, *branch.otherwise):
        yield step
        if isinstance(step, Branch):
            yield from _inside(step)


def _question(condition: Condition) -> Condition:
    """Return what *condition* asks: the same of its opposite, and of a list of one."""
    match condition:
        case NotOf():
            return _question(condition.not_)
        case AllOf(all=[part]) | AnyOf(any=[part]):
            return _question(part)
        case _:
            return condition
