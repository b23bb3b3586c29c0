"""Ids for the steps whose author gave none, and an end to steps without end."""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from pydantic_core import PydanticCustomError

MOST_STEPS: Final = 200
"""How many steps an automation may have, those of its branches included."""

DEEPEST: Final = 8
"""How many branches may stand inside one another."""

_SIDES: Final = ("then", "else", "otherwise")


def number_steps(steps: list[Any]) -> list[Any]:
    """Return *steps*, as they were parsed, each with an id: its own, or its type and place.

    Places count from 1 in the order the steps are written, those of branches included.

    Raises:
        PydanticCustomError: There are more than ``MOST_STEPS``, or branches deeper than
            ``DEEPEST``; YAML lets a list contain itself.
    """
    numbers = count(1)

    def numbered(written: list[Any], place: str, depth: int) -> list[Any]:
        if depth > DEEPEST:
            raise PydanticCustomError(
                "too_deep",
                "branches may stand {most} deep in one another; make an automation of its own "
                "of what is inside",
                {"most": DEEPEST, "place": place},
            )
        return [
            _numbered(step, f"{place}[{position}]", depth) for position, step in enumerate(written)
        ]

    def _numbered(step: Any, place: str, depth: int) -> Any:
        number = next(numbers)
        if number > MOST_STEPS:
            raise PydanticCustomError(
                "too_many",
                "an automation may have {most} steps, those of branches included; divide it",
                {"most": MOST_STEPS, "place": place},
            )
        if not isinstance(step, dict):
            return step
        own = {} if step.get("id") is not None else {"id": f"{step.get('type', 'step')}-{number}"}
        sides = {
            side: numbered(step[side], f"{place}.{side}", depth + 1)
            for side in _SIDES
            if isinstance(step.get(side), list)
        }
        return {**step, **own, **sides}

    return numbered(steps, "", 0)
