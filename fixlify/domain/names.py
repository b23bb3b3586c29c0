"""Comparing names that people type: free-form statuses, and the nearest valid word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_SEPARATORS = re.compile(r"[\s_\-]+")


def folded(text: str) -> str:
    """Return *text* without case, and with one ``_`` for any separators between its words."""
    return _SEPARATORS.sub("_", text.casefold())


def normalized(value: str | None) -> str | None:
    """Return *value* as it is compared: ``In-Progress`` and ``in progress`` are ``in_progress``.

    None and text of separators alone are both "no status" and return None.
    """
    return None if value is None else folded(value).strip("_") or None


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name closest to *name*, or None when none resembles it."""
    candidates = {candidate.casefold(): candidate for candidate in valid}
    close = difflib.get_close_matches(name.casefold(), candidates, n=1, cutoff=0.5)
    return candidates[close[0]] if close else None


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return the end of an error message: the nearest valid name, or all of them."""
    names = sorted(valid)
    if (close := nearest(name, names)) is not None:
        return f"did you mean '{close}'?"
    return f"valid: {', '.join(names)}"
