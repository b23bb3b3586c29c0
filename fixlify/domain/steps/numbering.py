"""Ids for the steps whose author gave none."""

from __future__ import annotations

from itertools import count
from typing import Any


def number_steps(steps: list[Any]) -> list[Any]:
    """Return *steps*, as they were parsed, each with an id: its own, or its type and place.

    Places count from 1 in the order the steps are written, those of branches included.
    """
    places = count(1)

    def numbered(written: list[Any]) -> list[Any]:
        return [_numbered(step) for step in written]

    def _numbered(step: Any) -> Any:
        place = next(places)
        if not isinstance(step, dict):
            return step
        sides = {
            side: numbered(step[side])
            for side in ("then", "else", "otherwise")
            if isinstance(step.get(side), list)
        }
        own = {} if step.get("id") is not None else {"id": f"{step.get('type', 'step')}-{place}"}
        return {**step, **own, **sides}

    return numbered(steps)
