"""Comparing what people type, in SQL, as ``fixlify.domain.names`` does it in Python."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

CANCELLED_JOB: Final = ("cancelled", "canceled")
"""A job in one of these has no visit, and had none."""

CLOSED_JOB: Final = ("completed", *CANCELLED_JOB, "no_show")
"""A job in one of these has no visit ahead."""

SETTLED_INVOICE: Final = (
    "paid",
    "paid_in_full",
    "void",
    "voided",
    "cancelled",
    "canceled",
    "draft",
    "refunded",
    "written_off",
    "uncollectible",
)
"""Nobody is to pay an invoice in one of these. One without a status is open."""


def normalized(column: str) -> str:
    """Return the SQL that spells the text in *column* in the one way texts are compared in.

    Both sides of a comparison have to go through it: on letters such as ß Postgres before 18
    and Python disagree.
    """
    one_separator = rf"regexp_replace(lower({column}), '[\s_-]+', '_', 'g')"
    return f"nullif(trim(both '_' from {one_separator}), '')"


def is_one_of(column: str, words: Iterable[str]) -> str:
    """Return the SQL of whether *column* spells one of *words*, which are constants of ours."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"coalesce({normalized(column)}, '') IN ({listed})"


def is_wanted(column: str, parameter: str) -> str:
    """Return the SQL of whether *column* spells one of the texts in the array *parameter*."""
    words = f"unnest(CAST(:{parameter} AS text[])) AS wanted"
    return f"{normalized(column)} IN (SELECT {normalized('wanted')} FROM {words})"  # noqa: S608
